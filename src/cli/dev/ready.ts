import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaError } from '../../adapters/kafka-client/errors.js'
import { KafkaClient, Producer } from '../../adapters/kafka-client/index.js'
import { ErrorCode } from '../../wire/errors.js'
import { CreateTopics } from '../../wire/messages/create-topics.js'
import { DeleteTopics } from '../../wire/messages/delete-topics.js'
import { type DevNode, isBroker } from './layout.js'

const PROBE_TOPIC = '__kogge_ready'
const POLL_MS = 15
/** Long enough for anything that still comes by itself; the loop around it has no end but the user's. */
const TRY_MS = 5_000

/**
 * Resolves when every broker is unfenced and a record has been acknowledged by as many replicas as a topic gets by
 * default: by trying it, on a topic that is deleted again. Also resolves when `isStopped`.
 */
export async function waitUntilReady(nodes: readonly DevNode[], isStopped: () => boolean): Promise<void> {
  const brokers = nodes.filter(isBroker)
  const bootstrap = brokers.map(({ config }) => {
    const listener = config.listeners[0]!
    return { host: listener.advertisedHost, port: listener.advertisedPort }
  })
  const client = new KafkaClient({
    bootstrap,
    clientId: 'kogge-dev',
    timeoutMs: TRY_MS,
    connectTimeoutMs: 1_000,
  })
  try {
    while (!isStopped()) {
      if (await isReady(client, brokers.length)) return
      await sleep(POLL_MS)
    }
  } finally {
    client.close()
  }
}

async function isReady(client: KafkaClient, brokers: number): Promise<boolean> {
  try {
    const { brokers: alive } = await client.metadata([])
    if (alive.length < brokers) return false
    await createProbe(client, Math.min(3, brokers))
    const topic = await client.topic(PROBE_TOPIC)
    const partition = topic.partitions[0]
    if (partition === undefined || partition.isr.length < partition.replicas.length) return false
    const producer = await Producer.open(client, PROBE_TOPIC)
    await producer.send(null, Buffer.from('ready'), Date.now())
    await producer.flush()
    await deleteProbe(client)
    return true
  } catch (error) {
    const name = error instanceof Error ? error.name : ''
    if (name === 'KafkaError' || name === 'KafkaUnreachableError' || name === 'KafkaConnectionError')
      return false
    throw error
  }
}

async function createProbe(client: KafkaClient, replicationFactor: number): Promise<void> {
  const answer = await client.request(CreateTopics, {
    topics: [{ name: PROBE_TOPIC, numPartitions: 1, replicationFactor, assignments: [], configs: [] }],
    timeoutMs: TRY_MS,
  })
  const { errorCode, errorMessage } = answer.topics[0]!
  if (errorCode !== 0 && errorCode !== ErrorCode.TOPIC_ALREADY_EXISTS)
    throw new KafkaError(errorCode, errorMessage)
}

async function deleteProbe(client: KafkaClient): Promise<void> {
  const answer = await client.request(DeleteTopics, {
    topics: [{ name: PROBE_TOPIC, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    topicNames: [PROBE_TOPIC],
    timeoutMs: TRY_MS,
  })
  const { errorCode, errorMessage } = answer.responses[0]!
  if (errorCode !== 0 && errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    throw new KafkaError(errorCode, errorMessage)
}
