import type { Random } from '../ports/random.js'
import { type Uuid, uuidFromBytes } from './ids.js'

/** A seeded random source: xoshiro128** seeded by splitmix32 (Blackman, Vigna 2018). The same seed gives the same run. */
export class SeededRandom implements Random {
  private a: number
  private b: number
  private c: number
  private d: number

  /** seed: any safe integer. */
  constructor(seed: number) {
    let state = (seed ^ Math.floor(seed / 0x1_0000_0000)) >>> 0
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0
      let z = state
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return (z ^ (z >>> 15)) >>> 0
    }
    this.a = next()
    this.b = next()
    this.c = next()
    this.d = next() | 1
  }

  uint32(): number {
    const r = Math.imul(this.b, 5)
    const result = Math.imul((r << 7) | (r >>> 25), 9) >>> 0
    const t = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= t
    this.d = (this.d << 11) | (this.d >>> 21)
    return result
  }

  /** A child source, so that one consumer's draws do not shift another's. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32() * 0x20_0000 + (this.uint32() >>> 11))
  }
}

/** A number in [0, 1). */
export function randomFloat(random: Random): number {
  return random.uint32() / 0x1_0000_0000
}

/** An integer in [0, bound). */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor(randomFloat(random) * bound)
}

/** An integer in [min, max]. */
export function randomBetween(random: Random, min: number, max: number): number {
  return min + randomBelow(random, max - min + 1)
}

/** A version 4 UUID in Kafka's textual form; never one that begins with '-', which Kafka's tools cannot parse. */
export function randomUuid(random: Random): Uuid {
  for (;;) {
    const bytes = new Uint8Array(16)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < 4; i++) view.setUint32(i * 4, random.uint32())
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const uuid = uuidFromBytes(bytes)
    if (!uuid.startsWith('-')) return uuid
  }
}
