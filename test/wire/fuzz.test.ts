import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { joinChunks, WireError } from '../../src/wire/primitives.js'
import { isInvalid, validateProduceBatches, validateRecords } from '../../src/wire/record-validation.js'
import { iterateBatches, readRecords } from '../../src/wire/records.js'
import { allApis } from './all-apis.js'
import { fromHex, loadApiGoldens, loadGolden } from './golden.js'

const SEED = 20_260_401
const MUTANTS_PER_SAMPLE = 60
const EXTREMES = [0x00, 0x01, 0x7f, 0x80, 0xff]
const samples = loadApiGoldens()
const ALL = await allApis()

/** Flips, extremes, cuts, insertions and repeated pieces: one to four of them. */
function mutate(random: SeededRandom, bytes: Buffer): Buffer {
  let mutant = Buffer.from(bytes)
  for (let n = 1 + randomBelow(random, 4); n > 0 && mutant.length > 0; n--) {
    const at = randomBelow(random, mutant.length)
    switch (randomBelow(random, 6)) {
      case 0:
        mutant[at] = mutant[at]! ^ (1 << randomBelow(random, 8))
        break
      case 1:
        mutant[at] = EXTREMES[randomBelow(random, EXTREMES.length)]!
        break
      case 2:
        mutant = mutant.subarray(0, at)
        break
      case 3:
        mutant.fill(EXTREMES[randomBelow(random, EXTREMES.length)]!, at, Math.min(at + 4, mutant.length))
        break
      case 4:
        mutant = Buffer.concat([
          mutant.subarray(0, at),
          Buffer.from([randomBelow(random, 256)]),
          mutant.subarray(at),
        ])
        break
      default:
        mutant = Buffer.concat([mutant, mutant.subarray(at)])
    }
  }
  return mutant
}

/** How many values and characters a decoded message holds: what it cost. */
function weigh(value: unknown): number {
  if (typeof value === 'string') return 1 + value.length
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 1
  if (value instanceof Map) return 1 + value.size
  return Object.values(value).reduce((sum: number, item) => sum + weigh(item), 1)
}

describe.each(ALL.map((api) => ({ name: api.name, api })))('$name', ({ api }) => {
  it.each([api.request, api.response])('$name: every mutant is a value or a WireError', (message) => {
    const random = new SeededRandom(SEED + api.key)
    let refused = 0
    for (const sample of samples.filter((s) => s.message === message.name)) {
      for (let i = 0; i < MUTANTS_PER_SAMPLE; i++) {
        const mutant = mutate(random, fromHex(sample.hex))
        const what = `v${sample.version} ${mutant.toString('hex')}`
        let value: object
        try {
          value = message.decode(mutant, sample.version) as object
        } catch (error) {
          expect(error, what).toBeInstanceOf(WireError)
          refused++
          continue
        }
        // The widest struct has some 20 fields for two bytes of empty flexible struct.
        expect(weigh(value), what).toBeLessThanOrEqual(100 + 20 * mutant.length)
        joinChunks(message.encode(sample.version, value as never))
      }
    }
    expect(refused).toBeGreaterThan(0)
  })
})

describe('record batches', () => {
  const noCompression = {
    decompress: () => {
      throw new Error('not compressed')
    },
    compress: (_codec: number, bytes: Uint8Array) => bytes,
  }

  it('every mutant is read, or refused by an error', () => {
    const random = new SeededRandom(SEED)
    const goldens = loadGolden<{ name: string; hex: string }>('record-batches.json')
    let refused = 0
    for (const golden of goldens.filter((g) => g.hex.length < 4000)) {
      for (let i = 0; i < 500; i++) {
        const mutant = mutate(random, fromHex(golden.hex))
        for (const view of iterateBatches(mutant)) {
          try {
            for (const record of readRecords(view, noCompression, 1_000_000)) {
              expect(record.headers.length).toBeLessThanOrEqual(mutant.length)
            }
          } catch (error) {
            expect(error).toBeInstanceOf(WireError)
            refused++
          }
        }
        const result = validateProduceBatches(mutant, { maxBatchBytes: 1_000_000, apiVersion: 9 })
        if (isInvalid(result)) expect(result.errorCode).toBeGreaterThan(0)
        else validateRecords(result, { compression: noCompression, maxBytes: 1_000_000, requireKeys: false })
      }
    }
    expect(refused).toBeGreaterThan(0)
  })
})
