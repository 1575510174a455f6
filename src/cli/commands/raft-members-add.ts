import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { parseAddresses } from '../connect.js'
import { failure } from '../errors.js'
import { INSPECT_OPTION } from '../inspect-client.js'
import { changeMembers, directoryOf, membersOf, nodeIdOf, reachedNodes } from '../raft-members.js'

export const command: Command = {
  name: 'raft members add',
  summary:
    'Makes a controller a voter of the metadata quorum. It must run; it is replicated to first, and counts once it has\n' +
    'caught up. One change at a time.',
  synopsis: '<node id> [options]',
  positionals: [1, 1],
  options: {
    directory: {
      type: 'string',
      placeholder: 'id',
      help: 'Directory id of the node; without it, the one that it runs from.',
    },
    address: {
      type: 'string',
      placeholder: 'host:port',
      help: 'gRPC address of the node, where the cluster does not know it yet.',
    },
    ...INSPECT_OPTION,
    ...CLIENT_OPTIONS,
  },
  example:
    'kogge raft members add 4\nkogge raft members add 4 --directory q1Sv0VjMQrqWYyW3bYb2-g --timeout 60',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const nodeId = nodeIdOf(invocation)
  const given = directoryOf(invocation)
  const addressText = invocation.text('address')
  const address = addressText === undefined ? undefined : parseAddresses('address', addressText)[0]
  const reached = await reachedNodes(invocation)
  const self = reached.find(({ status }) => status.quorum.nodeId === nodeId)?.status.quorum
  const observer = membersOf(reached).find((member) => member.nodeId === nodeId && member.role === 'observer')
  const directoryId = given ?? self?.directoryId ?? observer?.directoryId
  if (directoryId === undefined) {
    throw failure(
      `Node ${nodeId} does not answer: start it, name its address with --inspect, or its --directory.`,
    )
  }
  const command = { type: 'addVoter' as const, nodeId, directoryId, ...address }
  await changeMembers(invocation, reached, command, `node ${nodeId} (directory ${directoryId}) is a voter`)
}
