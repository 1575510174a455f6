import { crc32c } from '../../src/wire/crc32c.js'

/** What a run amounts to, in 64 bits: every event, every delivered peer message and every disk write goes in. */
export class TraceHash {
  private a = 0
  private b = 0x811c9dc5
  private readonly numbers = new Float64Array(2)
  private readonly bytes = new Uint8Array(this.numbers.buffer)

  /** An event that ran. */
  event(timeMs: number, sequence: number): void {
    this.numbers[0] = timeMs
    this.numbers[1] = sequence
    this.a = crc32c(this.bytes, this.a)
    this.b = Math.imul(this.b ^ this.a, 0x01000193) >>> 0
  }

  add(what: string, bytes?: readonly Uint8Array[]): void {
    this.a = crc32c(Buffer.from(what), this.a)
    for (const chunk of bytes ?? []) this.a = crc32c(chunk, this.a)
    this.b = Math.imul(this.b ^ this.a, 0x01000193) >>> 0
  }

  toString(): string {
    return (this.a >>> 0).toString(16).padStart(8, '0') + this.b.toString(16).padStart(8, '0')
  }
}

/** The last lines of what happened, for the report of a failure; all of them with `keepAll`. */
export class TraceLog {
  private readonly lines: string[] = []

  constructor(
    private readonly keepAll: boolean,
    private readonly capacity = 200,
  ) {}

  add(timeMs: number, line: string): void {
    this.lines.push(`${timeMs.toFixed(1).padStart(10)}  ${line}`)
    if (!this.keepAll && this.lines.length > 2 * this.capacity) this.lines.splice(0, this.capacity)
  }

  all(): readonly string[] {
    return this.lines
  }

  last(count: number): readonly string[] {
    return this.lines.slice(-count)
  }
}
