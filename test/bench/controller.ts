/**
 * `npm run bench:controller`: what 10,000 topics of three partitions with three replicas cost the controller, without
 * network and disk: each batch is decided, encoded, decoded and replayed as in a node, and timed as one turn each, in
 * milliseconds of CPU.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createMetadataRecordCodec } from '../../src/adapters/record-codec.js'
import type { NodeId } from '../../src/lib/ids.js'
import { SeededRandom } from '../../src/lib/prng.js'
import type { ControllerReply, DecidedCommand } from '../../src/metadata/commands.js'
import { Controller } from '../../src/metadata/controller.js'
import { supportedFeatures } from '../../src/metadata/features.js'
import type { MetadataRecord } from '../../src/metadata/records.js'
import { MutableImage } from '../../src/metadata/replay.js'
import type { Logger } from '../../src/ports/logger.js'

const TOPICS = 10_000
const PARTITIONS = 3
const REPLICAS = 3
const BROKERS: readonly NodeId[] = [1, 2, 3]
const TOPICS_A_REQUEST = 100
const CONTEXT = { principal: '', clientId: '', clientAddress: '', listener: '' }
const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT }

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const codec = createMetadataRecordCodec()

/** Milliseconds of the longest turn, and of all of them. */
interface Cost {
  batches: number
  records: number
  bytes: number
  largestBytes: number
  decideMs: number
  longestDecideMs: number
  replayMs: number
  longestReplayMs: number
}

/** A controller, and the image of a node that replays what it writes. */
class Bench {
  readonly committed = new MutableImage()
  readonly controller = new Controller({
    nodeId: 1,
    clusterId: 'AAAAAAAAAAAAAAAAAAAAAA',
    voters: BROKERS,
    isController: () => false,
    properties: new Map(),
    random: new SeededRandom(1),
    logger: SILENT,
  })
  private index = 1
  private cost = emptyCost()

  constructor() {
    this.turn(() => this.controller.activate(this.committed, this.index, 0))
    for (const id of BROKERS) {
      this.command(registration(id))
      this.heartbeat(id)
    }
  }

  /** What `action` costs, what it leaves for later turns included. */
  measure(what: string, action: () => void): void {
    this.cost = emptyCost()
    action()
    while (this.controller.hasWork) this.turn(() => this.controller.work())
    report(what, this.cost)
  }

  command(command: DecidedCommand): ControllerReply {
    let reply: ControllerReply | undefined
    this.turn(() => {
      const decision = this.controller.decide(command, CONTEXT, 0)
      reply = decision.reply
      return decision.records
    })
    return reply!
  }

  heartbeat(brokerId: NodeId, wantShutDown = false): ControllerReply {
    const brokerEpoch = this.committed.brokers.get(brokerId)!.epoch
    const shape = { wantFence: false, wantShutDown, quarantined: [] }
    return this.command({
      type: 'brokerHeartbeat',
      brokerId,
      brokerEpoch,
      appliedIndex: this.index,
      ...shape,
    })
  }

  turn(decide: () => MetadataRecord[]): void {
    const beganMs = cpuMs()
    const records = decide()
    if (records.length === 0) return
    const bytes = codec.encode(records)
    const decidedMs = cpuMs()
    this.controller.proposed(++this.index)
    for (const record of codec.decode(bytes)) this.committed.apply(record)
    const replayMs = cpuMs() - decidedMs
    const decideMs = decidedMs - beganMs
    const { cost } = this
    cost.batches++
    cost.records += records.length
    cost.bytes += bytes.length
    cost.largestBytes = Math.max(cost.largestBytes, bytes.length)
    cost.decideMs += decideMs
    cost.longestDecideMs = Math.max(cost.longestDecideMs, decideMs)
    cost.replayMs += replayMs
    cost.longestReplayMs = Math.max(cost.longestReplayMs, replayMs)
  }
}

function main(): void {
  const bench = new Bench()
  collectGarbage()
  const heapBefore = process.memoryUsage().heapUsed
  bench.measure(
    `create ${TOPICS} topics of ${PARTITIONS} x ${REPLICAS}, ${TOPICS_A_REQUEST} a request`,
    () => {
      for (let first = 0; first < TOPICS; first += TOPICS_A_REQUEST)
        createTopics(bench, first, TOPICS_A_REQUEST)
    },
  )
  collectGarbage()
  const heapMb = (process.memoryUsage().heapUsed - heapBefore) / 2 ** 20
  console.log(`  heap of the committed and the speculative image together: ${heapMb.toFixed(1)} MB`)
  bench.measure('create one topic beside them', () => createTopics(bench, TOPICS, 1))
  snapshot(bench.committed)
  const leads = (id: NodeId): number =>
    [...bench.committed.topicsById.values()].flatMap((topic) =>
      topic.partitions.filter(({ leader }) => leader === id),
    ).length
  bench.measure(`fence a broker of ${leads(1)} leaderships`, () =>
    bench.turn(() => bench.controller.brokerDead(1, 0)),
  )
  bench.measure('register it anew', () => bench.command(registration(1)))
  bench.measure('unfence it', () => bench.heartbeat(1))
  bench.measure(`shut a broker of ${leads(2)} leaderships down`, () => bench.heartbeat(2, true))
  bench.measure('fence the last broker', () => bench.turn(() => bench.controller.brokerDead(3, 0)))
  bench.measure('register it anew', () => bench.command(registration(3)))
  bench.measure('unfence it', () => bench.heartbeat(3))
  bench.measure('raise min.insync.replicas of all topics', () => {
    const operations = [{ name: 'min.insync.replicas', operation: 'set' as const, value: '3' }]
    const resources = [{ resourceType: 'broker' as const, resourceName: '', operations }]
    bench.command({ type: 'alterConfigs', validateOnly: false, replaceAll: false, resources })
  })
  bench.measure('create one topic of 10000 partitions', () => {
    const shape = { replicationFactor: REPLICAS, assignments: [], configs: [], internal: false }
    const topics = [{ name: 'large', numPartitions: 10_000, ...shape }]
    bench.command({ type: 'createTopics', validateOnly: false, topics })
  })
  const clone = timed(() => bench.committed.clone())
  console.log(`clone for a new controller: ${clone.toFixed(1)} ms`)
}

function createTopics(bench: Bench, first: number, count: number): void {
  const shape = {
    numPartitions: PARTITIONS,
    replicationFactor: REPLICAS,
    assignments: [],
    configs: [],
    internal: false,
  }
  const topics = Array.from({ length: count }, (_, i) => ({ name: `topic-${first + i}`, ...shape }))
  bench.command({ type: 'createTopics', validateOnly: false, topics })
}

function snapshot(image: MutableImage): void {
  let bytes: Uint8Array = new Uint8Array()
  const encodeMs = timed(() => {
    bytes = codec.encode(image.toRecords())
  })
  const replayMs = timed(() => {
    MutableImage.replay(codec.decode(bytes))
  })
  const size = (bytes.length / 2 ** 20).toFixed(2)
  console.log(
    `snapshot: ${size} MB, encoded in ${encodeMs.toFixed(0)} ms, replayed in ${replayMs.toFixed(0)} ms`,
  )
}

function timed(action: () => void): number {
  const beganMs = cpuMs()
  action()
  return cpuMs() - beganMs
}

/** Of this process, so that what else the machine does counts little. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

function registration(id: NodeId): DecidedCommand {
  return {
    type: 'registerBroker',
    brokerId: id,
    clusterId: 'AAAAAAAAAAAAAAAAAAAAAA',
    incarnationId: `incarnation-${id}-${performance.now()}`,
    directoryIds: [`AAAAAAAAAAAAAAAAAAAA-${id}`],
    endpoints: [{ name: 'PLAINTEXT', host: `host-${id}`, port: 9092, securityProtocol: 'PLAINTEXT' }],
    features: supportedFeatures(),
  }
}

function emptyCost(): Cost {
  return {
    batches: 0,
    records: 0,
    bytes: 0,
    largestBytes: 0,
    decideMs: 0,
    longestDecideMs: 0,
    replayMs: 0,
    longestReplayMs: 0,
  }
}

function report(what: string, cost: Cost): void {
  const { batches, records, bytes, largestBytes, decideMs, longestDecideMs, replayMs, longestReplayMs } = cost
  console.log(what)
  console.log(
    `  ${records} records in ${batches} batches, ${kb(bytes)} KB, the largest ${kb(largestBytes)} KB`,
  )
  console.log(
    `  decided and encoded in ${decideMs.toFixed(0)} ms, the longest turn ${longestDecideMs.toFixed(1)} ms`,
  )
  console.log(
    `  decoded and replayed in ${replayMs.toFixed(0)} ms, the longest turn ${longestReplayMs.toFixed(1)} ms`,
  )
}

function kb(bytes: number): string {
  return (bytes / 1024).toFixed(0)
}

main()
