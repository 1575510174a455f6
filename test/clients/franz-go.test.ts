import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, FRANZ, runTool } from '../support/toolchain.js'

describeWith('franz-go', () => {
  let cluster: TestCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.stop())

  it('creates, produces idempotently with every codec, consumes in a group, commits, lists and deletes', async () => {
    const { code, stdout, stderr } = await runTool(FRANZ, [cluster.bootstrap, 'franz'])
    expect(code, stderr).toBe(0)
    const each = { none: 50, gzip: 50, snappy: 50, lz4: 50, zstd: 50 }
    expect(JSON.parse(stdout)).toEqual({
      created: 3,
      produced: each,
      consumed: each,
      nullKeys: 25,
      tombstones: 25,
      headers: 500,
      committed: 250,
      groups: ['franz-franz'],
      deleted: true,
    })
  })
})
