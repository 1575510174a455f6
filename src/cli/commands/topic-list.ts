import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'topic list',
  summary: 'Lists topics.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: {
    internal: { type: 'boolean', help: "Also the cluster's own topics (__consumer_offsets)." },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge topic list --internal',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const { topics } = await withClient(invocation, (client) => client.metadata(null))
  const shown = topics
    .filter((topic) => invocation.flag('internal') || !topic.isInternal)
    .map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      internal: topic.isInternal,
      partitions: topic.partitions.length,
      replicationFactor: topic.partitions[0]?.replicas.length ?? 0,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  if (json) printJson(shown)
  else
    print(
      table(
        ['TOPIC', 'PARTITIONS', 'REPLICAS'],
        shown.map((t) => [t.name, t.partitions, t.replicationFactor]),
      ),
    )
}
