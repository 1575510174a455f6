import { defineConfig } from 'vitest/config'

/** Real processes, clients of other languages, kills: one file at a time, since they share two cores and measure. */
const CLUSTER_TESTS = [
  'test/chaos/**/*.test.ts',
  'test/clients/**/*.test.ts',
  'test/cli/cluster*.test.ts',
  'test/deploy/**/*.test.ts',
]

const common = { testTimeout: 30_000, hookTimeout: 60_000, pool: 'forks' as const }

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...CLUSTER_TESTS, 'node_modules/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'cluster',
          include: CLUSTER_TESTS,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
