import { describe, expect, it } from 'vitest'
import { createPeerMessageCodec } from '../../src/adapters/peer-codec.js'
import { messageCodec, protoRoot } from '../../src/adapters/protobuf.js'
import { createMetadataRecordCodec } from '../../src/adapters/record-codec.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { ControllerCommand, ControllerReply } from '../../src/metadata/commands.js'
import type { MetadataRecord } from '../../src/metadata/records.js'
import type { Entry, HardState, RaftMessage, Snapshot } from '../../src/raft/types.js'

// One example of each member with every field, none of them at its default. The types make the compiler demand
// a new member and a new field here; the test then demands them of the .proto files.
type Full<T> = T extends Uint8Array | string | number | boolean
  ? T
  : T extends readonly (infer E)[]
    ? Full<E>[]
    : T extends object
      ? { [K in keyof T]-?: Full<NonNullable<T[K]>> }
      : T
type Examples<U extends { type: string }> = { [K in U['type']]: Full<Extract<U, { type: K }>> }

const ID = 'q1Sv0VjMQrqWYyW3bYb2-g'
const ID2 = 'AAAAAAAAAAAAAAAAAAAAAQ'
const BIG = Number.MAX_SAFE_INTEGER
const bytes = Uint8Array.of(0, 1, 254, 255)
const endpoint = { name: 'PLAINTEXT', host: 'höst', port: 9092, securityProtocol: 'SASL_SSL' as const }
const voter = { nodeId: 2, directoryId: ID }
const voters = [voter, { nodeId: 0, directoryId: ID2 }]

const records: Examples<MetadataRecord> = {
  clusterRecord: { type: 'clusterRecord', clusterId: ID },
  featureLevelRecord: { type: 'featureLevelRecord', name: 'kogge.version', level: 3 },
  registerBrokerRecord: {
    type: 'registerBrokerRecord',
    brokerId: 1,
    brokerEpoch: BIG,
    incarnationId: ID,
    directoryIds: [ID, ID2],
    endpoints: [endpoint],
    controlEndpoint: { ...endpoint, port: 9093 },
    rack: 'r1',
    features: [{ name: 'kogge.version', minLevel: 1, maxLevel: 2 }],
    fenced: true,
    inControlledShutdown: true,
  },
  unregisterBrokerRecord: { type: 'unregisterBrokerRecord', brokerId: 1, brokerEpoch: 12 },
  brokerRegistrationChangeRecord: {
    type: 'brokerRegistrationChangeRecord',
    brokerId: 1,
    brokerEpoch: 12,
    fenced: true,
    inControlledShutdown: false,
  },
  topicRecord: { type: 'topicRecord', name: 't', topicId: ID },
  removeTopicRecord: { type: 'removeTopicRecord', topicId: ID },
  partitionRecord: {
    type: 'partitionRecord',
    topicId: ID,
    partitionId: 5,
    replicas: [1, 2, 0, 2 ** 31 - 1],
    directories: [ID, ID2, ID, ID2],
    isr: [1],
    elr: [2],
    lastKnownElr: [0],
    addingReplicas: [3],
    removingReplicas: [1],
    leader: -1,
    leaderRecovering: true,
    leaderEpoch: 7,
    partitionEpoch: 9,
  },
  partitionChangeRecord: {
    type: 'partitionChangeRecord',
    topicId: ID,
    partitionId: 5,
    leader: 0,
    leaderRecovering: false,
    isr: { nodes: [1, 2] },
    elr: { nodes: [] },
    lastKnownElr: { nodes: [1] },
    replicas: { nodes: [1, 2] },
    addingReplicas: { nodes: [] },
    removingReplicas: { nodes: [0] },
  },
  configRecord: {
    type: 'configRecord',
    resourceType: 'clientMetrics',
    resourceName: 't',
    name: 'interval.ms',
    value: '',
  },
  producerIdsRecord: { type: 'producerIdsRecord', brokerId: 1, brokerEpoch: 3, nextProducerId: 2 ** 40 },
  noOpRecord: { type: 'noOpRecord' },
}

const commands: Examples<ControllerCommand> = {
  registerBroker: {
    type: 'registerBroker',
    brokerId: 1,
    clusterId: ID,
    incarnationId: ID2,
    directoryIds: [ID],
    endpoints: [endpoint],
    controlEndpoint: endpoint,
    rack: 'r',
    features: [{ name: 'metadata.version', minLevel: 7, maxLevel: 25 }],
    previousBrokerEpoch: 3,
  },
  brokerHeartbeat: {
    type: 'brokerHeartbeat',
    brokerId: 1,
    brokerEpoch: 4,
    appliedIndex: BIG,
    wantFence: true,
    wantShutDown: true,
    quarantined: [{ topicId: ID, partitionId: 1 }],
  },
  alterPartitions: {
    type: 'alterPartitions',
    brokerId: 1,
    brokerEpoch: 4,
    appliedIndex: 9,
    partitions: [
      {
        topicId: ID,
        partitionId: 1,
        leaderEpoch: 2,
        partitionEpoch: 3,
        newIsr: [{ brokerId: 1, brokerEpoch: 4 }],
        leaderRecovering: true,
      },
    ],
  },
  createTopics: {
    type: 'createTopics',
    validateOnly: true,
    topics: [
      {
        name: 't',
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionId: 1, replicas: [1, 2] }],
        configs: [{ name: 'a', value: 'b' }],
        internal: true,
      },
    ],
  },
  deleteTopics: { type: 'deleteTopics', topics: [{ name: 't', topicId: ID }] },
  createPartitions: {
    type: 'createPartitions',
    validateOnly: true,
    topics: [{ name: 't', count: 4, assignments: [{ replicas: [1] }] }],
  },
  alterConfigs: {
    type: 'alterConfigs',
    validateOnly: true,
    replaceAll: true,
    resources: [
      {
        resourceType: 'broker',
        resourceName: '1',
        operations: (['set', 'delete', 'append', 'subtract'] as const).map((operation) => ({
          name: 'n',
          operation,
          value: 'v',
        })),
      },
    ],
  },
  electLeaders: {
    type: 'electLeaders',
    unclean: true,
    all: true,
    partitions: [{ topic: 't', partitionId: 1 }],
  },
  alterPartitionReassignments: {
    type: 'alterPartitionReassignments',
    allowReplicationFactorChange: true,
    partitions: [{ topic: 't', partitionId: 1, replicas: { nodes: [1, 2] } }],
  },
  allocateProducerIds: { type: 'allocateProducerIds', brokerId: 1, brokerEpoch: 4 },
  unregisterBroker: { type: 'unregisterBroker', brokerId: 1 },
  updateFeatures: {
    type: 'updateFeatures',
    validateOnly: true,
    updates: (['upgrade', 'safeDowngrade', 'unsafeDowngrade'] as const).map((upgradeType) => ({
      name: 'kogge.version',
      level: 2,
      upgradeType,
    })),
  },
  describeQuorum: { type: 'describeQuorum' },
  addVoter: { type: 'addVoter', nodeId: 4, directoryId: ID, host: 'h', port: 9093, ackWhenCommitted: false },
  removeVoter: { type: 'removeVoter', nodeId: 4, directoryId: ID, onlyIfSilent: true },
  promoteVoter: { type: 'promoteVoter', nodeId: 4 },
}

const error = { errorCode: 41, errorMessage: 'not the controller' }
const replies: Examples<ControllerReply> = {
  failed: { type: 'failed', ...error },
  registerBroker: { type: 'registerBroker', brokerEpoch: 3, clusterId: ID, ...error },
  brokerHeartbeat: {
    type: 'brokerHeartbeat',
    ...error,
    isFenced: true,
    isCaughtUp: true,
    shouldShutDown: true,
    sessionTimeoutMs: 3_000,
  },
  alterPartitions: {
    type: 'alterPartitions',
    errorCode: -1,
    partitions: [
      {
        topicId: ID,
        partitionId: 1,
        errorCode: 2,
        leader: -1,
        leaderEpoch: 1,
        isr: [1],
        partitionEpoch: 2,
        leaderRecovering: true,
      },
    ],
  },
  createTopics: {
    type: 'createTopics',
    topics: [{ name: 't', ...error, topicId: ID, numPartitions: 1, replicationFactor: 3 }],
  },
  deleteTopics: { type: 'deleteTopics', topics: [{ name: 't', topicId: ID, ...error }] },
  createPartitions: { type: 'createPartitions', topics: [{ name: 't', ...error }] },
  alterConfigs: {
    type: 'alterConfigs',
    resources: [{ resourceType: 'topic', resourceName: 't', ...error }],
  },
  electLeaders: {
    type: 'electLeaders',
    errorCode: 1,
    partitions: [{ topic: 't', partitionId: 1, ...error }],
  },
  alterPartitionReassignments: {
    type: 'alterPartitionReassignments',
    partitions: [{ topic: 't', partitionId: 1, ...error }],
  },
  allocateProducerIds: { type: 'allocateProducerIds', ...error, firstProducerId: 1000, count: 1000 },
  unregisterBroker: { type: 'unregisterBroker', ...error },
  updateFeatures: { type: 'updateFeatures', ...error, feature: 'f' },
  describeQuorum: {
    type: 'describeQuorum',
    leaderId: 1,
    leaderEpoch: 2,
    highWatermark: 3,
    voters: [
      {
        replicaId: 1,
        directoryId: ID,
        logEndOffset: 4,
        lastFetchTimestampMs: 1_700_000_000_000,
        lastCaughtUpTimestampMs: -1,
      },
    ],
    observers: [],
  },
  addVoter: { type: 'addVoter', ...error },
  removeVoter: { type: 'removeVoter', ...error },
  promoteVoter: { type: 'promoteVoter', ...error },
}

const entries: Examples<Entry> = {
  data: { type: 'data', term: 3, index: 8, payload: bytes },
  noOp: { type: 'noOp', term: 3, index: 9 },
  configuration: { type: 'configuration', term: 3, index: 10, configuration: { voters }, clusterId: ID },
}

const ballot = { term: 4, candidate: voter, voterDirectoryId: ID2, lastIndex: 9, lastTerm: 3, transfer: true }
const raftMessages: Examples<RaftMessage> = {
  preVote: { type: 'preVote', ...ballot, resigned: 'noQuorum' },
  preVoteReply: { type: 'preVoteReply', term: 4, voter, granted: true },
  vote: { type: 'vote', ...ballot },
  voteReply: { type: 'voteReply', term: 4, voter, granted: true },
  append: {
    type: 'append',
    term: 4,
    previousIndex: 7,
    previousTerm: 2,
    entries: Object.values(entries),
    commitIndex: 6,
  },
  appendReply: {
    type: 'appendReply',
    term: 4,
    follower: voter,
    success: true,
    matchIndex: 5,
    conflictIndex: 6,
    conflictTerm: 2,
  },
  heartbeat: { type: 'heartbeat', term: 4, commitIndex: 6, commitTerm: 3, readContext: 77, sentMs: 1234.5 },
  heartbeatReply: {
    type: 'heartbeatReply',
    term: 4,
    follower: voter,
    lastIndex: 5,
    readContext: 77,
    sentMs: 1234.5,
  },
  installSnapshot: {
    type: 'installSnapshot',
    term: 4,
    index: 5,
    snapshotTerm: 3,
    configuration: { voters },
    clusterId: ID,
    offset: 2 ** 33,
    totalBytes: 2 ** 34,
    checksum: 2 ** 32 - 1,
    chunk: bytes,
  },
  installSnapshotReply: {
    type: 'installSnapshotReply',
    term: 4,
    follower: voter,
    index: 5,
    nextOffset: 2 ** 33,
    done: true,
  },
  timeoutNow: { type: 'timeoutNow', term: 4 },
}

const context = {
  principal: 'User:ANONYMOUS',
  clientId: 'c',
  clientAddress: '127.0.0.1',
  listener: 'PLAINTEXT',
}
const peerMessages: Examples<PeerMessage> = {
  raft: { type: 'raft', clusterId: 'c', message: raftMessages.append },
  foundingEmpty: { type: 'foundingEmpty', self: voter, view: voters },
  foundingFounded: {
    type: 'foundingFounded',
    self: voter,
    clusterId: ID,
    configuration: { voters },
    directoryIdOfReceiver: ID2,
  },
  command: { type: 'command', requestId: 12, command: commands.createTopics, context, timeoutMs: 300 },
  commandReply: { type: 'commandReply', requestId: 12, reply: replies.createTopics },
  commandAbandoned: { type: 'commandAbandoned', requestId: 9 },
  introduction: {
    type: 'introduction',
    self: voter,
    host: 'h',
    port: 9093,
    isController: true,
    isConfigured: true,
    clusterId: 'c',
    features: [{ name: 'f', minLevel: 1, maxLevel: 2 }],
  },
  voterAddresses: { type: 'voterAddresses', voters: [{ nodeId: 1, host: 'h', port: 9093 }] },
}

const unions: [string, Record<string, object>][] = [
  ['kogge.metadata.v1.MetadataRecord', records],
  ['kogge.controller.v1.ControllerCommand', commands],
  ['kogge.controller.v1.ControllerReply', replies],
  ['kogge.raft.v1.Entry', entries],
  ['kogge.raft.v1.RaftMessage', raftMessages],
  ['kogge.peer.v1.PeerMessage', peerMessages],
]

/** Every value at its default: absent where optional, else false, 0, '' or empty. Enums have no default. */
function emptied(value: unknown, messageName: string): Record<string, unknown> {
  const type = protoRoot().lookupType(messageName)
  const result: Record<string, unknown> = {}
  const source = value as Record<string, unknown>
  const union = type.oneofs?.type
  if (union) {
    const member = type.fields[source.type as string]!.resolvedType!
    Object.assign(result, emptied(value, member.fullName), { type: source.type })
  }
  for (const field of type.fieldsArray) {
    if (field.partOf) continue
    const present = source[field.name]
    if (field.repeated) result[field.name] = []
    else if (present instanceof Uint8Array) result[field.name] = new Uint8Array(0)
    else if (typeof present === 'object') result[field.name] = emptied(present, field.resolvedType!.fullName)
    else if (field.resolvedType) result[field.name] = present
    else result[field.name] = typeof present === 'string' ? '' : typeof present === 'boolean' ? false : 0
  }
  return result
}

describe.each(unions)('%s', (name, examples) => {
  const codec = messageCodec<object>(name)

  it('has the same members as the TypeScript union', () => {
    expect(Object.keys(examples).sort()).toEqual([...protoRoot().lookupType(name).oneofs!.type!.oneof].sort())
  })

  it.each(Object.keys(examples))('%s names the same fields on both sides', (member) => {
    expect(fieldsOfProto(name, examples[member])).toEqual(fieldsOfValue(examples[member]))
  })

  it.each(Object.keys(examples))('%s comes back whole', (member) => {
    expect(codec.decode(codec.encode(examples[member]!))).toStrictEqual(examples[member])
  })

  it.each(
    Object.keys(examples),
  )('%s comes back with optional fields absent and the others empty', (member) => {
    const value = emptied(examples[member], name)
    expect(codec.decode(codec.encode(value))).toStrictEqual(value)
  })

  it.each(Object.keys(examples))('%s cut short is an error', (member) => {
    const whole = codec.encode(examples[member]!)
    for (let length = 0; length < whole.length; length++) {
      expect(() => codec.decode(whole.subarray(0, length))).toThrow()
    }
  })
})

/** Paths of all fields of a message, 'a', 'a.b' …; within a union those of the member at hand. */
function fieldsOfProto(messageName: string, value: unknown): string[] {
  const type = protoRoot().lookupType(messageName)
  const source = value as Record<string, unknown>
  const union = type.oneofs?.type
  const paths = union
    ? ['type', ...fieldsOfProto(type.fields[source.type as string]!.resolvedType!.fullName, value)]
    : []
  for (const field of type.fieldsArray) {
    if (union && field.partOf === union) continue
    paths.push(field.name)
    const present = source[field.name]
    const nested = Array.isArray(present) ? present : [present]
    if (!field.resolvedType || !('fields' in field.resolvedType)) continue
    for (const item of nested) {
      for (const path of fieldsOfProto(field.resolvedType.fullName, item)) paths.push(`${field.name}.${path}`)
    }
  }
  return [...new Set(paths)].sort()
}

function fieldsOfValue(value: unknown): string[] {
  const paths: string[] = []
  for (const [key, item] of Object.entries(value as object)) {
    paths.push(key)
    for (const nested of Array.isArray(item) ? item : [item]) {
      if (typeof nested !== 'object' || nested instanceof Uint8Array) continue
      for (const path of fieldsOfValue(nested)) paths.push(`${key}.${path}`)
    }
  }
  return [...new Set(paths)].sort()
}

describe('stored Raft state', () => {
  it('round-trips a hard state with and without a vote', () => {
    const codec = messageCodec<HardState>('kogge.raft.v1.HardState')
    for (const state of [{ term: 7, vote: voter }, { term: 7 }]) {
      expect(codec.decode(codec.encode(state))).toStrictEqual(state)
    }
  })

  it('round-trips a snapshot', () => {
    const codec = messageCodec<Snapshot>('kogge.raft.v1.Snapshot')
    const snapshot = { index: 5, term: 2, configuration: { voters }, clusterId: ID, data: bytes }
    expect(codec.decode(codec.encode(snapshot))).toStrictEqual(snapshot)
  })
})

describe('the two codecs', () => {
  it('carry a batch of records and a message', () => {
    const all = Object.values(records) as MetadataRecord[]
    const recordCodec = createMetadataRecordCodec()
    expect(recordCodec.decode(recordCodec.encode(all))).toStrictEqual(all)
    expect(recordCodec.decode(recordCodec.encode([]))).toEqual([])
    const peerCodec = createPeerMessageCodec()
    for (const message of Object.values(peerMessages) as PeerMessage[]) {
      expect(peerCodec.decode(peerCodec.encode(message))).toStrictEqual(message)
    }
  })
})

describe('errors', () => {
  const codec = createMetadataRecordCodec()
  const encode = (record: object) => () => codec.encode([record as MetadataRecord])

  it('name the field that is wrong', () => {
    expect(encode({ type: 'topicRecord', name: 't' })).toThrow('TopicRecord.topicId is missing')
    expect(encode({ type: 'topicRecord', name: 4, topicId: ID })).toThrow(
      'TopicRecord.name: wanted a string, got 4',
    )
    expect(encode({ type: 'bogus' })).toThrow('MetadataRecord has no type "bogus"')
    expect(encode({ ...records.configRecord, resourceType: 'user' })).toThrow('wanted one of topic, broker')
    expect(encode({ ...records.producerIdsRecord, nextProducerId: 2 ** 53 })).toThrow(
      'nextProducerId: wanted an integer',
    )
    expect(encode({ ...records.partitionRecord, leader: 1.5 })).toThrow('PartitionRecord.leader')
    expect(encode({ ...records.partitionRecord, leader: 2 ** 31 })).toThrow('PartitionRecord.leader')
  })

  it('refuse a record of a type that this version does not know', () => {
    // records { field 99 { } }
    expect(() => codec.decode(Uint8Array.of(0x0a, 3, 0x9a, 0x06, 0))).toThrow(
      'no type that this version knows',
    )
  })

  it('ignore a field that a newer version added', () => {
    // records { topic_record { name: "t" topic_id: "" 15: 1 } }
    expect(codec.decode(Uint8Array.of(0x0a, 7, 0x32, 5, 0x0a, 1, 0x74, 0x78, 1))).toEqual([
      { type: 'topicRecord', name: 't', topicId: '' },
    ])
  })

  it('refuse an integer beyond the safe range', () => {
    const beyond = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
    const record = [0x22, 2 + beyond.length, 0x08, 1, 0x10, ...beyond].with(1, 3 + beyond.length)
    expect(() => codec.decode(Uint8Array.of(0x0a, record.length, ...record))).toThrow('not a safe integer')
  })
})

it('knows a reply to a heartbeat that echoes nothing from one that echoes 0', () => {
  const codec = createPeerMessageCodec()
  const { sentMs: _sentMs, ...older } = raftMessages.heartbeatReply
  for (const message of [older, { ...older, sentMs: 0 }] as RaftMessage[]) {
    const raft: PeerMessage = { type: 'raft', clusterId: ID, message }
    expect(codec.decode(codec.encode(raft))).toStrictEqual(raft)
  }
})

it('cuts an encoded batch into parts, each of whole records', () => {
  const codec = createMetadataRecordCodec()
  const batch = Array.from({ length: 100 }, (_, i) => ({
    type: 'topicRecord' as const,
    name: `topic-${i}`.padEnd(i === 50 ? 500 : 20, 'x'),
    topicId: records.topicRecord.topicId,
  }))
  const bytes = codec.encode(batch)
  const parts = codec.split(bytes, 300)
  expect(Buffer.concat(parts).equals(Buffer.from(bytes))).toBe(true)
  expect(parts.flatMap((part) => [...codec.decode(part)])).toEqual(batch)
  expect(parts.length).toBeGreaterThan(10)
  // One that is larger goes alone.
  expect(parts.filter((part) => part.length > 300)).toHaveLength(1)
  expect(codec.split(bytes, bytes.length)).toHaveLength(1)
  expect(codec.split(new Uint8Array(0), 300)).toEqual([])
})

describe('protobuf itself agrees', () => {
  it('reads what was written, and the other way about', () => {
    const type = protoRoot().lookupType('kogge.metadata.v1.MetadataRecordBatch')
    const { type: _type, ...fields } = records.registerBrokerRecord
    const official = type.encode(type.fromObject({ records: [{ registerBrokerRecord: fields }] })).finish()
    const codec = createMetadataRecordCodec()
    expect(Buffer.from(codec.encode([records.registerBrokerRecord])).equals(Buffer.from(official))).toBe(true)
    expect(codec.decode(official)).toEqual([records.registerBrokerRecord])
  })
})
