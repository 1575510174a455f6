import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = resolve(import.meta.dirname, '../..')
export const CLIENT_CACHE = resolve(ROOT, '.cache/clients')

/** One line that a load client printed; see test/clients/python/load.py. Times are CLOCK_MONOTONIC milliseconds. */
export interface LoadEvent {
  ack?: number
  failed?: number
  value?: number
  committed?: number
  commitFailed?: string
  error?: string
  reason?: string
  offset?: number
  partition?: number
  assigned?: number[]
  revoked?: number[]
  done?: number | boolean
  unflushed?: number
  at?: number
}

export function monotonicNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export type ClientKind = 'librdkafka' | 'kafkajs'

/** A client in a process of its own, so that nothing in the test's process delays what it measures. */
export class LoadClient {
  readonly events: LoadEvent[] = []
  private readonly child: ChildProcess
  private readonly waiters = new Set<() => void>()
  private stderr = ''
  private exited = false

  constructor(kind: ClientKind, args: readonly string[]) {
    const [program, first] =
      kind === 'librdkafka'
        ? [resolve(CLIENT_CACHE, 'python/bin/python'), resolve(ROOT, 'test/clients/python/load.py')]
        : [process.execPath, resolve(ROOT, 'test/clients/kafkajs/load.mjs')]
    this.child = spawn(program, [first, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.events.push(JSON.parse(line) as LoadEvent)
      this.wake()
    })
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-20_000)
    })
    this.child.stdin!.on('error', () => {})
    this.child.on('close', () => {
      this.exited = true
      this.wake()
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  /** Resolves when `seen` holds; rejects when the client ended or the time is over. */
  async until(
    what: string,
    seen: (events: readonly LoadEvent[]) => boolean,
    timeoutMs = 60_000,
  ): Promise<void> {
    const deadline = monotonicNowMs() + timeoutMs
    while (!seen(this.events)) {
      const leftMs = deadline - monotonicNowMs()
      if (this.exited) throw new Error(`the client ended before: ${what}\n${this.stderr}`)
      if (leftMs <= 0) throw new Error(`not within ${timeoutMs} ms: ${what}\n${this.stderr}`)
      await this.nextEvent(leftMs)
    }
  }

  /** Ends its input and waits for its end; all events are there then. */
  async finish(timeoutMs = 70_000): Promise<readonly LoadEvent[]> {
    this.child.stdin!.end()
    const deadline = monotonicNowMs() + timeoutMs
    while (!this.exited) {
      const leftMs = deadline - monotonicNowMs()
      if (leftMs <= 0) {
        this.kill()
        throw new Error(`the client did not end within ${timeoutMs} ms\n${this.stderr}`)
      }
      await this.nextEvent(leftMs)
    }
    return this.events
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    if (!this.exited) this.child.kill(signal)
  }

  private nextEvent(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, timeoutMs)
      const waiters = this.waiters
      function done() {
        clearTimeout(timer)
        waiters.delete(done)
        resolve()
      }
      waiters.add(done)
    })
  }

  private wake(): void {
    for (const waiter of [...this.waiters]) waiter()
  }
}

/** Acknowledged values in the order of their acknowledgements. */
export function acknowledged(events: readonly LoadEvent[]): { value: number; offset: number; at: number }[] {
  return events.flatMap((e) => (e.ack === undefined ? [] : [{ value: e.ack, offset: e.offset!, at: e.at! }]))
}

/** The longest interval between two acknowledgements from `fromMs` on, in milliseconds. */
export function longestGapMs(events: readonly LoadEvent[], fromMs: number): number {
  const times = acknowledged(events).map((a) => a.at)
  let longest = 0
  for (let i = 1; i < times.length; i++)
    if (times[i]! >= fromMs) longest = Math.max(longest, times[i]! - Math.max(times[i - 1]!, fromMs))
  return longest
}
