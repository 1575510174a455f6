/**
 * Kafka's primitive types over bytes (the protocol guide's "Protocol Primitive Types"): big-endian fixed-width
 * integers, unsigned varints, zigzag varints, UTF-8 strings, uuids.
 *
 * The reader checks every length and count against the bytes that remain before anything is allocated. The writer
 * gathers chunks, so that record batches are referenced and never copied.
 */

/** What a peer sent breaks the protocol's grammar. `path` names the field, outermost first, where one is known. */
export class WireError extends Error {
  override name = 'WireError'
  readonly reason: string
  readonly path: string

  constructor(reason: string, path = '') {
    super(path === '' ? reason : `${path}: ${reason}`)
    this.reason = reason
    this.path = path
  }

  /** The same error seen from one field further out. */
  within(segment: string): WireError {
    const joint = this.path === '' || this.path.startsWith('[') ? '' : '.'
    return new WireError(this.reason, `${segment}${joint}${this.path}`)
  }
}

const TWO_32 = 0x1_0000_0000

/** Up to here a loop is faster than a call out of the engine. */
const SHORT_BYTES = 24

/** Null where a byte is not ASCII. */
function shortAscii(buffer: Uint8Array, start: number, length: number): string | null {
  let text = ''
  for (let i = start; i < start + length; i++) {
    const byte = buffer[i]!
    if (byte >= 0x80) return null
    text += String.fromCharCode(byte)
  }
  return text
}

/** Of a string that is about to be written. */
export function utf8Length(value: string): number {
  if (value.length > SHORT_BYTES) return Buffer.byteLength(value)
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) >= 0x80) return Buffer.byteLength(value)
  return value.length
}

export class Reader {
  private readonly buffer: Buffer
  private position: number
  private limit: number

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.position = start
    this.limit = end
  }

  get offset(): number {
    return this.position
  }

  get remaining(): number {
    return this.limit - this.position
  }

  /** Moves past `size` bytes and returns where they began. */
  private take(size: number): number {
    const start = this.position
    if (size > this.limit - start) throw new WireError(`needs ${size} bytes, ${this.limit - start} remain`)
    this.position = start + size
    return start
  }

  int8(): number {
    return this.buffer.readInt8(this.take(1))
  }

  bool(): boolean {
    return this.buffer[this.take(1)] !== 0
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2))
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.take(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  /** An int64 that must be a safe integer. */
  int64(): number {
    const at = this.take(8)
    const value = this.buffer.readInt32BE(at) * TWO_32 + this.buffer.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) {
      throw new WireError(`${this.buffer.readBigInt64BE(at)} lies outside the safe integers`)
    }
    return value
  }

  bigint64(): bigint {
    return this.buffer.readBigInt64BE(this.take(8))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8))
  }

  /** An unsigned varint of at most 32 bits. */
  uvarint(): number {
    // Most are one byte long.
    if (this.position < this.limit && this.buffer[this.position]! < 0x80) return this.buffer[this.position++]!
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.take(1)]!
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value >= TWO_32) break
        return value
      }
    }
    throw new WireError('the varint is longer than 32 bits')
  }

  /** A zigzag varint of at most 32 bits. */
  varint(): number {
    const raw = this.uvarint()
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** A zigzag varint of at most 64 bits that must be a safe integer. */
  varlong(): number {
    if (this.position < this.limit && this.buffer[this.position]! < 0x80) return this.varint()
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.buffer[this.take(1)]!
      if (shift < 28) low += (byte & 0x7f) * 2 ** shift
      else high += (byte & 0x7f) * 2 ** (shift - 28)
      if (byte < 0x80) return fromZigzag(low, high)
    }
    throw new WireError('the varint is longer than 64 bits')
  }

  /** 16 bytes in Kafka's textual form (base64url). */
  uuid(): string {
    const at = this.take(16)
    return this.buffer.toString('base64url', at, at + 16)
  }

  utf8(length: number): string {
    const at = this.take(length)
    if (length <= SHORT_BYTES) {
      const text = shortAscii(this.buffer, at, length)
      if (text !== null) return text
    }
    return this.buffer.toString('utf8', at, at + length)
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }

  skip(length: number): void {
    this.take(length)
  }

  /** A length as a reader of `length` bytes, which must then be used up: see `leave`. Returns the limit to restore. */
  enter(length: number): number {
    if (length > this.limit - this.position) {
      throw new WireError(`declares ${length} bytes, ${this.limit - this.position} remain`)
    }
    const outer = this.limit
    this.limit = this.position + length
    return outer
  }

  leave(outerLimit: number): void {
    if (this.position !== this.limit) throw new WireError(`${this.limit - this.position} bytes are left over`)
    this.limit = outerLimit
  }
}

/** low: the lowest 28 bits; high: what lies above them. */
function fromZigzag(low: number, high: number): number {
  const magnitude = high * 2 ** 27 + Math.floor(low / 2)
  const value = (low & 1) === 0 ? magnitude : -magnitude - 1
  if (!Number.isSafeInteger(value)) throw new WireError('the varint lies outside the safe integers')
  return value
}

/** Bytes from this size on are referenced as a chunk of their own; smaller ones are cheaper to copy. */
const COPY_BELOW_BYTES = 1024
const FIRST_BUFFER_BYTES = 512

/** Writes into buffers of its own and gathers foreign chunks between them. Used once: `finish` hands out the chunks. */
export class Writer {
  private chunks: Uint8Array[] = []
  private finishedBytes = 0
  private buffer: Buffer
  /** Where the bytes of `buffer` begin that no chunk holds yet. */
  private start = 0
  private position = 0

  constructor(sizeHint: number = FIRST_BUFFER_BYTES) {
    this.buffer = Buffer.allocUnsafe(sizeHint)
  }

  get byteLength(): number {
    return this.finishedBytes + (this.position - this.start)
  }

  /** Makes room for `size` bytes and returns where they go. */
  private grow(size: number): number {
    const at = this.position
    if (at + size <= this.buffer.length) {
      this.position = at + size
      return at
    }
    this.seal()
    this.buffer = Buffer.allocUnsafe(Math.max(size, Math.min(this.buffer.length * 2, 65536)))
    this.start = 0
    this.position = size
    return 0
  }

  /** What was written so far becomes a chunk. */
  private seal(): void {
    if (this.position === this.start) return
    this.chunks.push(this.buffer.subarray(this.start, this.position))
    this.finishedBytes += this.position - this.start
    this.start = this.position
  }

  private byte(value: number): void {
    const at = this.grow(1)
    this.buffer[at] = value
  }

  int8(value: number): void {
    const at = this.grow(1)
    this.buffer.writeInt8(value, at)
  }

  bool(value: boolean): void {
    const at = this.grow(1)
    this.buffer[at] = value ? 1 : 0
  }

  int16(value: number): void {
    const at = this.grow(2)
    this.buffer.writeInt16BE(value, at)
  }

  uint16(value: number): void {
    const at = this.grow(2)
    this.buffer.writeUInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.grow(4)
    this.buffer.writeInt32BE(value, at)
  }

  uint32(value: number): void {
    const at = this.grow(4)
    this.buffer.writeUInt32BE(value, at)
  }

  /** @throws RangeError where the value is not a safe integer. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`)
    const at = this.grow(8)
    const high = Math.floor(value / TWO_32)
    this.buffer.writeInt32BE(high, at)
    this.buffer.writeUInt32BE(value - high * TWO_32, at + 4)
  }

  bigint64(value: bigint): void {
    const at = this.grow(8)
    this.buffer.writeBigInt64BE(value, at)
  }

  float64(value: number): void {
    const at = this.grow(8)
    this.buffer.writeDoubleBE(value, at)
  }

  uvarint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.byte(rest)
  }

  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** @throws RangeError where the value is not a safe integer. */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`)
    if (value >= -0x4000_0000 && value < 0x4000_0000) {
      this.varint(value)
      return
    }
    // Twice a safe integer may not be safe any more: the lowest seven bits leave before the doubling.
    const magnitude = value >= 0 ? value : -(value + 1)
    const sign = value >= 0 ? 0 : 1
    this.byte(((magnitude % 64) * 2 + sign) | 0x80)
    this.uvarint(Math.floor(magnitude / 64))
  }

  /** @throws RangeError where it is no UUID. */
  uuid(value: string): void {
    const at = this.grow(16)
    const written = this.buffer.write(value, at, 16, 'base64url')
    if (written !== 16 || value.length !== 22) throw new RangeError(`not a UUID: ${JSON.stringify(value)}`)
  }

  /** `length`: its UTF-8 length, which the caller has written before. */
  utf8(value: string, length: number): void {
    const at = this.grow(length)
    const { buffer } = this
    if (length > SHORT_BYTES || length !== value.length) buffer.write(value, at, length, 'utf8')
    // As many bytes as UTF-16 units: all are ASCII.
    else for (let i = 0; i < length; i++) buffer[at + i] = value.charCodeAt(i)
  }

  /** Copied where small, else referenced: the bytes must not change until they were sent. */
  bytes(value: Uint8Array): void {
    if (value.length >= COPY_BELOW_BYTES) {
      this.reference(value)
      return
    }
    const at = this.grow(value.length)
    this.buffer.set(value, at)
  }

  /** Never copied. */
  reference(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.seal()
    this.chunks.push(chunk)
    this.finishedBytes += chunk.length
  }

  /** Everything that another writer gathered. */
  append(other: Writer): void {
    for (const chunk of other.finish()) this.bytes(chunk)
  }

  /** The chunks in order; together the message. */
  finish(): Uint8Array[] {
    this.seal()
    return this.chunks
  }
}

/** The chunks as one piece; without a copy where there is only one. */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}
