/** Cuts a byte stream into Kafka's frames: an int32 length, then that many bytes. Chunks are joined only where a frame spans them. */
export class FrameReader {
  private readonly chunks: Uint8Array[] = []
  private buffered = 0

  /** maxFrameBytes: `socket.request.max.bytes`. */
  constructor(private readonly maxFrameBytes: number) {}

  /** Bytes held for a frame that is not whole yet: never more than what was received. */
  get bufferedBytes(): number {
    return this.buffered
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.chunks.push(chunk)
    this.buffered += chunk.byteLength
  }

  /** The next whole frame without its length, null where more bytes are needed. @throws FrameError: close the connection. */
  next(): Uint8Array | null {
    if (this.buffered < 4) return null
    const length = this.peekLength()
    if (length < MIN_FRAME_BYTES || length > this.maxFrameBytes) {
      throw new FrameError(
        `a frame of ${length} bytes is outside [${MIN_FRAME_BYTES}, ${this.maxFrameBytes}]`,
      )
    }
    if (this.buffered < 4 + length) return null
    this.skip(4)
    return this.take(length)
  }

  private peekLength(): number {
    let value = 0
    let seen = 0
    for (const chunk of this.chunks) {
      for (let i = 0; i < chunk.byteLength && seen < 4; i++, seen++) value = (value << 8) | chunk[i]!
      if (seen === 4) break
    }
    return value
  }

  private skip(count: number): void {
    this.take(count)
  }

  private take(length: number): Uint8Array {
    this.buffered -= length
    const first = this.chunks[0]!
    if (first.byteLength > length) {
      this.chunks[0] = first.subarray(length)
      return first.subarray(0, length)
    }
    if (first.byteLength === length) {
      this.chunks.shift()
      return first
    }
    return this.join(length)
  }

  private join(length: number): Uint8Array {
    const frame = Buffer.allocUnsafeSlow(length)
    let filled = 0
    let used = 0
    while (filled < length) {
      const chunk = this.chunks[used]!
      const wanted = length - filled
      if (chunk.byteLength > wanted) {
        frame.set(chunk.subarray(0, wanted), filled)
        this.chunks[used] = chunk.subarray(wanted)
        break
      }
      frame.set(chunk, filled)
      filled += chunk.byteLength
      used++
    }
    this.chunks.splice(0, used)
    return frame
  }
}

/** A request header of version 0 has eight bytes: nothing shorter can be one. */
const MIN_FRAME_BYTES = 8

export class FrameError extends Error {
  override name = 'FrameError'
}
