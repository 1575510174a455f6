import { EventEmitter } from 'node:events'
import * as grpc from '@grpc/grpc-js'
import protobuf from 'protobufjs'
import descriptor, { type IFileDescriptorProto } from 'protobufjs/ext/descriptor.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHealthService, type HealthService } from '../../src/adapters/grpc-health.js'
import {
  type ChangeVotersReply,
  createInspectService,
  type InspectLogEntry,
  type InspectSource,
} from '../../src/adapters/grpc-inspect.js'
import { createGrpcServer, type GrpcServer } from '../../src/adapters/grpc-server.js'
import { serviceDefinition } from '../../src/adapters/grpc-service.js'
import { protoRoot } from '../../src/adapters/protobuf.js'
import type { PartitionStatus } from '../../src/broker/partitions/types.js'
import type { PartitionFilter, PostMortem } from '../../src/broker/post-mortems/types.js'
import { EventRing, type QuorumEventBody } from '../../src/broker/quorum/events.js'
import type { MembershipCommand } from '../../src/broker/quorum/membership.js'
import type { LogIndex, NodeId } from '../../src/lib/ids.js'

const ID = 'q1Sv0VjMQrqWYyW3bYb2-g'
const voter = { nodeId: 1, directoryId: ID }

const status = {
  version: '0.1.0',
  monotonicMs: 1234.5,
  quorum: {
    nodeId: 1,
    directoryId: ID,
    clusterId: ID,
    role: 'leader' as const,
    term: 3,
    leader: 1,
    commitIndex: 9,
    lastIndex: 10,
    firstIndex: 1,
    snapshotIndex: 0,
    voters: [voter, { nodeId: 2, directoryId: ID }],
    progress: [
      {
        voter: { nodeId: 2, directoryId: ID },
        isVoter: true,
        matchIndex: 9,
        nextIndex: 10,
        lastContactMs: 1200.25,
        lastCaughtUpMs: -1,
        state: 'replicate' as const,
      },
    ],
    hasQuorum: true,
    addresses: [{ nodeId: 1, host: '127.0.0.1', port: 9093 }],
  },
  broker: { state: 'running' as const, brokerEpoch: 2, appliedIndex: 9 },
}

const partition: PartitionStatus = {
  topic: 't',
  topicId: ID,
  partitionId: 0,
  role: 'leader',
  leader: 1,
  leaderEpoch: 4,
  isr: { committed: [1, 2], maximal: [1, 2, 3] },
  logStartOffset: 0,
  logEndOffset: 2 ** 40,
  durableEndOffset: 7,
  highWatermark: 6,
  sizeBytes: 2 ** 41,
  state: 'online',
}

const ELECTIONS: PostMortem[] = [
  {
    sequence: 1,
    wallMs: 1_700_000_000_000,
    type: 'raft',
    formerLeader: undefined,
    leader: 2,
    term: 1,
    cause: 'leaderFound',
    fromMs: undefined,
    noticedMs: 0,
    electedMs: 0,
    untilMs: 0.5,
    noCommit: true,
  },
  {
    sequence: 2,
    wallMs: 1_700_000_000_001,
    type: 'partitions',
    formerLeader: -1,
    cause: 'recovered',
    index: 7,
    fromMs: 0,
    untilMs: 10.25,
    count: 1,
    partitions: [{ topic: 't', partition: 0, leader: 0, leaderEpoch: 0 }],
  },
]

class Source implements InspectSource {
  readonly filters: PartitionFilter[] = []
  readonly ring = new EventRing({ monotonicMs: () => 1.5, wallMs: () => 1_700_000_000_000 }, 100)
  watchers = 0
  readonly reads: [LogIndex, number][] = []
  readonly log: InspectLogEntry[] = [
    { type: 'configuration', index: 1, term: 1, voters: [voter] },
    { type: 'noOp', index: 2, term: 1 },
    { type: 'data', index: 3, term: 1, records: [{ type: 'topicRecord', name: 't', topicId: ID }] },
  ]

  status = () => status
  listPartitions = () => [partition]
  hasTopic = (name: string) => name === 't'
  postMortems = (limit: number, filter: PartitionFilter) => {
    this.filters.push(filter)
    return ELECTIONS.slice(-limit)
  }
  readonly changes: [MembershipCommand, number][] = []
  onChange: (() => void) | undefined
  calledOff: ((command: MembershipCommand) => void) | undefined
  changeVoters = (
    command: MembershipCommand,
    timeoutMs: number,
    done: (reply: ChangeVotersReply) => void,
  ): (() => void) => {
    this.changes.push([command, timeoutMs])
    this.onChange?.()
    if (command.nodeId === 8) return () => this.calledOff?.(command)
    done(
      command.nodeId === 9
        ? { errorCode: 126, errorMessage: 'node 9 is one' }
        : { errorCode: 0, errorMessage: '' },
    )
    return () => {}
  }
  transferLeadership = (to: NodeId | undefined) => (to === 2 ? undefined : `node ${to} is not a voter`)

  subscribe(watcher: Parameters<InspectSource['subscribe']>[0]) {
    this.watchers++
    const subscription = this.ring.subscribe(watcher)
    return {
      cancel: () => {
        this.watchers--
        subscription.cancel()
      },
    }
  }

  readLog(from: LogIndex, limit: number) {
    this.reads.push([from, limit])
    return this.log.filter((entry) => entry.index >= from).slice(0, limit)
  }
}

it('lists the last changes of leadership, absent and zero fields told apart', async () => {
  const all = await unary(inspect.listElections!, { limit: 0 })
  expect(all).toMatchObject({
    nodeId: 1,
    monotonicMs: 1234.5,
    elections: JSON.parse(JSON.stringify(ELECTIONS)),
  })
  expect((all as { elections: object[] }).elections[0]).not.toHaveProperty('formerLeader', 0)
  const filter = { topic: 't', partition: 0 }
  expect(await unary(inspect.listElections!, { limit: 1, ...filter })).toMatchObject({
    elections: [ELECTIONS[1]],
  })
  expect(source.filters).toEqual([{}, filter])
  expect(all).not.toHaveProperty('topicExists')
  const existence = [{ topic: 't' }, { topic: 'u' }].map((topic) =>
    unary(inspect.listElections!, { limit: 1, ...topic }),
  )
  expect(await Promise.all(existence)).toMatchObject([{ topicExists: true }, { topicExists: false }])
})

let source: Source
let health: HealthService
let server: GrpcServer
let client: grpc.Client

beforeEach(async () => {
  source = new Source()
  health = createHealthService()
  server = createGrpcServer({ inspect: createInspectService(source), health })
  const bound = await new Promise<{ port: number }>((resolve, reject) =>
    server.listen({ host: '127.0.0.1', port: 0 }, resolve, reject),
  )
  client = new grpc.Client(`127.0.0.1:${bound.port}`, grpc.credentials.createInsecure())
})

afterEach(async () => {
  client.close()
  await new Promise<void>((resolve) => server.close(resolve))
})

const inspect = serviceDefinition('kogge.inspect.v1.Inspect')
const healthDefinition = serviceDefinition('grpc.health.v1.Health')

function unary(method: grpc.MethodDefinition<object, object>, request: object): Promise<object> {
  return new Promise((resolve, reject) => {
    const done = (error: grpc.ServiceError | null, value?: object) =>
      error ? reject(error) : resolve(value!)
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, done)
  })
}

function stream(
  method: grpc.MethodDefinition<object, object>,
  request: object,
): grpc.ClientReadableStream<object> {
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
  )
  call.on('error', () => undefined)
  return call
}

async function take(call: grpc.ClientReadableStream<object>, count: number): Promise<object[]> {
  const taken: object[] = []
  for await (const item of call.iterator({ destroyOnReturn: false })) {
    taken.push(item)
    if (taken.length === count) break
  }
  return taken
}

describe('inspection', () => {
  it('gives the status, the partitions and the log', async () => {
    expect(await unary(inspect.getStatus!, {})).toEqual(status)
    expect(await unary(inspect.listPartitions!, {})).toEqual({ partitions: [partition] })
    expect(await take(stream(inspect.readLog!, { fromIndex: 0, limit: 0 }), 4)).toEqual(source.log)
    expect(source.reads[0]).toEqual([1, 100])
    expect(await take(stream(inspect.readLog!, { fromIndex: 2, limit: 1 }), 2)).toEqual([source.log[1]])
  })

  it('reads a long log in pages, up to the limit', async () => {
    source.log.length = 0
    for (let index = 1; index <= 1000; index++) source.log.push({ type: 'noOp', index, term: 1 })
    const read = await take(stream(inspect.readLog!, { fromIndex: 11, limit: 750 }), 751)
    expect(read).toEqual(source.log.slice(10, 760))
    expect(Math.max(...source.reads.map(([, limit]) => limit))).toBeLessThanOrEqual(100)
  })

  it('waits with the rest of a page until a slow client has taken what was written', async () => {
    let readLog: (call: object) => void = () => {}
    createInspectService(source).addTo({
      addService: (_definition: object, handlers: { readLog: typeof readLog }) => {
        readLog = handlers.readLog
      },
    } as unknown as grpc.Server)
    const written: object[] = []
    const ended = new Promise<void>((end) => {
      const call = Object.assign(new EventEmitter(), {
        request: { fromIndex: 1, limit: 0 },
        write: (entry: object) => written.push(entry) % 2 === 1,
        end,
      })
      readLog(call)
      expect(written).toHaveLength(2)
      call.emit('drain')
      expect(written).toHaveLength(3)
    })
    await ended
    expect(written).toEqual(source.log)
  })

  it('hands leadership over, or says why not', async () => {
    expect(await unary(inspect.transferLeadership!, { to: 2 })).toEqual({})
    await expect(unary(inspect.transferLeadership!, { to: 5 })).rejects.toMatchObject({
      code: grpc.status.FAILED_PRECONDITION,
      details: 'node 5 is not a voter',
    })
  })

  it('calls a change of the voters off whose client hangs up', async () => {
    const calledOff = new Promise<MembershipCommand>((resolve) => {
      source.calledOff = resolve
    })
    const taken = new Promise<void>((resolve) => {
      source.onChange = resolve
    })
    const { path, requestSerialize, responseDeserialize } = inspect.promoteVoter!
    const request = { nodeId: 8, timeoutMs: 60_000 }
    const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, () => {})
    await taken
    call.cancel()
    expect(await calledOff).toMatchObject({ type: 'promoteVoter', nodeId: 8 })
  })

  it('takes changes of the voters, within bounds of time', async () => {
    const done = { errorCode: 0, errorMessage: '' }
    expect(await unary(inspect.addVoter!, { nodeId: 4, directoryId: ID, timeoutMs: 5 })).toEqual(done)
    const address = { host: 'four', port: 9094 }
    await unary(inspect.addVoter!, { nodeId: 4, directoryId: ID, ...address, timeoutMs: 1_000_000 })
    expect(await unary(inspect.removeVoter!, { nodeId: 2, directoryId: ID, timeoutMs: 0 })).toEqual(done)
    expect(await unary(inspect.promoteVoter!, { nodeId: 9, timeoutMs: 7 })).toEqual({
      errorCode: 126,
      errorMessage: 'node 9 is one',
    })
    expect(source.changes).toEqual([
      [{ type: 'addVoter', nodeId: 4, directoryId: ID }, 5],
      [{ type: 'addVoter', nodeId: 4, directoryId: ID, ...address }, 120_000],
      [{ type: 'removeVoter', nodeId: 2, directoryId: ID }, 30_000],
      [{ type: 'promoteVoter', nodeId: 9 }, 7],
    ])
  })
})

const events: QuorumEventBody[] = [
  { type: 'role', role: 'leader', term: 4, leader: 1, cause: 'electionWon' },
  { type: 'role', role: 'follower', term: 5, leader: undefined, cause: 'higherTerm' },
  { type: 'role', role: 'follower', term: 5, leader: undefined, cause: 'noQuorum', sinceMs: 0.5 },
  { type: 'election', term: 4, cause: 'leaderDead', durationMs: 12.5 },
  { type: 'controllerActive', term: 4, index: 12 },
  { type: 'commit', index: 12, term: 4 },
  { type: 'snapshotTaken', index: 12, bytes: 99 },
  { type: 'snapshotInstalled', index: 12, bytes: 99 },
  { type: 'founded', clusterId: ID, voters: [voter] },
  { type: 'configuration', index: 1, voters: [voter] },
  { type: 'peerLost', peer: 2, dead: true },
  { type: 'quarantined', reason: 'a gap' },
  { type: 'transfer', to: 2, done: false },
]

describe('watching', () => {
  it('knows every type of event', () => {
    const known: Record<QuorumEventBody['type'], true> = {
      role: true,
      election: true,
      controllerActive: true,
      commit: true,
      snapshotTaken: true,
      snapshotInstalled: true,
      founded: true,
      configuration: true,
      peerLost: true,
      quarantined: true,
      transfer: true,
    }
    const declared = protoRoot().lookupType('kogge.inspect.v1.QuorumEvent').oneofs!.type!.oneof
    expect(Object.keys(known).sort()).toEqual([...declared].sort())
    expect(new Set(events.map((event) => event.type))).toEqual(new Set(declared))
  })

  it('gives the state first, then each event', async () => {
    const call = stream(inspect.watchEvents!, {})
    expect(await take(call, 1)).toEqual([{ type: 'status', status }])
    for (const event of events) source.ring.emit(event)
    const seen = await take(call, events.length)
    const stamp = { atMs: 1.5, wallMs: 1_700_000_000_000 }
    expect(seen).toEqual(
      events.map((event, i) => ({ type: 'event', event: { ...event, ...stamp, sequence: i + 1 } })),
    )
    call.cancel()
  })

  it('tells a run of commits by its last one', async () => {
    const call = stream(inspect.watchEvents!, {})
    await take(call, 1)
    for (let index = 1; index <= 5000; index++) source.ring.emit({ type: 'commit', index, term: 1 })
    expect(await take(call, 1)).toMatchObject([{ event: { type: 'commit', index: 5000, sequence: 5000 } }])
    call.cancel()
  })

  it('bounds what waits for a slow watcher, and tells it what it missed', async () => {
    const call = stream(inspect.watchEvents!, {})
    await take(call, 1)
    // More than a turn can send: all but the bound is dropped.
    const total = 10_000
    for (let i = 0; i < total; i++) source.ring.emit({ type: 'peerLost', peer: i, dead: false })
    const [missed] = (await take(call, 1)) as { type: string; count: number }[]
    expect(missed).toEqual({ type: 'missed', count: total - 256 })
    const rest = (await take(call, 256)) as { event: { sequence: number } }[]
    expect(rest[0]!.event.sequence).toBe(total - 255)
    expect(rest[255]!.event.sequence).toBe(total)
    call.cancel()
  })

  it('bounds what waits for a watcher that does not read at all', async () => {
    const call = stream(inspect.watchEvents!, {})
    await take(call, 1)
    const reason = 'x'.repeat(10_000)
    for (let i = 0; i < 5000; i++) {
      source.ring.emit({ type: 'quarantined', reason })
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    source.ring.emit({ type: 'peerLost', peer: 1, dead: true })
    let missed = 0
    let received = 0
    for await (const item of call.iterator({ destroyOnReturn: false })) {
      const event = item as { type: string; count: number; event?: { type: string } }
      if (event.type === 'missed') missed += event.count
      else received++
      if (event.event?.type === 'peerLost') break
    }
    expect(missed).toBeGreaterThan(0)
    expect(received + missed).toBe(5001)
    call.cancel()
  })

  it('leaves nothing behind when the watcher hangs up', async () => {
    const call = stream(inspect.watchEvents!, {})
    await take(call, 1)
    expect(source.watchers).toBe(1)
    const gone = new Promise<void>((resolve) => {
      const look = () => (source.watchers === 0 ? resolve() : setImmediate(look))
      look()
    })
    call.cancel()
    await gone
  })
})

describe('health', () => {
  const check = (service: string) => unary(healthDefinition.check!, { service })

  it('follows readiness, and liveness does not', async () => {
    expect(await check('')).toEqual({ status: 'notServing' })
    expect(await check('liveness')).toEqual({ status: 'serving' })
    health.setReady(true)
    for (const service of ['', 'quorum', 'kogge.inspect.v1.Inspect', 'liveness']) {
      expect(await check(service)).toEqual({ status: 'serving' })
    }
    health.setReady(false)
    expect(await check('quorum')).toEqual({ status: 'notServing' })
    expect(await check('liveness')).toEqual({ status: 'serving' })
    await expect(check('bogus')).rejects.toMatchObject({ code: grpc.status.NOT_FOUND })
  })

  it('is told to watchers as it turns', async () => {
    const call = stream(healthDefinition.watch!, { service: 'quorum' })
    expect(await take(call, 1)).toEqual([{ status: 'notServing' }])
    health.setReady(true)
    expect(await take(call, 1)).toEqual([{ status: 'serving' }])
    health.setReady(false)
    expect(await take(call, 1)).toEqual([{ status: 'notServing' }])
    call.cancel()
    const unknown = stream(healthDefinition.watch!, { service: 'bogus' })
    expect(await take(unknown, 1)).toEqual([{ status: 'serviceUnknown' }])
    unknown.cancel()
  })
})

describe.each(['v1', 'v1alpha'])('reflection %s', (version) => {
  /** Asks with bytes made by hand: this client has no .proto file. */
  function ask(field: number, text: string): Promise<Reflected> {
    const request = protobuf.Writer.create()
      .uint32((field << 3) | 2)
      .string(text)
      .finish()
    const call = client.makeBidiStreamRequest<Uint8Array, Reflected>(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      (bytes) => Buffer.from(bytes),
      readResponse,
    )
    return new Promise((resolve, reject) => {
      call.on('error', reject)
      call.on('data', resolve)
      call.end(request)
    })
  }

  it('lists the services', async () => {
    const { services } = await ask(7, '*')
    expect(services.sort()).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'kogge.inspect.v1.Inspect',
    ])
  })

  it('describes them, so that a stranger can call them', async () => {
    const { files } = await ask(4, 'kogge.inspect.v1.Inspect')
    const set = {
      file: files.map((file) => descriptor.FileDescriptorProto.decode(file) as IFileDescriptorProto),
    }
    const names = set.file.map((file) => file.name)
    expect(names).toEqual(['kogge/inspect/v1.proto', 'kogge/raft/v1.proto', 'kogge/metadata/v1.proto'])
    // Each import is among the files: grpcurl insists.
    for (const file of set.file) for (const name of file.dependency ?? []) expect(names).toContain(name)

    const root = protobuf.Root.fromDescriptor(descriptor.FileDescriptorSet.encode(set).finish(), {
      keepCase: true,
    })
    const type = root.lookupType('kogge.inspect.v1.Status')
    const reply = await new Promise<object>((resolve, reject) =>
      client.makeUnaryRequest(
        '/kogge.inspect.v1.Inspect/GetStatus',
        (bytes: Buffer) => bytes,
        (bytes) => type.toObject(type.decode(bytes), { longs: Number }),
        Buffer.alloc(0),
        (error, value) => (error ? reject(error) : resolve(value!)),
      ),
    )
    expect(reply).toMatchObject({ version: '0.1.0', quorum: { node_id: 1, commit_index: 9, role: 'leader' } })
  })

  it('finds files and symbols by name, and says what it does not find', async () => {
    expect((await ask(3, 'kogge/raft/v1.proto')).files).toHaveLength(1)
    expect((await ask(4, 'kogge.metadata.v1.TopicRecord')).files).toHaveLength(1)
    expect((await ask(4, 'kogge.inspect.v1.Inspect.ReadLog')).files).toHaveLength(3)
    const reflection = await ask(4, `grpc.reflection.${version}.ServerReflection`)
    const file = descriptor.FileDescriptorProto.decode(reflection.files[0]!) as IFileDescriptorProto
    expect(file.package).toBe(`grpc.reflection.${version}`)
    expect(file.service![0]!.method![0]!.inputType).toBe(
      `.grpc.reflection.${version}.ServerReflectionRequest`,
    )
    expect(await ask(4, 'kogge.Nothing')).toMatchObject({ error: 'no symbol kogge.Nothing' })
    expect(await ask(3, 'nothing.proto')).toMatchObject({ error: 'no file nothing.proto' })
  })
})

interface Reflected {
  services: string[]
  files: Uint8Array[]
  error: string | undefined
}

/** A ServerReflectionResponse, by its numbers: 4.1 files, 6.1.1 names of services, 7.2 an error's text. */
function readResponse(bytes: Uint8Array): Reflected {
  const fields = (input: Uint8Array): [number, Uint8Array][] => {
    const reader = protobuf.Reader.create(input)
    const found: [number, Uint8Array][] = []
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      if ((tag & 7) === 2) found.push([tag >>> 3, reader.bytes()])
      else reader.skipType(tag & 7)
    }
    return found
  }
  const of = (input: Uint8Array, field: number) =>
    fields(input).flatMap(([id, value]) => (id === field ? [value] : []))
  const text = (value: Uint8Array | undefined) => value && Buffer.from(value).toString()
  return {
    files: of(bytes, 4).flatMap((value) => of(value, 1)),
    services: of(bytes, 6)
      .flatMap((value) => of(value, 1))
      .map((service) => text(of(service, 1)[0])!),
    error: of(bytes, 7).map((value) => text(of(value, 2)[0]))[0],
  }
}
