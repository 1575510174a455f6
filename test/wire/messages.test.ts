import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/wire/messages/index.js'
import { joinChunks } from '../../src/wire/primitives.js'
import { allApis } from './all-apis.js'
import { fromHex, type GoldenSample, loadApiGoldens, toJson } from './golden.js'

const UNKNOWN_TAG = 77
const samples = loadApiGoldens()
const ALL = await allApis()

function samplesOf(message: string, version: number): GoldenSample[] {
  return samples.filter((sample) => sample.message === message && sample.version === version)
}

describe.each(ALL.map((api) => ({ name: api.name, api })))('$name against the bytes of Kafka itself', ({
  api,
}) => {
  const versions = Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, i) => api.minVersion + i)

  for (const version of versions) {
    for (const message of [api.request, api.response]) {
      it(`${message.name} v${version} is read and written byte for byte`, () => {
        const goldens = samplesOf(message.name, version)
        expect(goldens.length, 'each advertised version needs a golden').toBeGreaterThanOrEqual(2)
        for (const golden of goldens) {
          const bytes = fromHex(golden.hex)
          const value = message.decode(bytes, version) as object
          expect(toJson(value, golden.json)).toEqual(golden.json)
          expect(joinChunks(message.encode(version, value as never))).toEqual(bytes)
        }
      })
    }
  }
})

it('advertises Produce from version 0 for the sake of old clients, and serves it from 3', () => {
  const produce = APIS.find((api) => api.name === 'Produce')
  expect(produce).toMatchObject({ advertisedMinVersion: 0, minVersion: 3, maxVersion: 13 })
})

it('keeps unknown tagged fields', () => {
  const goldens = samples.filter((sample) => sample.hex.endsWith('4d03010203'))
  expect(goldens.length).toBeGreaterThan(100)
  for (const golden of goldens) {
    const api = ALL.find((candidate) => golden.message.startsWith(candidate.name + 'Re'))!
    const message = golden.message.endsWith('Request') ? api.request : api.response
    const value = message.decode(fromHex(golden.hex), golden.version) as {
      unknownTaggedFields: Map<number, Uint8Array>
    }
    expect([...value.unknownTaggedFields.keys()]).toEqual([UNKNOWN_TAG])
    expect([...value.unknownTaggedFields.get(UNKNOWN_TAG)!]).toEqual([1, 2, 3])
  }
})
