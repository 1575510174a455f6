import { type KafkaClient, throwIfError } from '../../adapters/kafka-client/index.js'
import { DescribeCluster } from '../../wire/messages/describe-cluster.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { plural, print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'cluster status',
  summary: 'Shows the brokers, the controller and the health of the partitions.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: CLIENT_OPTIONS,
  example: 'kogge cluster status',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const status = await withClient(invocation, readStatus)
  if (json) printJson(status)
  else print(asText(status))
}

type Status = Awaited<ReturnType<typeof readStatus>>

async function readStatus(client: KafkaClient) {
  const cluster = await client.request(DescribeCluster, {
    includeClusterAuthorizedOperations: false,
    includeFencedBrokers: true,
  })
  throwIfError(cluster.errorCode, cluster.errorMessage)
  const { topics } = await client.metadata(null)
  const partitions = topics.flatMap((topic) => topic.partitions)
  const brokers = cluster.brokers
    .map(({ brokerId, host, port, rack, isFenced }) => ({
      nodeId: brokerId,
      address: `${host}:${port}`,
      rack,
      state: isFenced ? 'fenced' : 'running',
      leaderships: partitions.filter((partition) => partition.leader === brokerId).length,
      replicas: partitions.filter((partition) => partition.replicas.includes(brokerId)).length,
    }))
    .sort((a, b) => a.nodeId - b.nodeId)
  return {
    clusterId: cluster.clusterId,
    controllerId: cluster.controllerId,
    brokers,
    topics: topics.length,
    partitions: partitions.length,
    underReplicated: partitions.filter((p) => p.isr.length < p.replicas.length).length,
    withoutLeader: partitions.filter((p) => p.leader < 0).length,
  }
}

function asText(status: Status): string {
  const rows = status.brokers.map((b) => [
    b.nodeId,
    b.address,
    b.rack ?? '-',
    b.state,
    b.leaderships,
    b.replicas,
  ])
  return [
    `cluster ${status.clusterId}`,
    `${plural(status.topics, 'topic')}, ${plural(status.partitions, 'partition')}: ${status.underReplicated} under-replicated, ${status.withoutLeader} without a leader`,
    table(['NODE', 'ADDRESS', 'RACK', 'STATE', 'LEADS', 'REPLICAS'], rows),
  ].join('\n')
}
