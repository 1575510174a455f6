import { throwIfError } from '../../adapters/kafka-client/index.js'
import { ListGroups } from '../../wire/messages/list-groups.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'group list',
  summary: 'Lists consumer groups.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: CLIENT_OPTIONS,
  example: 'kogge group list',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  // Each broker knows the groups that it coordinates, and no others.
  const groups = await withClient(invocation, (client) =>
    client.retrying(async () => {
      const { brokers } = await client.metadata([])
      const lists = await Promise.all(
        brokers.map(async ({ nodeId }) => {
          const answer = await client.requestFrom(nodeId, ListGroups, {})
          throwIfError(answer.errorCode)
          return answer.groups.map((group) => ({
            group: group.groupId,
            state: group.groupState,
            type: group.groupType,
            protocolType: group.protocolType,
            coordinator: nodeId,
          }))
        }),
      )
      return lists.flat().sort((a, b) => (a.group < b.group ? -1 : 1))
    }),
  )
  if (json) printJson(groups)
  else
    print(
      table(
        ['GROUP', 'STATE', 'TYPE', 'COORDINATOR'],
        groups.map((g) => [g.group, g.state, g.type, g.coordinator]),
      ),
    )
}
