import { defineConfig } from 'vitest/config'

/** Real processes under kills and stops: one file at a time, since they measure, on two cores. */
const CHAOS_TESTS = ['test/chaos/**/*.test.ts']

/** Real processes and clients of other languages, which measure nothing: two files at a time. */
const CLUSTER_TESTS = ['test/clients/**/*.test.ts', 'test/cli/cluster*.test.ts', 'test/deploy/**/*.test.ts']

const common = { testTimeout: 30_000, hookTimeout: 60_000, pool: 'forks' as const }
/** A time-out finds what hangs; how busy the machine is decides nothing. */
const processes = { ...common, testTimeout: 120_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...CHAOS_TESTS, ...CLUSTER_TESTS, 'node_modules/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...processes,
          name: 'cluster',
          include: CLUSTER_TESTS,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...processes,
          name: 'chaos',
          include: CHAOS_TESTS,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
