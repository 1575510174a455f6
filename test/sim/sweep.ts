import { type ChildProcess, fork } from 'node:child_process'
import { lifeOf, type SimOptions } from './options.js'
import { failureOf, list } from './report.js'
import { RARE } from './tally.js'
import type { RunResult } from './world.js'

/** A smaller sweep need not have seen every kind of fault and event. */
const LIVES_THAT_SHOW_ALL = 25
const LIVES_THAT_SHOW_THE_RARE = 150
const PROGRESS_INTERVAL_MS = 5_000

/** Many lives. The summary depends on the seeds alone, however many children share them. */
export class Sweep {
  private readonly counts: Record<string, number> = {}
  private readonly checks: Record<string, number> = {}
  private readonly profiles: Record<string, number> = {}
  private readonly failedSeeds: number[] = []
  private simulatedSeconds = 0
  private events = 0
  private lives = 0
  private next: number
  private readonly startedMs = performance.now()
  private lastProgressMs = this.startedMs

  constructor(private readonly options: SimOptions) {
    this.next = options.start
  }

  /** Resolves to whether all is well. */
  async run(live: (seed: number) => RunResult): Promise<boolean> {
    const { options } = this
    console.log(`start seed: ${options.start}`)
    if (options.jobs === 1) {
      for (let seed = this.take(); seed !== null; seed = this.take()) this.add(live(seed))
    } else {
      const children = Math.min(options.jobs, options.seeds)
      await Promise.all(Array.from({ length: children }, () => this.feedChild()))
    }
    return this.summarise()
  }

  private take(): number | null {
    const { start, seeds, budgetMinutes } = this.options
    if (this.next >= start + seeds) return null
    if (budgetMinutes > 0 && performance.now() - this.startedMs > budgetMinutes * 60_000) return null
    return this.next++
  }

  /** One child lives one seed at a time, until none is left. */
  private feedChild(): Promise<void> {
    return new Promise((resolve, reject) => {
      const child: ChildProcess = fork(process.argv[1]!, [...process.argv.slice(2), '--worker'])
      let seed = this.take()
      const feed = (): void => {
        if (seed === null) child.disconnect()
        else child.send(seed)
      }
      child.on('message', (result) => {
        this.add(result as RunResult)
        seed = this.take()
        feed()
      })
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        if (seed === null) return resolve()
        this.lives++
        this.fail(seed, `seed ${seed}: the process that lived it ended with ${signal ?? code}`)
        this.feedChild().then(resolve, reject)
      })
      feed()
    })
  }

  private add(result: RunResult): void {
    this.lives++
    this.simulatedSeconds += result.simulatedSeconds
    this.events += result.events
    addTo(this.counts, result.counts)
    addTo(this.checks, result.checks)
    addTo(this.profiles, { [result.profile.name]: 1 })
    if (result.violation !== null)
      this.fail(result.seed, failureOf(result, lifeOf(this.options, result.seed)))
    this.progress()
  }

  private fail(seed: number, report: string): void {
    this.failedSeeds.push(seed)
    console.log(report)
  }

  private progress(): void {
    const nowMs = performance.now()
    if (nowMs - this.lastProgressMs < PROGRESS_INTERVAL_MS) return
    this.lastProgressMs = nowMs
    console.log(`  ${this.lives} lives, ${this.speed(nowMs)}, ${this.failedSeeds.length} failed`)
  }

  private speed(nowMs: number): string {
    const seconds = (nowMs - this.startedMs) / 1000
    const rate = (this.simulatedSeconds / seconds).toFixed(0)
    return `${this.simulatedSeconds.toFixed(0)} simulated seconds in ${seconds.toFixed(0)} s (${rate} a second)`
  }

  private summarise(): boolean {
    const failed = this.failedSeeds.sort((a, b) => a - b)
    const { start } = this.options
    console.log(
      `${this.lives} lives from seed ${start}: ${this.speed(performance.now())}, ${this.events} events`,
    )
    console.log(`profiles: ${list(this.profiles)}`)
    console.log(`seen: ${list(this.counts)}`)
    console.log(`checks: ${list(this.checks)}`)
    const never = this.neverSeen()
    if (never.length > 0) console.log(`never seen: ${never.join(', ')}`)
    console.log(
      `${failed.length} of ${this.lives} lives failed${failed.length > 0 ? `: seeds ${failed.join(', ')}` : ''}`,
    )
    return failed.length === 0 && this.lives > 0 && (never.length === 0 || this.lives < LIVES_THAT_SHOW_ALL)
  }

  /** A sweep over all profiles is to show everything, one of a single profile the faults that it names. */
  private neverSeen(): string[] {
    const { profile, shape } = this.options
    const counts = profile === null ? { ...this.counts, ...this.checks } : pick(this.counts, profile.faults)
    // Where there are no more brokers than replicas, none can move.
    if (shape !== null) delete counts.dataReplicasMoved
    return Object.entries(counts)
      .filter(([name, count]) => count === 0 && (this.lives >= LIVES_THAT_SHOW_THE_RARE || !RARE.has(name)))
      .map(([name]) => name)
  }
}

function pick(counts: Readonly<Record<string, number>>, names: object): Record<string, number> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, counts[name] ?? 0]))
}

function addTo(totals: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count
}
