import type { ClusterTopic } from '../../adapters/kafka-client/index.js'
import { throwIfError } from '../../adapters/kafka-client/index.js'
import { DescribeConfigs } from '../../wire/messages/describe-configs.js'
import { ListPartitionReassignments } from '../../wire/messages/list-partition-reassignments.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { plural, print, printJson, table } from '../output.js'

const TOPIC_RESOURCE = 2
/** DescribeConfigs: set on the topic itself. */
const TOPIC_SOURCE = 1

export const command: Command = {
  name: 'topic describe',
  summary: 'Shows the partitions, leaders, replicas, reassignments and configuration of topics.',
  synopsis: '[topic…] [options]',
  positionals: [0, 1_000],
  options: CLIENT_OPTIONS,
  example: 'kogge topic describe orders',
  run,
}

/** As `topic describe` shows it. While a reassignment goes on, `replicas` holds those that come and those that go. */
export interface DescribedTopic extends Omit<ClusterTopic, 'partitions'> {
  readonly configs: Record<string, string | null>
  readonly partitions: readonly (ClusterTopic['partitions'][number] & Move)[]
}

interface Move {
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

const NO_MOVE: Move = { addingReplicas: [], removingReplicas: [] }

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const described = await withClient(invocation, async (client) => {
    const names = invocation.positionals
    const topics =
      names.length > 0
        ? await Promise.all(names.map((name) => client.topic(name)))
        : (await client.metadata(null)).topics.filter((topic) => !topic.isInternal)
    const configs = new Map<string, Record<string, string | null>>()
    if (topics.length > 0) {
      const answer = await client.request(DescribeConfigs, {
        resources: topics.map(({ name }) => ({
          resourceType: TOPIC_RESOURCE,
          resourceName: name,
          configurationKeys: null,
        })),
      })
      for (const result of answer.results) {
        throwIfError(result.errorCode, result.errorMessage)
        const own = result.configs.filter((config) => config.configSource === TOPIC_SOURCE)
        configs.set(result.resourceName, Object.fromEntries(own.map(({ name, value }) => [name, value])))
      }
    }
    const moves = new Map<string, Move>()
    const moving = await client.request(ListPartitionReassignments, {
      timeoutMs: invocation.timeoutMs(),
      topics: null,
    })
    throwIfError(moving.errorCode, moving.errorMessage)
    for (const { name, partitions } of moving.topics) {
      for (const { partitionIndex, addingReplicas, removingReplicas } of partitions)
        moves.set(`${name}-${partitionIndex}`, { addingReplicas, removingReplicas })
    }
    return topics.map(
      (topic): DescribedTopic => ({
        ...topic,
        partitions: topic.partitions.map((partition) => ({
          ...partition,
          ...(moves.get(`${topic.name}-${partition.index}`) ?? NO_MOVE),
        })),
        configs: configs.get(topic.name) ?? {},
      }),
    )
  })
  if (json) printJson(described)
  else print(described.map(asText).join('\n\n'))
}

export function asText(topic: DescribedTopic): string {
  const isMoving = topic.partitions.some(
    ({ addingReplicas, removingReplicas }) => addingReplicas.length + removingReplicas.length > 0,
  )
  const configs = Object.entries(topic.configs).map(([key, value]) => `${key}=${value}`)
  const rows = topic.partitions.map((partition) => [
    partition.index,
    partition.leader < 0 ? 'none' : String(partition.leader),
    partition.leaderEpoch,
    partition.replicas.join(','),
    partition.isr.join(','),
    ...(isMoving ? [partition.addingReplicas.join(','), partition.removingReplicas.join(',')] : []),
  ])
  const columns = [
    'PARTITION',
    'LEADER',
    'EPOCH',
    'REPLICAS',
    'ISR',
    ...(isMoving ? ['ADDING', 'REMOVING'] : []),
  ]
  return [
    `${topic.name}  ${plural(topic.partitions.length, 'partition')}, id ${topic.topicId}${configs.length > 0 ? `, ${configs.join(', ')}` : ''}`,
    table(columns, rows),
  ].join('\n')
}
