import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaClient } from '../../src/adapters/kafka-client/index.js'
import { ApiVersions } from '../../src/wire/messages/api-versions.js'
import type { Nodes } from './nodes.js'

const INTERVAL_MS = 10

/** Asks every node for nothing, again and again: an answer that takes long met a loop that stood still. */
export class Pulse {
  private readonly worst = new Map<number, number>()
  private readonly clients: KafkaClient[] = []
  private isStopped = false

  constructor(private readonly nodes: Nodes) {}

  start(): void {
    for (const id of this.nodes.ids) void this.feel(id)
  }

  reset(): void {
    this.worst.clear()
  }

  /** Of each node since `reset`. */
  worstMs(): [number, number][] {
    return this.nodes.ids.map((id) => [id, this.worst.get(id) ?? 0])
  }

  stop(): void {
    this.isStopped = true
    for (const client of this.clients) client.close()
  }

  private async feel(id: number): Promise<void> {
    const client = new KafkaClient({
      bootstrap: [{ host: '127.0.0.1', port: this.nodes.port(id) }],
      timeoutMs: 0,
    })
    this.clients.push(client)
    const body = { clientSoftwareName: 'bench', clientSoftwareVersion: '1' }
    while (!this.isStopped) {
      const startedAt = performance.now()
      try {
        await client.request(ApiVersions, body, { requestTimeoutMs: 60_000 })
        this.worst.set(id, Math.max(this.worst.get(id) ?? 0, performance.now() - startedAt))
      } catch {
        // It was killed, or is not there yet: how long that lasts is timed elsewhere.
      }
      await sleep(INTERVAL_MS)
    }
  }
}
