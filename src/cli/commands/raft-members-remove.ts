import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { failure } from '../errors.js'
import { INSPECT_OPTION } from '../inspect-client.js'
import { changeMembers, directoryOf, nodeIdOf, reachedNodes } from '../raft-members.js'

export const command: Command = {
  name: 'raft members remove',
  summary:
    'Takes the vote of a voter of the metadata quorum; the node goes on as an observer where it runs. The leader may be\n' +
    'removed too: it hands over and steps down. One change at a time; a majority of the others must answer.',
  synopsis: '<node id> [options]',
  positionals: [1, 1],
  options: {
    directory: {
      type: 'string',
      placeholder: 'id',
      help: 'Directory id of the voter; without it, the one that counts at present.',
    },
    ...INSPECT_OPTION,
    ...CLIENT_OPTIONS,
  },
  example: 'kogge raft members remove 3',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const nodeId = nodeIdOf(invocation)
  const given = directoryOf(invocation)
  const reached = await reachedNodes(invocation)
  const { voters } = reached[0]!.status.quorum
  const directoryId = given ?? voters.find((voter) => voter.nodeId === nodeId)?.directoryId
  if (directoryId === undefined) {
    const ids = voters.map((voter) => voter.nodeId).join(', ')
    throw failure(`VOTER_NOT_FOUND: node ${nodeId} is no voter; the voters are ${ids}.`)
  }
  const command = { type: 'removeVoter' as const, nodeId, directoryId }
  await changeMembers(
    invocation,
    reached,
    command,
    `node ${nodeId} (directory ${directoryId}) is no voter any more`,
  )
}
