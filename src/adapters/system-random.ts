import { randomFillSync } from 'node:crypto'
import type { Random } from '../ports/random.js'

/** The operating system's random numbers, drawn in blocks. */
export class SystemRandom implements Random {
  private readonly block = new Uint32Array(256)
  private used = this.block.length

  uint32(): number {
    if (this.used === this.block.length) {
      randomFillSync(this.block)
      this.used = 0
    }
    return this.block[this.used++]!
  }
}
