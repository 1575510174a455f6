import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { type Broker, batch, Cluster, TOPIC } from '../broker/partitions/cluster.js'

const MIN_ISR = 2
const LOG = `${TOPIC}-0/00000000000000000000.log`

interface Acknowledgement {
  readonly atMs: number
  /** Where the batch ends in the log's one segment. */
  readonly endBytes: number
}

/** Real logs, replication and codecs over disks that record when each sync was done, and that are slow by turns. */
function produce(seed: number): { cluster: Cluster; acks: Acknowledgement[] } {
  const cluster = new Cluster([1, 2, 3], { 'min.insync.replicas': String(MIN_ISR) })
  const random = new SeededRandom(seed)
  cluster.createTopic(1)
  cluster.run(500)
  for (const node of cluster.nodes.values())
    node.disk.faults.syncLatencyMs = () => (randomBelow(random, 4) === 0 ? randomBelow(random, 300) : 1)
  const acks: Acknowledgement[] = []
  let endBytes = 0
  for (let i = 0; i < 40; i++) {
    const bytes = batch([`value ${i}`])
    endBytes += bytes.length
    const asked = cluster.node(1).append(bytes)
    const end = endBytes
    cluster.clock.runUntilTrue(() => asked.result !== null, 10_000)
    expect(asked.result?.errorCode).toBe(ErrorCode.NONE)
    acks.push({ atMs: cluster.clock.nowMs, endBytes: end })
    // A follower that leaves the ISR, and its return, must not lower what an acknowledgement promises.
    if (i === 15) cluster.fence(3)
    if (i === 25) cluster.fence(3, false)
  }
  return { cluster, acks }
}

function wasDurable(node: Broker, { atMs, endBytes }: Acknowledgement): boolean {
  return node.disk.recordSync.some(
    (sync) => sync.path === LOG && sync.size >= endBytes && sync.timeMs <= atMs,
  )
}

/** The acknowledgements that came before so many disks held the record. */
function undurable({ cluster, acks }: ReturnType<typeof produce>, copies: number): Acknowledgement[] {
  return acks.filter(
    (ack) => [...cluster.nodes.values()].filter((node) => wasDurable(node, ack)).length < copies,
  )
}

describe('the recording disk', () => {
  it.each([1, 2, 3])('no acks=all answer precedes the fsyncs of a minimum ISR (seed %i)', (seed) => {
    const run = produce(seed)
    expect(run.acks).toHaveLength(40)
    expect(undurable(run, MIN_ISR)).toEqual([])
    // It can tell: what was acknowledged without the third replica was not on its disk.
    expect(undurable(run, MIN_ISR + 1).length).toBeGreaterThan(0)
  })
})
