/**
 * What a run amounts to, in 64 bits: every event, every delivered peer message and every disk write goes in. Two lanes
 * of 32 bits, multiplied and shifted a word at a time (the finalizer of MurmurHash3): cheap, and the same everywhere.
 */
export class TraceHash {
  private a = 0x9e3779b9
  private b = 0x85ebca6b
  private readonly number = new Float64Array(1)
  /** Of a double, low word first whatever the machine does. */
  private readonly view = new DataView(this.number.buffer)

  /** An event that ran. */
  event(timeMs: number, sequence: number): void {
    this.view.setFloat64(0, timeMs, true)
    this.word(this.view.getInt32(0, true))
    this.word(this.view.getInt32(4, true))
    this.word(sequence)
  }

  add(what: string, bytes?: readonly Uint8Array[]): void {
    for (let i = 0; i < what.length; i++) this.word(what.charCodeAt(i))
    this.word(what.length)
    for (const chunk of bytes ?? []) this.bytes(chunk)
  }

  toString(): string {
    return (this.a >>> 0).toString(16).padStart(8, '0') + (this.b >>> 0).toString(16).padStart(8, '0')
  }

  private bytes(chunk: Uint8Array): void {
    const whole = chunk.length & ~3
    let i = 0
    for (; i < whole; i += 4)
      this.word(chunk[i]! | (chunk[i + 1]! << 8) | (chunk[i + 2]! << 16) | (chunk[i + 3]! << 24))
    for (; i < chunk.length; i++) this.word(chunk[i]!)
    this.word(chunk.length)
  }

  private word(value: number): void {
    const a = Math.imul(this.a ^ value, 0x85ebca6b)
    this.a = a ^ (a >>> 13)
    const b = Math.imul(this.b + value, 0xc2b2ae35)
    this.b = ((b ^ (b >>> 16)) + this.a) | 0
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
