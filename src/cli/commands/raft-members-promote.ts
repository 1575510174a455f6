import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { INSPECT_OPTION } from '../inspect-client.js'
import { changeMembers, nodeIdOf, reachedNodes } from '../raft-members.js'

export const command: Command = {
  name: 'raft members promote',
  summary:
    'Makes an observer of the metadata quorum a voter, under the directory that it answers from, once it has caught up.\n' +
    'One change at a time.',
  synopsis: '<node id> [options]',
  positionals: [1, 1],
  options: { ...INSPECT_OPTION, ...CLIENT_OPTIONS },
  example: 'kogge raft members promote 4',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const nodeId = nodeIdOf(invocation)
  const reached = await reachedNodes(invocation)
  await changeMembers(invocation, reached, { type: 'promoteVoter', nodeId }, `node ${nodeId} is a voter`)
}
