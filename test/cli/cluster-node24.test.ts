import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kogge, NODE_24, startCluster, type TestCluster } from '../support/cluster.js'

const isThere = existsSync(NODE_24)

describe('on Node.js 24', () => {
  it.runIf(process.env.CI === 'true')('is at hand in CI', () => {
    expect(isThere).toBe(true)
  })

  describe.skipIf(!isThere)('a cluster', () => {
    let cluster: TestCluster

    beforeAll(async () => {
      cluster = await startCluster({ nodeBinary: NODE_24 })
    })
    afterAll(async () => {
      await cluster?.stop()
    })

    it('starts, takes records, loses a node and gives them back', async () => {
      const target = ['--bootstrap-server', cluster.bootstrap]
      const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`)
      expect((await kogge(['topic', 'create', 'lts', '--partitions', '1', ...target])).code).toBe(0)
      const first = await kogge(['produce', 'lts', ...target], {
        input: `${lines.slice(0, 250).join('\n')}\n`,
      })
      expect(first.code).toBe(0)
      cluster.kill(1)
      const second = await kogge(['produce', 'lts', ...target], { input: `${lines.slice(250).join('\n')}\n` })
      expect(second.code).toBe(0)
      const out = await kogge(['consume', 'lts', '--from-beginning', '--exit-at-end', ...target])
      expect(out.stdout.trimEnd().split('\n')).toEqual(lines)
    })
  })
})
