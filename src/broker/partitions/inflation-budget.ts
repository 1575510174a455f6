import type { Compression } from '../../ports/compression.js'

/** What a batch may grow to where its records are looked at. */
export const MAX_INFLATED_BYTES = 64 * 1024 * 1024

/** What the batches of one request may grow to together, since they are all looked at in one turn of the loop. */
export class InflationBudget {
  private leftBytes = MAX_INFLATED_BYTES

  /** Nothing was taken yet: a batch that does not fit now never will. */
  get isWhole(): boolean {
    return this.leftBytes === MAX_INFLATED_BYTES
  }

  get isSpent(): boolean {
    return this.leftBytes === 0
  }

  /** Decompresses what this budget pays for. One that fails spends all of it: how far it came is not known. */
  meter(compression: Compression): Compression {
    return {
      compress: (codec, bytes) => compression.compress(codec, bytes),
      decompress: (codec, bytes, maxBytes) => {
        const allowedBytes = Math.min(maxBytes, this.leftBytes)
        this.leftBytes = 0
        const inflated = compression.decompress(codec, bytes, allowedBytes)
        this.leftBytes = allowedBytes - inflated.length
        return inflated
      },
    }
  }
}
