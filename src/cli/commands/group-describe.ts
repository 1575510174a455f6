import { type KafkaClient, LATEST, listOffsets, throwIfError } from '../../adapters/kafka-client/index.js'
import { DescribeGroups } from '../../wire/messages/describe-groups.js'
import { OffsetFetch } from '../../wire/messages/offset-fetch.js'
import { array, bytes, int32, message, string } from '../../wire/schema.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { failure } from '../errors.js'
import { plural, print, printJson, table } from '../output.js'

/** From this version on topics are named by id. */
const LAST_VERSION_BY_NAME = 9

/** What the members' leader hands out (KIP-429's later fields left aside): an int16 version stands in front. */
const Assignment = message(
  { name: 'ConsumerProtocolAssignment', apiKey: -1, versions: '0', flexible: 'none' },
  {
    assignedPartitions: array('0+', { topic: string('0+'), partitions: array('0+', int32) }),
    userData: bytes('0+', { nullable: '0+' }),
  },
)

export const command: Command = {
  name: 'group describe',
  summary: 'Shows the state, members, committed offsets and lag of a consumer group.',
  synopsis: '<group> [options]',
  positionals: [1, 1],
  options: CLIENT_OPTIONS,
  example: 'kogge group describe billing',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const group = invocation.positionals[0]!
  const described = await withClient(invocation, (client) => describe(client, group))
  if (json) printJson(described)
  else print(asText(described))
}

type Described = Awaited<ReturnType<typeof describe>>

async function describe(client: KafkaClient, groupId: string) {
  const answer = await client.requestCoordinator(
    groupId,
    DescribeGroups,
    { groups: [groupId] },
    ({ groups }) => throwIfError(groups[0]!.errorCode, groups[0]!.errorMessage),
  )
  const group = answer.groups[0]!
  // Before version 6 a group that nobody knows is an empty answer in state Dead (KIP-1043).
  if (group.groupState === 'Dead') throw failure(`There is no group ${groupId}.`)
  const members = group.members.map((member) => ({
    memberId: member.memberId,
    instanceId: member.groupInstanceId,
    clientId: member.clientId,
    host: member.clientHost,
    assignment: group.protocolType === 'consumer' ? assignmentOf(member.memberAssignment) : [],
  }))
  return {
    group: groupId,
    state: group.groupState,
    protocol: group.protocolData,
    members,
    offsets: await offsetsOf(client, groupId),
  }
}

function assignmentOf(encoded: Uint8Array): { topic: string; partitions: readonly number[] }[] {
  // Empty while the group rebalances.
  if (encoded.length < 6) return []
  return Assignment.decode(encoded.subarray(2), 0).assignedPartitions
}

async function offsetsOf(client: KafkaClient, groupId: string) {
  const answer = await client.requestCoordinator(
    groupId,
    OffsetFetch,
    { groupId, topics: null, groups: [{ groupId, topics: null }] },
    (fetched) => throwIfError(fetched.groups[0]?.errorCode ?? fetched.errorCode),
    LAST_VERSION_BY_NAME,
  )
  const topics = answer.groups[0]?.topics ?? answer.topics
  const rows = []
  for (const { name, partitions } of topics) {
    const ends = await listOffsets(
      client,
      name,
      partitions.map((p) => p.partitionIndex),
      LATEST,
    )
    for (const { partitionIndex, committedOffset } of partitions) {
      const end = ends.get(partitionIndex) ?? -1
      rows.push({
        topic: name,
        partition: partitionIndex,
        committed: committedOffset,
        end,
        lag: Math.max(0, end - committedOffset),
      })
    }
  }
  return rows
}

function asText({ group, state, protocol, members, offsets }: Described): string {
  const owner = (topic: string, partition: number) =>
    members.find((m) => m.assignment.some((a) => a.topic === topic && a.partitions.includes(partition)))
  return [
    `${group}  ${state}, ${plural(members.length, 'member')}${protocol === '' ? '' : `, ${protocol}`}`,
    table(
      ['TOPIC', 'PARTITION', 'COMMITTED', 'END', 'LAG', 'MEMBER', 'HOST'],
      offsets.map((row) => {
        const member = owner(row.topic, row.partition)
        return [
          row.topic,
          row.partition,
          row.committed,
          row.end,
          row.lag,
          member?.memberId ?? '-',
          member?.host ?? '-',
        ]
      }),
    ),
  ].join('\n')
}
