import { describe, expect, it } from 'vitest'
import { encodeOffsetCheckpoint, writeWhole } from '../../src/log/checkpoint-files.js'
import { appendMany, Bench, TOPIC_ID } from './support.js'

const CHECKPOINT = 'replication-offset-checkpoint'
const NAMESAKE = 'QUJDREVGR0hJSktMTU5PUQ'

/** Ten records, of which the checkpoint knows eight to be committed. */
function checkpointed(): Bench {
  const bench = Bench.started()
  appendMany(bench.log(), 10)
  bench.sync(bench.log())
  bench.highWatermark = 8
  bench.world.runFor(6_000)
  return bench
}

describe('the checkpoint of high watermarks', () => {
  it('tells the next start', () => {
    const bench = checkpointed()
    bench.kill()
    bench.start()
    expect(bench.manager.checkpointedHighWatermark(TOPIC_ID, 0)).toBe(8)
  })

  it('says nothing of a topic that took the name after it was written', () => {
    const bench = checkpointed()
    const { manager, config } = bench
    manager.delete(TOPIC_ID, 0)
    const other = manager.getOrCreate({ topic: 'orders', topicId: NAMESAKE, partition: 0, config })
    appendMany(other, 5)
    bench.sync(other)
    expect(manager.checkpointedHighWatermark(NAMESAKE, 0)).toBe(0)
    bench.kill()
    bench.start()
    expect(bench.manager.get(NAMESAKE, 0)?.logEndOffset).toBe(5)
    expect(bench.manager.checkpointedHighWatermark(NAMESAKE, 0)).toBe(0)
  })

  it('says nothing where it does not name the topic’s id, as older ones do not', () => {
    const bench = checkpointed()
    bench.kill()
    const rows = [{ topic: 'orders', partition: 0, offset: 8 }]
    writeWhole(bench.disk, CHECKPOINT, encodeOffsetCheckpoint(rows)).close()
    bench.start()
    expect(bench.manager.checkpointedHighWatermark(TOPIC_ID, 0)).toBe(0)
  })
})
