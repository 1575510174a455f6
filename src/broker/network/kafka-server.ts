import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Address, ByteStream, Listener, StreamHandler } from '../../ports/network.js'
import type { ListenerConfig } from '../node-config.js'
import { Connection, type ConnectionHost, type ConnectionLimits } from './connection.js'
import type { RequestDispatcher } from './dispatcher.js'

export interface KafkaServerOptions {
  readonly listeners: readonly ListenerConfig[]
  readonly interBrokerListenerName: string
  readonly clock: Clock
  readonly logger: Logger
  readonly listener: Listener
  readonly dispatcher: RequestDispatcher
  readonly limits: ServerLimits
}

export interface ServerLimits extends ConnectionLimits {
  /** `max.connections`. */
  readonly maxConnections: number
  /** `max.connections.per.ip`. */
  readonly maxConnectionsPerIp: number
  /** `connections.max.idle.ms`. */
  readonly maxIdleMs: number
}

/** All Kafka-protocol listeners of one broker. Bound from the start; requests wait until `open`. */
export class KafkaServer {
  private readonly connections = new Map<number, Connection>()
  private readonly perIp = new Map<string, number>()
  private readonly sockets: { close(): void }[] = []
  private nextConnectionId = 1
  private opened = false
  private closed = false
  private sweep: Timer | null = null
  private unloggedRefusals = 0
  private nextRefusalLogMs = 0

  constructor(private readonly options: KafkaServerOptions) {}

  get connectionCount(): number {
    return this.connections.size
  }

  /** Binds every listener; `done` gets the first failure, or null. */
  bind(done: (error: Error | null) => void): void {
    let waiting = this.options.listeners.length
    let failed = false
    for (const config of this.options.listeners) {
      const address: Address = { host: config.host, port: config.port }
      const handle = this.options.listener.listen(
        address,
        (stream) => this.accept(config, stream),
        () => {
          waiting--
          if (waiting === 0 && !failed) done(null)
        },
        (error) => {
          if (failed) return
          failed = true
          done(error)
        },
      )
      this.sockets.push(handle)
    }
    this.scheduleSweep()
  }

  /** From now on requests are handled: this broker knows the cluster's metadata. */
  open(): void {
    this.opened = true
    for (const connection of this.connections.values()) connection.pump()
  }

  close(): void {
    this.closed = true
    this.sweep?.cancel()
    for (const socket of this.sockets) socket.close()
    for (const connection of [...this.connections.values()]) connection.close()
  }

  private accept(config: ListenerConfig, stream: ByteStream): StreamHandler {
    const host = stream.remote.host
    const sameIp = this.perIp.get(host) ?? 0
    const { limits } = this.options
    const refusal =
      this.connections.size >= limits.maxConnections
        ? `max.connections (${limits.maxConnections}) is reached`
        : sameIp >= limits.maxConnectionsPerIp
          ? `max.connections.per.ip (${limits.maxConnectionsPerIp}) is reached`
          : null
    if (refusal !== null || this.closed) {
      if (refusal !== null) this.logRefusal(host, config.name, refusal)
      stream.destroy()
      return { onData: ignore, onClose: ignore }
    }
    this.perIp.set(host, sameIp + 1)
    const connection = new Connection(this.nextConnectionId++, stream, this.hostOf(config))
    this.connections.set(connection.id, connection)
    return connection
  }

  /** One line a second, which counts those before it: clients without a connection try again at once. */
  private logRefusal(client: string, listener: string, refusal: string): void {
    this.unloggedRefusals += 1
    const nowMs = this.options.clock.monotonicMs()
    if (nowMs < this.nextRefusalLogMs) return
    this.nextRefusalLogMs = nowMs + REFUSAL_LOG_INTERVAL_MS
    this.options.logger.warn(
      { client, listener, refused: this.unloggedRefusals },
      `connection refused: ${refusal}`,
    )
    this.unloggedRefusals = 0
  }

  private hostOf(config: ListenerConfig): ConnectionHost {
    const { options } = this
    return {
      listener: config.name,
      isInterBrokerListener: config.name === options.interBrokerListenerName,
      limits: options.limits,
      dispatcher: options.dispatcher,
      logger: options.logger,
      isOpen: () => this.opened,
      nowMs: () => options.clock.monotonicMs(),
      endOfTurn: (input) => options.clock.endOfTurn(input),
      onClosed: (connection) => this.forget(connection),
    }
  }

  private forget(connection: Connection): void {
    if (!this.connections.delete(connection.id)) return
    const left = (this.perIp.get(connection.remoteHost) ?? 1) - 1
    if (left > 0) this.perIp.set(connection.remoteHost, left)
    else this.perIp.delete(connection.remoteHost)
  }

  private scheduleSweep(): void {
    const { clock, limits } = this.options
    this.sweep = clock.after(Math.min(SWEEP_INTERVAL_MS, limits.maxIdleMs), () => {
      const oldestMs = clock.monotonicMs() - limits.maxIdleMs
      for (const connection of [...this.connections.values()]) {
        if (connection.isIdle && connection.lastActiveMs < oldestMs) connection.close()
      }
      this.scheduleSweep()
    })
  }
}

const SWEEP_INTERVAL_MS = 10_000
const REFUSAL_LOG_INTERVAL_MS = 1_000

function ignore(): void {}
