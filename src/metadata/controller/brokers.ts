import { NO_NODE, type NodeId, ZERO_UUID } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { BrokerHeartbeat, BrokerHeartbeatReply, ControllerReply, RegisterBroker } from '../commands.js'
import { firstUnsupported } from '../features.js'
import type { BrokerImage, PartitionImage } from '../image.js'
import { effectiveMinIsrs, settleMinIsr } from './min-isr.js'
import { holdsNothing } from './partition-change.js'
import type { ControllerState } from './state.js'

type RegisterReply = Extract<ControllerReply, { type: 'registerBroker' }>

/**
 * A new process (KIP-903). The same data directory proves, by its lock, that the old process is dead: it is fenced
 * without waiting for its session. Another directory must wait until the old session has ended. Either way the new one
 * is registered when the former one is settled; until then it is told to try again.
 */
export function registerBroker(
  state: ControllerState,
  command: RegisterBroker,
  nowMs: number,
): RegisterReply {
  const { clusterId } = state.options
  const reply = (brokerEpoch: number, errorCode: number, errorMessage: string): RegisterReply => ({
    type: 'registerBroker',
    brokerEpoch,
    clusterId,
    errorCode,
    errorMessage,
  })
  if (command.clusterId !== clusterId) {
    const message = `broker ${command.brokerId} belongs to cluster ${command.clusterId}, this one is ${clusterId}: check its data directory`
    return reply(-1, ErrorCode.INCONSISTENT_CLUSTER_ID, message)
  }
  if (command.brokerId < 0 || command.directoryIds.length === 0 || command.endpoints.length === 0) {
    return reply(
      -1,
      ErrorCode.INVALID_REQUEST,
      'a registration names a broker id, a directory and an endpoint',
    )
  }
  const former = state.image.brokers.get(command.brokerId)
  if (former?.incarnationId === command.incarnationId) return reply(former.epoch, ErrorCode.NONE, '')

  const sameDirectory = former?.directoryIds.some((id) => command.directoryIds.includes(id)) ?? false
  if (
    former !== undefined &&
    !sameDirectory &&
    state.sessions.isAlive(former.id, state.sessionTimeoutMs, nowMs)
  ) {
    const message = `broker ${former.id} is registered with another data directory and its session is alive: two processes use node.id=${former.id}, or the old one stopped less than ${state.sessionTimeoutMs} ms ago`
    return reply(-1, ErrorCode.DUPLICATE_BROKER_REGISTRATION, message)
  }
  const unsupported = firstUnsupported(state.image.features, command.features)
  if (unsupported !== undefined) {
    const { name, level, range } = unsupported
    const supports =
      range === undefined ? 'does not know it' : `supports ${range.minLevel} to ${range.maxLevel}`
    const message = `the cluster has finalised ${name} at level ${level}, and broker ${command.brokerId} ${supports}: run a version that supports it`
    return reply(-1, ErrorCode.UNSUPPORTED_VERSION, message)
  }
  if (!settleFormer(state, command, former)) {
    const message = `what broker ${command.brokerId} led and replicated before is being settled: try again`
    return reply(-1, ErrorCode.REQUEST_TIMED_OUT, message)
  }
  const minIsrsBefore = former === undefined ? effectiveMinIsrs(state) : undefined
  const brokerEpoch = state.image.nextBrokerEpoch
  state.emit({
    type: 'registerBrokerRecord',
    brokerId: command.brokerId,
    brokerEpoch,
    incarnationId: command.incarnationId,
    directoryIds: [...command.directoryIds],
    endpoints: [...command.endpoints],
    controlEndpoint: command.controlEndpoint,
    rack: command.rack,
    features: command.features,
    fenced: true,
    inControlledShutdown: false,
  })
  if (minIsrsBefore !== undefined) settleMinIsr(state, minIsrsBefore)
  state.sessions.registered(command.brokerId, nowMs)
  return reply(brokerEpoch, ErrorCode.NONE, '')
}

/**
 * Before the registration, in as many batches as it takes; false: it is not done yet. The old incarnation loses its
 * leaderships and its places in the ISR. What may have been lost since loses its places in the ELR too (KIP-966):
 * with `flush.before.ack` nothing was, but for directories that are gone; without, a directory must have been closed
 * cleanly in the very epoch that is registered. Whatever was known of replicas whose directory is gone, they are empty.
 */
function settleFormer(
  state: ControllerState,
  { brokerId: id, directoryIds, previousBrokerEpoch }: RegisterBroker,
  former: BrokerImage | undefined,
): boolean {
  const purpose = `settle ${id}`
  if (state.sweeps.isSweeping(purpose) || !fenceBroker(state, id)) return false
  const isClean = former !== undefined && former.epoch === previousBrokerEpoch
  const keepsElr = state.flushBeforeAck() || isClean
  const isGone = (partition: PartitionImage): boolean => {
    const position = partition.replicas.indexOf(id)
    if (position === -1) return false
    const directory = partition.directories[position]!
    return directory !== ZERO_UUID && !directoryIds.includes(directory)
  }
  return state.sweeps.begin({
    purpose,
    kinds: [isGone, ({ elr }) => !keepsElr && elr.includes(id)],
    visit: (topic, partitionId, partition) => {
      state.change(topic, partitionId, { lost: id, lostWhole: isGone(partition) })
    },
  })
}

/** Takes a broker out of service and elects where it led. True: that is done, and nothing is left of it in any ISR. */
export function fenceBroker(state: ControllerState, id: NodeId): boolean {
  const broker = state.image.brokers.get(id)
  if (broker !== undefined && !broker.fenced) {
    const { epoch: brokerEpoch } = broker
    state.emit({ type: 'brokerRegistrationChangeRecord', brokerId: id, brokerEpoch, fenced: true })
    state.sessions.fenced(id)
    evict(state, id)
  }
  return !state.sweeps.isSweeping(evictionOf(id))
}

/** The partitions that it leads come first. Where they are many it takes several batches, and no unfencing until the end. */
function evict(state: ControllerState, id: NodeId): void {
  state.sweeps.begin({
    purpose: evictionOf(id),
    kinds: [({ leader }) => leader === id, ({ isr }) => isr.includes(id)],
    visit: (topic, partitionId) => {
      state.change(topic, partitionId, {})
    },
  })
}

function evictionOf(id: NodeId): string {
  return `evict ${id}`
}

/** What the controller before this one left undone. */
export function resumeSweeps(state: ControllerState): void {
  const evicted = new Set<NodeId>()
  for (const topic of state.image.topicsById.values()) {
    for (const { leader, isr } of topic.partitions) {
      if (leader !== NO_NODE && state.isFenced(leader)) evicted.add(leader)
      for (const node of isr) if (state.isFenced(node)) evicted.add(node)
    }
  }
  for (const id of evicted) evict(state, id)
  electLeaderless(state, () => true)
}

function unfenceBroker(state: ControllerState, { id, epoch: brokerEpoch }: BrokerImage): void {
  state.emit({ type: 'brokerRegistrationChangeRecord', brokerId: id, brokerEpoch, fenced: false })
  electLeaderless(state, ({ replicas }) => replicas.includes(id))
}

/** Where there is no leader, one may have become possible. */
export function electLeaderless(state: ControllerState, where: (partition: PartitionImage) => boolean): void {
  state.sweeps.begin({
    purpose: 'elect',
    kinds: [(partition) => partition.leader === NO_NODE && where(partition)],
    visit: (topic, partitionId) => state.change(topic, partitionId, {}),
  })
}

/** Keeps the session, and moves the broker between fenced, unfenced and shutting down. */
export function brokerHeartbeat(
  state: ControllerState,
  command: BrokerHeartbeat,
  nowMs: number,
): BrokerHeartbeatReply {
  const { brokerId, brokerEpoch } = command
  const broker = state.image.brokers.get(brokerId)
  if (broker === undefined || broker.epoch !== brokerEpoch) {
    return {
      type: 'brokerHeartbeat',
      errorCode: broker === undefined ? ErrorCode.BROKER_ID_NOT_REGISTERED : ErrorCode.STALE_BROKER_EPOCH,
      errorMessage: staleEpochMessage(brokerId, brokerEpoch, broker),
      isFenced: true,
      isCaughtUp: false,
      shouldShutDown: false,
    }
  }
  state.sessions.heard(brokerId, command.appliedIndex, nowMs)
  dropQuarantined(state, command)
  const isCaughtUp = state.sessions.isCaughtUp(brokerId)
  let shouldShutDown = false
  if (command.wantShutDown) shouldShutDown = controlledShutdown(state, broker)
  else if (!broker.fenced && command.wantFence) fenceBroker(state, brokerId)
  else if (canBeUnfenced(state, broker, command)) unfenceBroker(state, broker)
  const isFenced = state.image.brokers.get(brokerId)!.fenced
  return {
    type: 'brokerHeartbeat',
    errorCode: ErrorCode.NONE,
    errorMessage: '',
    isFenced,
    isCaughtUp,
    shouldShutDown,
    sessionTimeoutMs: state.sessionTimeoutMs,
  }
}

function canBeUnfenced(state: ControllerState, broker: BrokerImage, { wantFence }: BrokerHeartbeat): boolean {
  if (!broker.fenced || wantFence || broker.inControlledShutdown) return false
  return state.sessions.isCaughtUp(broker.id) && !state.sweeps.isSweeping(evictionOf(broker.id))
}

function dropQuarantined(state: ControllerState, command: BrokerHeartbeat): void {
  for (const { topicId, partitionId } of command.quarantined) {
    const topic = state.image.topicsById.get(topicId)
    const partition = topic?.partitions[partitionId]
    if (topic === undefined || partition === undefined) continue
    const { replicas, isr, elr, lastKnownElr } = partition
    const hasPlace = [...isr, ...elr, ...lastKnownElr].includes(command.brokerId)
    if (!replicas.includes(command.brokerId) || (!hasPlace && holdsNothing(partition, command.brokerId)))
      continue
    state.change(topic, partitionId, { lost: command.brokerId, lostWhole: true })
  }
}

/**
 * First every leadership and every place in an ISR that somebody else can carry moves, in bounded batches; once all
 * brokers have applied them, so that clients are told the new leaders, the broker is fenced and may go. A controller
 * that takes over in between begins again with what is left. True: go.
 */
function controlledShutdown(state: ControllerState, broker: BrokerImage): boolean {
  const { id: brokerId, epoch: brokerEpoch } = broker
  if (broker.fenced) return true
  if (!broker.inControlledShutdown) {
    state.emit({ type: 'brokerRegistrationChangeRecord', brokerId, brokerEpoch, inControlledShutdown: true })
  }
  const movedIndex = state.sessions.shutdownIndex(brokerId)
  if (movedIndex === undefined) {
    moveAway(state, brokerId)
    return false
  }
  const unfenced = [...state.image.brokers.values()].filter((other) => !other.fenced).map((other) => other.id)
  if (!state.sessions.haveApplied(unfenced, movedIndex)) return false
  return fenceBroker(state, brokerId)
}

function moveAway(state: ControllerState, id: NodeId): void {
  const purpose = `shut down ${id}`
  if (state.sweeps.isSweeping(purpose)) return
  const canFollow = (partition: PartitionImage): boolean =>
    partition.isr.includes(id) && partition.isr.some((node) => node !== id && state.isActive(node))
  state.sweeps.begin({
    purpose,
    kinds: [(partition) => partition.leader === id && canFollow(partition), canFollow],
    visit: (topic, partitionId, partition) => {
      if (!canFollow(partition)) return
      state.change(topic, partitionId, { isr: partition.isr.filter((node) => node !== id) })
    },
    done: () => state.sessions.movedAway(id, state.isBatchEmpty),
  })
}

/** Takes a broker that is gone for good out of the metadata; its replicas stay assigned to it. */
export function unregisterBroker(state: ControllerState, id: NodeId): ControllerReply {
  const broker = state.image.brokers.get(id)
  if (broker === undefined) {
    const errorMessage = `broker ${id} is not registered`
    return { type: 'unregisterBroker', errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED, errorMessage }
  }
  const minIsrsBefore = effectiveMinIsrs(state)
  fenceBroker(state, id)
  state.emit({ type: 'unregisterBrokerRecord', brokerId: id, brokerEpoch: broker.epoch })
  settleMinIsr(state, minIsrsBefore)
  state.sessions.unregistered(id)
  return { type: 'unregisterBroker', errorCode: ErrorCode.NONE, errorMessage: '' }
}

export function staleEpochMessage(id: NodeId, epoch: number, broker: BrokerImage | undefined): string {
  return broker === undefined
    ? `broker ${id} is not registered: register again`
    : `broker ${id} has epoch ${broker.epoch} now, not ${epoch}: a newer process has registered`
}
