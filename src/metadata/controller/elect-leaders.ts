import { NO_NODE } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { ControllerReply, ElectLeaders, ElectLeadersResult } from '../commands.js'
import type { TopicImage } from '../image.js'
import type { ControllerState } from './state.js'

/** KIP-183 and KIP-460: back to the preferred replica, or uncleanly where no leader is left. */
export function electLeaders(state: ControllerState, command: ElectLeaders): ControllerReply {
  const partitions: ElectLeadersResult[] = []
  if (command.all) {
    state.forEachPartition((topic, partitionId) => {
      const result = electLeader(state, topic, partitionId, command.unclean)
      // As Kafka does it: who asks for all of them is told of those where there was something to do.
      if (result.errorCode !== ErrorCode.ELECTION_NOT_NEEDED) partitions.push(result)
    })
    return { type: 'electLeaders', errorCode: ErrorCode.NONE, partitions }
  }
  for (const { topic: name, partitionId } of command.partitions) {
    const topic = state.image.topicsByName.get(name)
    if (topic?.partitions[partitionId] === undefined) {
      const errorMessage = `partition ${name}-${partitionId} does not exist`
      partitions.push({
        topic: name,
        partitionId,
        errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        errorMessage,
      })
    } else {
      partitions.push(electLeader(state, topic, partitionId, command.unclean))
    }
  }
  return { type: 'electLeaders', errorCode: ErrorCode.NONE, partitions }
}

function electLeader(
  state: ControllerState,
  topic: TopicImage,
  partitionId: number,
  unclean: boolean,
): ElectLeadersResult {
  const answer = (errorCode: number, errorMessage: string): ElectLeadersResult => ({
    topic: topic.name,
    partitionId,
    errorCode,
    errorMessage,
  })
  const isFull = !state.hasRoomForCommand
  if (!isFull) state.evictFenced(topic, partitionId)
  const partition = state.partition(topic, partitionId)
  if (unclean) {
    if (partition.leader !== NO_NODE) {
      return answer(
        ErrorCode.ELECTION_NOT_NEEDED,
        `broker ${partition.leader} leads: an unclean election is for partitions without a leader`,
      )
    }
    if (isFull) return answer(ErrorCode.REQUEST_TIMED_OUT, TOO_MANY)
    state.change(topic, partitionId, {}, true)
    return state.partition(topic, partitionId).leader === NO_NODE
      ? answer(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, 'none of the replicas is up')
      : answer(ErrorCode.NONE, '')
  }
  const preferred = partition.replicas[0]
  if (partition.leader === preferred)
    return answer(ErrorCode.ELECTION_NOT_NEEDED, `broker ${preferred} leads already`)
  if (isFull) return answer(ErrorCode.REQUEST_TIMED_OUT, TOO_MANY)
  state.change(topic, partitionId, { preferred: true })
  return state.partition(topic, partitionId).leader === preferred
    ? answer(ErrorCode.NONE, '')
    : answer(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, `broker ${preferred} is not up or not in the ISR`)
}

const TOO_MANY = 'one request elects no more leaders: ask again for the rest'
