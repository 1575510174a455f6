import type { NodeId } from '../../lib/ids.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Address } from '../../ports/network.js'

export interface BootstrapOptions {
  /** `controller.quorum.bootstrap.servers`. */
  readonly servers: readonly Address[]
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs: number
  readonly timeoutMs: number
  identify(address: Address, timeoutMs: number, done: (nodeId: NodeId | undefined) => void): void
  isConnected(nodeId: NodeId): boolean
  onFound(nodeId: NodeId, address: Address): void
}

/**
 * Learns who is at the bootstrap addresses, which name no node ids, and asks again where nobody is connected: another
 * controller may have moved there.
 */
export class Bootstrap {
  private readonly found = new Map<Address, NodeId>()
  private readonly asking = new Set<Address>()
  private timer: Timer | undefined
  private closed = false

  constructor(private readonly options: BootstrapOptions) {}

  start(): void {
    if (this.options.servers.length > 0) this.round()
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
  }

  private round(): void {
    const { options } = this
    for (const address of options.servers) {
      const nodeId = this.found.get(address)
      if (this.asking.has(address) || (nodeId !== undefined && options.isConnected(nodeId))) continue
      this.asking.add(address)
      options.identify(address, options.timeoutMs, (answer) => this.onAnswer(address, answer))
    }
    this.timer = options.clock.after(options.intervalMs, () => this.round())
  }

  private onAnswer(address: Address, nodeId: NodeId | undefined): void {
    this.asking.delete(address)
    if (this.closed || nodeId === undefined) return
    if (this.found.get(address) !== nodeId) {
      this.options.logger.info({ peer: nodeId, ...address }, 'a bootstrap server said who it is')
    }
    this.found.set(address, nodeId)
    this.options.onFound(nodeId, address)
  }
}
