import type { BrokerEpoch, LogIndex, NodeId, Uuid } from '../lib/ids.js'
import type { CommandContext, ControllerReply } from '../metadata/commands.js'
import { supportedFeatures } from '../metadata/features.js'
import type { BrokerImage } from '../metadata/image.js'
import type { BrokerEndpoint } from '../metadata/records.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import { ErrorCode } from '../wire/errors.js'
import type { QuorumHandle } from './quorum/handle.js'

/**
 * One incarnation's way through the cluster: register, heartbeat, be unfenced, serve, hand the leaderships over,
 * stop. The controller decides; this asks, and asks again (KIP-631, KIP-903).
 */
export class BrokerLifecycle {
  private phase: 'waiting' | 'registering' | 'active' | 'shuttingDown' | 'stopped' = 'waiting'
  private registeredEpoch: BrokerEpoch = 0
  private recovered = false
  private heartbeatInFlight = false
  private heartbeatSentMs = Number.NEGATIVE_INFINITY
  /** When the last heartbeat was sent that the controller answered: its session began no earlier. */
  private lastContactMs = Number.NEGATIVE_INFINITY
  private timer: Timer | null = null
  /** Why the last registration was not accepted, as the log has it. */
  private toldRefusal = ''
  private onShutDownAllowed: (() => void) | null = null
  /** The shorter one of its own configuration and of what the controller says, which is configured on another node. */
  private sessionTimeoutMs: number
  private heartbeatIntervalMs: number

  constructor(private readonly options: LifecycleOptions) {
    this.sessionTimeoutMs = options.sessionTimeoutMs
    this.heartbeatIntervalMs = options.heartbeatIntervalMs
  }

  /** 0 before the first registration. */
  get brokerEpoch(): BrokerEpoch {
    return this.registeredEpoch
  }

  /** The logs have been opened, and what leads or follows here is known: the broker may be unfenced. */
  markRecovered(): void {
    this.recovered = true
    this.beat()
  }

  /** A controller is known, or another one: tell it at once that this broker lives. */
  onController(): void {
    if (this.phase === 'waiting') this.register()
    else if (this.phase === 'active' || this.phase === 'shuttingDown') this.beat()
  }

  /** The image moved: the registration may have been applied, or this broker fenced. */
  onMetadata(): void {
    if (this.phase === 'active' && !this.isUnfenced()) this.beat()
  }

  /** The image holds this very registration, and it is not fenced. */
  isUnfenced(): boolean {
    const own = this.options.ownImage()
    return own !== undefined && own.epoch === this.registeredEpoch && !own.fenced
  }

  /** So long without the controller that it may have fenced this broker, and given what it leads to others. */
  isCutOff(): boolean {
    return this.options.clock.monotonicMs() - this.lastContactMs > this.sessionTimeoutMs
  }

  /** The image holds this very registration. */
  isRegistered(): boolean {
    return this.registeredEpoch !== 0 && this.options.ownImage()?.epoch === this.registeredEpoch
  }

  /** Controlled shutdown (KIP-841): `done` when the controller has moved what it could, or after `timeoutMs`. */
  shutDown(timeoutMs: number, done: () => void): void {
    if (this.phase !== 'active' || !this.isRegistered()) {
      this.stop()
      done()
      return
    }
    this.phase = 'shuttingDown'
    const deadline = this.options.clock.after(timeoutMs, () => this.onShutDownAllowed?.())
    this.onShutDownAllowed = () => {
      this.onShutDownAllowed = null
      deadline.cancel()
      this.stop()
      done()
    }
    this.beat()
  }

  stop(): void {
    this.phase = 'stopped'
    this.timer?.cancel()
  }

  private register(): void {
    const { options } = this
    const clusterId = options.clusterId()
    if (clusterId === undefined) {
      this.schedule(REGISTRATION_RETRY_MS, () => this.register())
      return
    }
    this.phase = 'registering'
    options.quorum.submit(
      {
        type: 'registerBroker',
        brokerId: options.nodeId,
        clusterId,
        incarnationId: options.incarnationId,
        directoryIds: options.directoryIds,
        endpoints: options.endpoints,
        controlEndpoint: options.controlEndpoint,
        rack: options.rack ?? undefined,
        features: supportedFeatures(),
        previousBrokerEpoch: options.previousBrokerEpoch(),
      },
      this.context(),
      options.requestTimeoutMs,
      (reply) => this.onRegistered(reply),
    )
  }

  private onRegistered(reply: ControllerReply): void {
    if (this.phase !== 'registering') return
    if (reply.type === 'registerBroker' && reply.errorCode === ErrorCode.NONE) {
      this.registeredEpoch = reply.brokerEpoch
      this.phase = 'active'
      this.toldRefusal = ''
      this.options.logger.info({ brokerEpoch: reply.brokerEpoch }, 'registered with the controller')
      this.beat()
      return
    }
    const { errorCode, errorMessage } = failureOf(reply)
    // Another directory under this id still has a live session, or no controller answered: both pass with time.
    if (this.toldRefusal !== errorMessage) {
      this.toldRefusal = errorMessage
      this.options.logger.warn({ errorCode }, `registration was not accepted: ${errorMessage}`)
    }
    this.phase = 'waiting'
    this.schedule(REGISTRATION_RETRY_MS, () => this.register())
  }

  private beat(): void {
    if (this.heartbeatInFlight || (this.phase !== 'active' && this.phase !== 'shuttingDown')) return
    this.heartbeatInFlight = true
    const { options } = this
    this.heartbeatSentMs = options.clock.monotonicMs()
    options.quorum.submit(
      {
        type: 'brokerHeartbeat',
        brokerId: options.nodeId,
        brokerEpoch: this.registeredEpoch,
        appliedIndex: options.appliedIndex(),
        wantFence: !this.mayServe(),
        wantShutDown: this.phase === 'shuttingDown',
        quarantined: options.quarantined(),
      },
      this.context(),
      options.heartbeatTimeoutMs,
      (reply) => this.onHeartbeat(reply),
    )
  }

  /** Once unfenced, it stays so while it catches up with the image: as any broker that hears of changes a little later. */
  private mayServe(): boolean {
    if (!this.recovered || !this.isRegistered()) return false
    return this.isUnfenced() || this.options.isSettled()
  }

  private onHeartbeat(reply: ControllerReply): void {
    this.heartbeatInFlight = false
    if (this.phase === 'stopped') return
    if (reply.type !== 'brokerHeartbeat' || reply.errorCode !== ErrorCode.NONE) {
      this.onHeartbeatFailure(reply)
      return
    }
    this.lastContactMs = this.heartbeatSentMs
    this.onSessionTimeout(reply.sessionTimeoutMs ?? this.options.sessionTimeoutMs)
    if (this.phase === 'shuttingDown' && reply.shouldShutDown) {
      this.onShutDownAllowed?.()
      return
    }
    const settled = this.phase === 'active' && !reply.isFenced
    this.schedule(settled ? this.heartbeatIntervalMs : EAGER_HEARTBEAT_MS, () => this.beat())
  }

  private onSessionTimeout(controllersMs: number): void {
    const { options } = this
    this.sessionTimeoutMs = Math.min(options.sessionTimeoutMs, controllersMs)
    const longestMs = Math.floor(this.sessionTimeoutMs / HEARTBEATS_A_SESSION)
    const intervalMs = Math.min(options.heartbeatIntervalMs, longestMs)
    if (intervalMs < options.heartbeatIntervalMs && intervalMs !== this.heartbeatIntervalMs)
      options.logger.warn(
        { heartbeatIntervalMs: intervalMs },
        `broker.heartbeat.interval.ms=${options.heartbeatIntervalMs} is too long for broker.session.timeout.ms=${controllersMs} of the controller: this broker tells it every ${intervalMs} ms that it lives`,
      )
    this.heartbeatIntervalMs = intervalMs
  }

  private onHeartbeatFailure(reply: ControllerReply): void {
    const { errorCode, errorMessage } = failureOf(reply)
    if (errorCode === ErrorCode.STALE_BROKER_EPOCH || errorCode === ErrorCode.BROKER_ID_NOT_REGISTERED) {
      this.options.logger.warn(
        { brokerEpoch: this.registeredEpoch },
        'the controller knows another registration: registering anew',
      )
      if (this.phase === 'shuttingDown') this.onShutDownAllowed?.()
      else this.register()
      return
    }
    this.options.logger.debug({ errorCode }, `heartbeat failed: ${errorMessage}`)
    this.schedule(EAGER_HEARTBEAT_MS, () => this.beat())
  }

  private schedule(delayMs: number, input: () => void): void {
    if (this.phase === 'stopped') return
    this.timer?.cancel()
    this.timer = this.options.clock.after(delayMs, input)
  }

  private context(): CommandContext {
    return { principal: `Broker:${this.options.nodeId}`, clientId: '', clientAddress: '', listener: '' }
  }
}

/** While something is still to change (unfencing, shutdown, a lost answer) heartbeats come this often. */
const EAGER_HEARTBEAT_MS = 20
const REGISTRATION_RETRY_MS = 50
/** How many heartbeats a session takes at least: one that is late must fence nobody. */
export const HEARTBEATS_A_SESSION = 4

export interface LifecycleOptions {
  readonly nodeId: NodeId
  readonly incarnationId: Uuid
  readonly endpoints: BrokerEndpoint[]
  readonly controlEndpoint: BrokerEndpoint
  readonly rack: string | null
  readonly heartbeatIntervalMs: number
  readonly heartbeatTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly quorum: QuorumHandle
  clusterId(): string | undefined
  /** Of the log directories, which a quarantined Raft log does not change. */
  readonly directoryIds: Uuid[]
  /** KIP-966: of the clean stop before this start; undefined: there was none. */
  previousBrokerEpoch(): BrokerEpoch | undefined
  appliedIndex(): LogIndex
  ownImage(): BrokerImage | undefined
  quarantined(): { topicId: Uuid; partitionId: number }[]
  /** What leads and follows here is what the image says. */
  isSettled(): boolean
}

function failureOf(reply: ControllerReply): { errorCode: number; errorMessage: string } {
  const failure = reply as { errorCode?: number; errorMessage?: string }
  return {
    errorCode: failure.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR,
    errorMessage: failure.errorMessage ?? '',
  }
}
