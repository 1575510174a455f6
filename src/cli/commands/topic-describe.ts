import type { ClusterTopic } from '../../adapters/kafka-client/index.js'
import { throwIfError } from '../../adapters/kafka-client/index.js'
import { DescribeConfigs } from '../../wire/messages/describe-configs.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { plural, print, printJson, table } from '../output.js'

const TOPIC_RESOURCE = 2
/** DescribeConfigs: set on the topic itself. */
const TOPIC_SOURCE = 1

export const command: Command = {
  name: 'topic describe',
  summary: 'Shows the partitions, leaders, replicas and configuration of topics.',
  synopsis: '[topic…] [options]',
  positionals: [0, 1_000],
  options: CLIENT_OPTIONS,
  example: 'kogge topic describe orders',
  run,
}

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
    return topics.map((topic) => ({ ...topic, configs: configs.get(topic.name) ?? {} }))
  })
  if (json) printJson(described)
  else print(described.map(asText).join('\n\n'))
}

function asText(topic: ClusterTopic & { configs: Record<string, string | null> }): string {
  const configs = Object.entries(topic.configs).map(([key, value]) => `${key}=${value}`)
  const rows = topic.partitions.map((partition) => [
    partition.index,
    partition.leader < 0 ? 'none' : String(partition.leader),
    partition.leaderEpoch,
    partition.replicas.join(','),
    partition.isr.join(','),
  ])
  return [
    `${topic.name}  ${plural(topic.partitions.length, 'partition')}, id ${topic.topicId}${configs.length > 0 ? `, ${configs.join(', ')}` : ''}`,
    table(['PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'ISR'], rows),
  ].join('\n')
}
