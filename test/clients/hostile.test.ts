import { readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { decodeResponse, encodeRequest, frame } from '../../src/wire/codec.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { CreatePartitions } from '../../src/wire/messages/create-partitions.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DeleteTopics } from '../../src/wire/messages/delete-topics.js'
import { DescribeConfigs } from '../../src/wire/messages/describe-configs.js'
import { ElectLeaders } from '../../src/wire/messages/elect-leaders.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { FindCoordinator } from '../../src/wire/messages/find-coordinator.js'
import { IncrementalAlterConfigs } from '../../src/wire/messages/incremental-alter-configs.js'
import { type AnyApi, APIS } from '../../src/wire/messages/index.js'
import { JoinGroup } from '../../src/wire/messages/join-group.js'
import { ListOffsets } from '../../src/wire/messages/list-offsets.js'
import { Metadata } from '../../src/wire/messages/metadata.js'
import { OffsetCommit } from '../../src/wire/messages/offset-commit.js'
import { OffsetFetch } from '../../src/wire/messages/offset-fetch.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { SyncGroup } from '../../src/wire/messages/sync-group.js'
import { WireError } from '../../src/wire/primitives.js'
import { BatchView, buildBatch } from '../../src/wire/records.js'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { fromHex, loadApiGoldens } from '../wire/golden.js'

// What a client can do to a node that runs: bytes that no client would send, batches that lie, names that climb.

const SEED = 20_261_121
const MUTANTS_PER_SAMPLE = 4
const CONNECTIONS = 8
/** Many requests are rightly answered late, or never (a join, a long poll): the next one does not wait for that. */
const PATIENCE_MS = 20

let cluster: TestCluster
let pid: number
let client: RawClient

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1, restartAfter: 'off' })
  pid = cluster.nodes[0]!.pid()!
  client = await RawClient.connect(cluster.nodes[0]!.kafkaPort)
})
afterAll(async () => {
  client?.close()
  await cluster?.stop()
})

/** Changes a request's bytes before they are sent. */
type Forge = (request: Buffer) => void

/** One connection, one request at a time. */
class RawClient {
  private correlationId = 0
  private received = Buffer.alloc(0)
  private wake: () => void = () => {}
  private closed = false

  private constructor(private readonly socket: net.Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk])
      this.wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.wake()
    })
  }

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(new RawClient(socket)))
      socket.once('error', reject)
    })
  }

  get isClosed(): boolean {
    return this.closed
  }

  // biome-ignore lint/suspicious/noExplicitAny: the body of any API, whose shape each test asserts
  async ask(api: AnyApi, version: number, body: object, forge?: Forge): Promise<any> {
    const header = { correlationId: ++this.correlationId, clientId: 'hostile' }
    const request = Buffer.concat(frame(encodeRequest(api, version, header, body)))
    forge?.(request)
    this.socket.write(request)
    await this.until(
      () => this.received.length >= 4 && this.received.length >= 4 + this.received.readInt32BE(),
    )
    const size = this.received.readInt32BE()
    const answer = decodeResponse<object>(api, version, this.received.subarray(4, 4 + size))
    this.received = this.received.subarray(4 + size)
    if (answer instanceof WireError) throw answer
    return answer.body
  }

  /** Until the node says anything, closes, or the patience is over. */
  async provoke(body: Buffer): Promise<void> {
    const size = Buffer.alloc(4)
    size.writeInt32BE(body.length)
    this.received = Buffer.alloc(0)
    this.socket.write(Buffer.concat([size, body]))
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.wake()
    }, PATIENCE_MS)
    await this.until(() => isLate || this.closed || this.received.length > 0, false)
    clearTimeout(timer)
  }

  close(): void {
    this.socket.destroy()
  }

  private async until(seen: () => boolean, needsConnection = true): Promise<void> {
    while (!seen()) {
      if (needsConnection && this.closed) throw new Error('the node closed the connection')
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}

async function createTopic(name: string): Promise<{ errorCode: number; errorMessage: string | null }> {
  const { topics } = await client.ask(CreateTopics, 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5_000,
    validateOnly: false,
  })
  return topics[0]
}

async function produce(topic: string, records: Uint8Array) {
  const { responses } = await client.ask(Produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 5_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  })
  return responses[0].partitionResponses[0] as {
    errorCode: number
    errorMessage: string | null
    baseOffset: number
  }
}

async function endOffset(topic: string): Promise<number> {
  const { topics } = await client.ask(ListOffsets, 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1n }] }],
  })
  return topics[0].partitions[0].offset
}

describe('a batch that lies is refused in words, and nothing of it is written', () => {
  const sound = (values = ['a', 'b', 'c']) =>
    Buffer.from(buildBatch(values.map((value) => ({ key: null, value: Buffer.from(value), timestamp: 1 }))))
  const RECORD_COUNT_AT = 57
  const LAST_OFFSET_DELTA_AT = 23
  const CRC_AT = 17
  /** Changes bytes and makes the CRC fit them. */
  const forged = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = sound()
    change(bytes)
    bytes.writeUInt32BE(new BatchView(bytes).computeCrc(), CRC_AT)
    return bytes
  }

  beforeAll(async () => {
    expect(await createTopic('lies')).toMatchObject({ errorCode: 0 })
    expect(await produce('lies', sound(['first']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  })

  it.each([
    [
      'a bit flipped in a value',
      () => {
        const bytes = sound()
        bytes[bytes.length - 2]! ^= 1
        return bytes
      },
      ErrorCode.CORRUPT_MESSAGE,
      /^the CRC is \d+, the batch says \d+$/,
    ],
    [
      'half a batch',
      () => sound().subarray(0, 70),
      ErrorCode.CORRUPT_MESSAGE,
      /^the batch declares \d+ bytes, there are 70$/,
    ],
    [
      'less than a header',
      () => sound().subarray(0, 20),
      ErrorCode.CORRUPT_MESSAGE,
      /^20 bytes are less than a batch header$/,
    ],
    [
      'two batches',
      () => Buffer.concat([sound(), sound()]),
      ErrorCode.INVALID_RECORD,
      /exactly one record batch/,
    ],
    [
      'a base offset',
      () => {
        const bytes = sound()
        bytes.writeBigInt64BE(7n)
        return bytes
      },
      ErrorCode.INVALID_RECORD,
      /^the base offset must be 0, it is 7$/,
    ],
    [
      'more records than there are',
      () =>
        forged((bytes) => {
          bytes.writeInt32BE(9, RECORD_COUNT_AT)
          bytes.writeInt32BE(8, LAST_OFFSET_DELTA_AT)
        }),
      ErrorCode.INVALID_RECORD,
      /./,
    ],
    [
      'fewer records than there are',
      () =>
        forged((bytes) => {
          bytes.writeInt32BE(2, RECORD_COUNT_AT)
          bytes.writeInt32BE(1, LAST_OFFSET_DELTA_AT)
        }),
      ErrorCode.INVALID_RECORD,
      /bytes follow the last record$/,
    ],
    [
      'offsets that do not fit the count',
      () => forged((bytes) => bytes.writeInt32BE(100, LAST_OFFSET_DELTA_AT)),
      ErrorCode.INVALID_RECORD,
      /^the batch declares 3 records and a last offset delta of 100$/,
    ],
    [
      'no records',
      () => forged((bytes) => bytes.writeInt32BE(0, RECORD_COUNT_AT)),
      ErrorCode.INVALID_RECORD,
      /0 records$/,
    ],
    [
      'an old magic',
      () => forged((bytes) => bytes.writeInt8(1, 16)),
      ErrorCode.INVALID_RECORD,
      /must have magic 2/,
    ],
    [
      'a control batch',
      () => forged((bytes) => bytes.writeInt16BE(0x20, 21)),
      ErrorCode.INVALID_RECORD,
      /control batches/,
    ],
    ['nothing at all', () => Buffer.alloc(0), ErrorCode.INVALID_RECORD, /without a record batch$/],
  ])('%s', async (_name, make, errorCode, errorMessage) => {
    const answer = await produce('lies', make())
    expect(answer.errorMessage).toMatch(errorMessage)
    expect(answer).toMatchObject({ errorCode, baseOffset: -1 })
    expect(await endOffset('lies')).toBe(1)
  })

  it('a client may not write to a topic of the cluster itself', async () => {
    await client.ask(Metadata, 9, { topics: null })
    const answer = await produce('__consumer_offsets', sound())
    expect([ErrorCode.INVALID_TOPIC_EXCEPTION, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]).toContain(
      answer.errorCode,
    )
  })
})

describe('names of topics', () => {
  const CHARACTERS = "has other characters than ASCII letters, digits, '.', '_' and '-'"

  it.each([
    ['..', 'must not be ".."'],
    ['.', 'must not be "."'],
    ['../../etc/passwd', CHARACTERS],
    ['a/b', CHARACTERS],
    ['a\0b', CHARACTERS],
    ['a\nb', CHARACTERS],
    ['ä', CHARACTERS],
    ['', 'empty'],
    ['x'.repeat(250), '249'],
  ])('%j is refused, and no directory is made', async (name, reason) => {
    const data = join(cluster.nodes[0]!.directory, 'data')
    const before = readdirSync(data)
    const answer = await createTopic(name)
    expect(answer.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    expect(answer.errorMessage).toContain(reason)
    const { topics } = await client.ask(Metadata, 9, { topics: [{ name }], allowAutoTopicCreation: true })
    expect(topics[0]).toMatchObject({ errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, partitions: [] })
    expect(readdirSync(data)).toEqual(before)
  })

  it('one that collides with another in names of metrics is refused', async () => {
    expect((await createTopic('a.b')).errorCode).toBe(0)
    const answer = await createTopic('a_b')
    expect(answer.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    expect(answer.errorMessage).toContain('a.b')
  })

  it('the longest is taken', async () => {
    expect(await createTopic('x'.repeat(249))).toMatchObject({ errorCode: 0 })
  })
})

describe('what may not be administered is refused in words', () => {
  const unknown = {
    errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorMessage: 'topic nowhere does not exist',
  }

  it('topics, partitions and configurations of a topic that does not exist', async () => {
    const deleted = await client.ask(DeleteTopics, 5, { topicNames: ['nowhere'], timeoutMs: 1_000 })
    expect(deleted.responses[0]).toMatchObject(unknown)
    const grown = await client.ask(CreatePartitions, 3, {
      topics: [{ name: 'nowhere', count: 2, assignments: null }],
      timeoutMs: 1_000,
      validateOnly: false,
    })
    expect(grown.results[0]).toMatchObject(unknown)
    const described = await client.ask(DescribeConfigs, 4, {
      resources: [{ resourceType: 2, resourceName: 'nowhere', configurationKeys: null }],
    })
    expect(described.results[0]).toMatchObject(unknown)
    const altered = await client.ask(IncrementalAlterConfigs, 1, {
      resources: [
        {
          resourceType: 2,
          resourceName: 'nowhere',
          configs: [{ name: 'retention.ms', configOperation: 0, value: '1000' }],
        },
      ],
      validateOnly: false,
    })
    expect(altered.responses[0]).toMatchObject(unknown)
    const elected = await client.ask(ElectLeaders, 2, {
      electionType: 0,
      topicPartitions: [{ topic: 'nowhere', partitions: [0] }],
      timeoutMs: 1_000,
    })
    expect(elected.replicaElectionResults[0].partitionResult[0]).toMatchObject({
      errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      errorMessage: 'partition nowhere-0 does not exist',
    })
  })
})

describe('what the records of groups cannot keep is refused, and the node serves on', () => {
  const LONGEST = 'x'.repeat(32_767)
  const NOT_YET = [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR] as number[]

  async function commit(groupId: string, options: object = {}, forge?: Forge) {
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }]
    const request = {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [{ name: 'groups', partitions }],
    }
    const { topics } = await client.ask(OffsetCommit, 4, { ...request, ...options }, forge)
    return topics[0].partitions[0].errorCode as number
  }

  const member = (groupInstanceId: string | null) => ({
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    groupInstanceId,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('topics') }],
  })

  beforeAll(async () => {
    expect(await createTopic('groups')).toMatchObject({ errorCode: 0 })
    // The first question makes the topic of the groups; then its partitions are read.
    let errorCode: number
    do ({ errorCode } = await client.ask(FindCoordinator, 3, { key: 'g', keyType: 0 }))
    while (errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(errorCode).toBe(0)
    do errorCode = await commit('g')
    while (NOT_YET.includes(errorCode))
    expect(errorCode).toBe(0)
  })
  afterEach(() => expect(cluster.nodes[0]!.pid()).toBe(pid))

  it('a retention that ends after all time is cut', async () => {
    expect(await commit('g', { retentionTimeMs: Number.MAX_SAFE_INTEGER })).toBe(0)
    const { topics } = await client.ask(OffsetFetch, 2, {
      groupId: 'g',
      topics: [{ name: 'groups', partitionIndexes: [0] }],
    })
    expect(topics[0].partitions[0].committedOffset).toBe(7)
  })

  it('a group id that is not UTF-8 takes three times its bytes', async () => {
    const outcome = await commit('\x01'.repeat(20_000), {}, (request) => {
      const start = request.indexOf(Buffer.alloc(20_000, 1))
      request.fill(0xff, start, start + 20_000)
    })
    expect(outcome).toBe(ErrorCode.INVALID_GROUP_ID)
  })

  it('an instance id without room for what the member id adds; the group goes on with another member', async () => {
    expect(await client.ask(JoinGroup, 5, member(LONGEST))).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
    })
    const joined = await client.ask(JoinGroup, 5, member('i'))
    const { errorCode, memberId, generationId } = joined
    expect(errorCode).toBe(0)
    const assignments = [{ memberId, assignment: Buffer.from('all') }]
    const synced = await client.ask(SyncGroup, 3, {
      groupId: 'g',
      memberId,
      groupInstanceId: 'i',
      generationId,
      assignments,
    })
    expect(synced).toMatchObject({ errorCode: 0, assignment: Buffer.from('all') })
  })
})

describe('bytes that no client would send', () => {
  const EXTREMES = [0x00, 0x01, 0x7f, 0x80, 0xff]
  const goldens = loadApiGoldens()

  /** Header and body, one to three places of the body damaged. */
  function mutantOf(random: SeededRandom, api: AnyApi, version: number, body: Buffer): Buffer {
    const header = Buffer.concat(
      encodeRequest(
        api,
        version,
        { correlationId: 1, clientId: 'fuzz' },
        api.request.decode(body, version) as object,
      ),
    )
    const prefix = header.subarray(0, header.length - body.length)
    const mutant = Buffer.from(body)
    for (let n = 1 + randomBelow(random, 3); n > 0 && mutant.length > 0; n--) {
      const at = randomBelow(random, mutant.length)
      const kind = randomBelow(random, 3)
      if (kind === 0) mutant[at] = mutant[at]! ^ (1 << randomBelow(random, 8))
      else if (kind === 1) mutant[at] = EXTREMES[randomBelow(random, EXTREMES.length)]!
      else mutant.fill(EXTREMES[randomBelow(random, EXTREMES.length)]!, at, Math.min(at + 4, mutant.length))
    }
    const cut = randomBelow(random, 8) === 0 ? randomBelow(random, mutant.length + 1) : mutant.length
    return Buffer.concat([prefix, mutant.subarray(0, cut)])
  }

  function* mutants(): Generator<Buffer> {
    const random = new SeededRandom(SEED)
    for (const api of APIS) {
      for (const sample of goldens.filter(({ message }) => message === api.request.name)) {
        const body = fromHex(sample.hex)
        // As it was recorded, once; then damaged.
        yield Buffer.concat(
          encodeRequest(
            api,
            sample.version,
            { correlationId: 1, clientId: 'fuzz' },
            api.request.decode(body, sample.version) as object,
          ),
        )
        for (let i = 0; i < MUTANTS_PER_SAMPLE; i++) yield mutantOf(random, api, sample.version, body)
      }
    }
  }

  it('every API and version, damaged: an error or a close, never a crash; another client is served on', async () => {
    await createTopic('witness')
    const record = buildBatch([{ key: null, value: Buffer.from('witness'), timestamp: 1 }])
    let written = 0
    const all = mutants()
    let sent = 0
    let closed = 0
    const witness = async (): Promise<void> => {
      expect(await produce('witness', record)).toMatchObject({ errorCode: 0, baseOffset: written++ })
    }
    let witnessed = Promise.resolve()
    const attack = async (): Promise<void> => {
      let attacker: RawClient | undefined
      for (const mutant of all) {
        attacker = await RawClient.connect(cluster.nodes[0]!.kafkaPort)
        await attacker.provoke(mutant)
        sent++
        if (attacker.isClosed) closed++
        attacker.close()
        if (sent % 100 === 0) witnessed = witnessed.then(witness)
      }
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, attack))
    await witnessed
    expect(sent).toBeGreaterThan(1_000)
    expect(closed).toBeGreaterThan(50)
    expect(closed).toBeLessThan(sent)

    expect(cluster.nodes[0]!.pid()).toBe(pid)
    const { responses } = await client.ask(Fetch, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1 << 20,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: 'witness',
          partitions: [
            {
              partition: 0,
              currentLeaderEpoch: -1,
              fetchOffset: 0,
              logStartOffset: -1,
              partitionMaxBytes: 1 << 20,
            },
          ],
        },
      ],
      forgottenTopicsData: [],
      rackId: '',
    })
    expect(responses[0].partitions[0]).toMatchObject({ errorCode: 0, highWatermark: written })
    const log = readFileSync(join(cluster.nodes[0]!.directory, 'kogge.log'), 'utf8')
    const errors = log.split('\n').filter((line) => /"level":[56]0/.test(line))
    expect(errors, 'a handler failed').toEqual([])
  }, 120_000)
})
