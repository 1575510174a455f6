import { NO_NODE, type NodeId, type Uuid } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { BrokerHeartbeat, BrokerHeartbeatReply, ControllerReply, RegisterBroker } from '../commands.js'
import type { BrokerImage } from '../image.js'
import { changedPartition, partitionRecord } from '../replay.js'
import { effectiveMinIsrs, settleMinIsr } from './min-isr.js'
import { changePartition } from './partition-change.js'
import type { ControllerState } from './state.js'

type RegisterReply = Extract<ControllerReply, { type: 'registerBroker' }>

/**
 * A new process (KIP-903). The same data directory proves, by its lock, that the old process is dead: it is fenced in
 * the same batch, without waiting for its session. Another directory must wait until the old session has ended.
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
  const minIsrsBefore = former === undefined ? effectiveMinIsrs(state) : undefined
  if (former !== undefined) retireIncarnation(state, former)
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
    fenced: true,
    inControlledShutdown: false,
  })
  moveToNewDirectories(state, command.brokerId, command.directoryIds)
  if (minIsrsBefore !== undefined) settleMinIsr(state, minIsrsBefore)
  state.sessions.registered(command.brokerId, nowMs)
  return reply(brokerEpoch, ErrorCode.NONE, '')
}

/**
 * The old incarnation loses its leaderships and its places in the ISR. With `flush.before.ack` its log is whole, so
 * it may become eligible (KIP-966's ELR); without, what the page cache held may be gone: it leaves the ELR too.
 */
function retireIncarnation(state: ControllerState, former: BrokerImage): void {
  fenceBroker(state, former.id)
  if (state.flushBeforeAck()) return
  state.forEachPartition((topic, partitionId, partition) => {
    if (partition.elr.includes(former.id)) state.change(topic, partitionId, { lost: former.id })
  })
}

/**
 * Replicas whose directory is gone are empty now, whatever was known of them: they leave the ISR and the ELR, and
 * belong to the new directory. Also where the broker was unregistered in between.
 */
function moveToNewDirectories(state: ControllerState, id: NodeId, directoryIds: readonly Uuid[]): void {
  state.forEachPartition((topic, partitionId, partition) => {
    const position = partition.replicas.indexOf(id)
    if (position === -1 || directoryIds.includes(partition.directories[position]!)) return
    const rules = state.rules(topic, partition)
    const change = changePartition(topic.id, partitionId, partition, { lost: id, lostWhole: true }, rules)
    const bump = { type: 'partitionChangeRecord' as const, topicId: topic.id, partitionId }
    const next = changedPartition(partition, change ?? bump)
    const directories = next.directories.with(position, directoryIds[0]!)
    state.emit(partitionRecord(topic.id, partitionId, { ...next, directories }))
  })
}

/** Takes a broker out of service and elects where it led. Nothing happens where it is fenced. */
export function fenceBroker(state: ControllerState, id: NodeId): void {
  const broker = state.image.brokers.get(id)
  if (broker === undefined || broker.fenced) return
  state.emit({
    type: 'brokerRegistrationChangeRecord',
    brokerId: id,
    brokerEpoch: broker.epoch,
    fenced: true,
  })
  state.sessions.fenced(id)
  state.forEachPartition((topic, partitionId, partition) => {
    if (!partition.isr.includes(id) && partition.leader !== id) return
    state.change(topic, partitionId, { isr: partition.isr.filter((node) => node !== id) })
  })
}

function unfenceBroker(state: ControllerState, broker: BrokerImage): void {
  state.emit({
    type: 'brokerRegistrationChangeRecord',
    brokerId: broker.id,
    brokerEpoch: broker.epoch,
    fenced: false,
  })
  state.forEachPartition((topic, partitionId, partition) => {
    if (partition.leader === NO_NODE && partition.replicas.includes(broker.id))
      state.change(topic, partitionId, {})
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
  else if (broker.fenced && !command.wantFence && isCaughtUp && !broker.inControlledShutdown)
    unfenceBroker(state, broker)
  const isFenced = state.image.brokers.get(brokerId)!.fenced
  return {
    type: 'brokerHeartbeat',
    errorCode: ErrorCode.NONE,
    errorMessage: '',
    isFenced,
    isCaughtUp,
    shouldShutDown,
  }
}

function dropQuarantined(state: ControllerState, command: BrokerHeartbeat): void {
  for (const { topicId, partitionId } of command.quarantined) {
    const topic = state.image.topicsById.get(topicId)
    const partition = topic?.partitions[partitionId]
    if (topic === undefined || partition === undefined) continue
    const { isr, elr, lastKnownElr } = partition
    if (![...isr, ...elr, ...lastKnownElr].includes(command.brokerId)) continue
    state.change(topic, partitionId, { lost: command.brokerId, lostWhole: true })
  }
}

/**
 * First every leadership and every place in an ISR that somebody else can carry moves, in one batch; once all brokers
 * have applied that, so that clients are told the new leaders, the broker is fenced and may go. True: go.
 */
function controlledShutdown(state: ControllerState, broker: BrokerImage): boolean {
  if (broker.fenced) return true
  if (!broker.inControlledShutdown) {
    const { id: brokerId, epoch: brokerEpoch } = broker
    state.emit({ type: 'brokerRegistrationChangeRecord', brokerId, brokerEpoch, inControlledShutdown: true })
    state.sessions.shutdownBegun(brokerId)
    state.forEachPartition((topic, partitionId, partition) => {
      const others = partition.isr.filter((node) => node !== brokerId)
      if (others.length === partition.isr.length) return
      if (others.some((node) => state.isActive(node))) state.change(topic, partitionId, { isr: others })
    })
    return false
  }
  const unfenced = [...state.image.brokers.values()].filter((other) => !other.fenced).map((other) => other.id)
  if (!state.sessions.haveApplied(unfenced, state.sessions.shutdownIndex(broker.id))) return false
  fenceBroker(state, broker.id)
  return true
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
