/**
 * Metadata (key 3), versions 0-13, flexible from 9.
 * v0 knows no null: an empty list asks for all topics. From v1 on null asks for all, and empty for none.
 * v1 racks, controller id, internal topics · v2 cluster id · v4 auto-creation is the client's wish ·
 * v5 offline replicas · v7 leader epochs (KIP-320) · v8 authorised operations (KIP-430) · v9 flexible ·
 * v10 topic ids (KIP-516), usable in requests from v12 · v13 an error of the whole request.
 */
import { ZERO_UUID } from '../../lib/ids.js'
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int16,
  int32,
  message,
  string,
  uuid,
} from '../schema.js'

export const MetadataRequest = message(
  { name: 'MetadataRequest', apiKey: 3, versions: '0-13', flexible: '9+' },
  {
    topics: array(
      '0+',
      {
        topicId: uuid('10+', { default: ZERO_UUID }),
        name: string('0+', { nullable: '10+' }),
      },
      { nullable: '1+' },
    ),
    allowAutoTopicCreation: bool('4+', { default: true }),
    includeClusterAuthorizedOperations: bool('8-10', { default: false }),
    includeTopicAuthorizedOperations: bool('8+', { default: false }),
  },
)

export const MetadataResponse = message(
  { name: 'MetadataResponse', apiKey: 3, versions: '0-13', flexible: '9+' },
  {
    throttleTimeMs: int32('3+', { default: 0 }),
    brokers: array('0+', {
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('1+', { default: null, nullable: '1+' }),
    }),
    clusterId: string('2+', { default: null, nullable: '2+' }),
    controllerId: int32('1+', { default: -1 }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: string('0+', { nullable: '12+' }),
      topicId: uuid('10+', { default: ZERO_UUID }),
      isInternal: bool('1+', { default: false }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('7+', { default: -1 }),
        replicaNodes: array('0+', int32),
        isrNodes: array('0+', int32),
        offlineReplicas: array('5+', int32, { default: [] }),
      }),
      /** One bit for each operation; -2³¹: not asked for (KIP-430). */
      topicAuthorizedOperations: int32('8+', { default: -0x80000000 }),
    }),
    /** One bit for each operation; -2³¹: not asked for (KIP-430). */
    clusterAuthorizedOperations: int32('8-10', { default: -0x80000000 }),
    errorCode: int16('13+', { default: 0 }),
  },
)

export type MetadataRequest = Infer<typeof MetadataRequest>
export type MetadataResponse = InferInput<typeof MetadataResponse>

export const Metadata = api('Metadata', MetadataRequest, MetadataResponse)
