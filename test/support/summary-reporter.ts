import { mkdirSync, writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

const SUMMARY_FILE = '.cache/test-summary.json'

/** Closes a run with one plain line, names whatever failed or was skipped, and leaves both for `.ci/run`. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 }
    const skipped: string[] = []
    const failures: string[] = []
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      // A file that could not be loaded, or whose hook failed, has no failed test: it must not look like a pass.
      if (!module.ok() && !tests.some((test) => test.result().state === 'failed')) {
        counts.failed++
        failures.push(`${module.relativeModuleId}: ${reasonOf(module.errors())}`)
      }
      for (const test of tests) {
        const { state } = test.result()
        if (state === 'passed') counts.passed++
        else if (state === 'skipped') {
          counts.skipped++
          skipped.push(test.fullName)
        } else {
          counts.failed++
          failures.push(
            `${module.relativeModuleId} > ${test.fullName}: ${reasonOf(test.result().errors ?? [])}`,
          )
        }
      }
    }
    counts.failed += unhandledErrors.length
    for (const error of unhandledErrors)
      failures.push(`unhandled: ${reasonOf([error as { message?: string }])}`)
    for (const name of skipped) console.log(`skipped: ${name}`)
    for (const failure of failures) console.log(`failed: ${failure}`)
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
    mkdirSync('.cache', { recursive: true })
    writeFileSync(SUMMARY_FILE, JSON.stringify({ ...counts, failures }))
  }
}

/** The first line of the first error, where there is one. */
function reasonOf(errors: readonly { message?: string }[]): string {
  return errors[0]?.message?.split('\n')[0]?.slice(0, 300) ?? 'no error was reported'
}
