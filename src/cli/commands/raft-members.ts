import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { INSPECT_OPTION } from '../inspect-client.js'
import { print, printJson, table } from '../output.js'
import { type Member, membersOf, reachedNodes } from '../raft-members.js'

export const command: Command = {
  name: 'raft members',
  summary:
    'Lists the voters of the metadata quorum and its observers, each with its directory, as the leader sees them.\n' +
    "See also 'kogge raft members add|remove|promote --help'.",
  synopsis: '[list] [options]',
  positionals: [0, 1],
  options: { ...INSPECT_OPTION, ...CLIENT_OPTIONS },
  example: 'kogge raft members\nkogge raft members list -o json --inspect 127.0.0.1:9093',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const [action] = invocation.positionals
  if (action !== undefined && action !== 'list') {
    throw invocation.usage(`kogge raft members does not know '${action}': list, add, remove or promote.`)
  }
  const json = invocation.wantsJson()
  const members = membersOf(await reachedNodes(invocation))
  if (json) printJson(members)
  else print(table(['NODE', 'DIRECTORY', 'ROLE', 'MATCH', 'LAG', 'HEARD', 'ADDRESS'], members.map(row)))
}

function row({ nodeId, directoryId, role, matchIndex, lag, lastHeardMs, address }: Member): string[] {
  const heard = lastHeardMs === null ? '-' : `${lastHeardMs} ms ago`
  return [
    String(nodeId),
    directoryId,
    role,
    String(matchIndex ?? '-'),
    String(lag ?? '-'),
    role === 'leader' ? '-' : heard,
    address ?? '-',
  ]
}
