import { KafkaError } from '../../adapters/kafka-client/index.js'
import { ErrorCode } from '../../wire/errors.js'
import { CreateTopics } from '../../wire/messages/create-topics.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { plural, print, printJson } from '../output.js'

/** The broker's defaults (KIP-464). */
const DEFAULT = -1

export const command: Command = {
  name: 'topic create',
  summary: 'Creates a topic.',
  synopsis: '<topic> [options]',
  positionals: [1, 1],
  options: {
    partitions: {
      type: 'string',
      placeholder: 'number',
      help: "How many partitions (default: the cluster's num.partitions).",
    },
    'replication-factor': {
      type: 'string',
      placeholder: 'number',
      help: 'Replicas of each (default: 3, or as many as there are brokers).',
    },
    config: {
      type: 'string',
      multiple: true,
      placeholder: 'key=value',
      help: 'A topic configuration. May be repeated.',
    },
    'if-not-exists': { type: 'boolean', help: 'No error where the topic exists already.' },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge topic create orders --partitions 3 --config retention.ms=86400000',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const name = invocation.positionals[0]!
  const numPartitions = invocation.wholeNumber('partitions', 1, 100_000) ?? DEFAULT
  const replicationFactor = invocation.wholeNumber('replication-factor', 1, 1_000) ?? DEFAULT
  const configs = invocation.pairs('config').map(([key, value]) => ({ name: key, value }))
  const json = invocation.wantsJson()
  await withClient(invocation, async (client) => {
    let tries = 0
    const created = await client.retrying(async () => {
      tries++
      const answer = await client.request(
        CreateTopics,
        {
          topics: [{ name, numPartitions, replicationFactor, assignments: [], configs }],
          timeoutMs: client.timeoutMs,
        },
        { requestTimeoutMs: client.timeoutMs },
      )
      const topic = answer.topics[0]!
      // An earlier try may have made it, its answer lost; only the first one can tell that somebody else did.
      const ours = tries > 1 || invocation.flag('if-not-exists')
      if (topic.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS && ours) return undefined
      if (topic.errorCode !== 0) throw new KafkaError(topic.errorCode, topic.errorMessage)
      return topic
    })
    const { partitions, topicId } =
      created === undefined ? await client.topic(name) : await visible(client, name)
    const replicas = partitions[0]?.replicas.length ?? 0
    if (json)
      printJson({
        name,
        topicId,
        created: created !== undefined,
        partitions: partitions.length,
        replicationFactor: replicas,
      })
    else
      print(
        `${name}: ${plural(partitions.length, 'partition')}, ${plural(replicas, 'replica')}${created ? '' : ' (existed already)'}`,
      )
  })
}

/** The broker that is asked may learn of the topic a moment after the controller has answered. */
function visible(client: Parameters<Parameters<typeof withClient>[1]>[0], name: string) {
  return client.retrying(async () => {
    const topic = await client.topic(name)
    if (topic.partitions.some((partition) => partition.leader < 0))
      throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
    return topic
  })
}
