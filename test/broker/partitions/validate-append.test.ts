import { beforeAll, expect, it } from 'vitest'
import { loadCompression } from '../../../src/adapters/compression.js'
import type { RequestContext } from '../../../src/broker/handler.js'
import { InflationBudget } from '../../../src/broker/partitions/inflation-budget.js'
import type { AppendOptions } from '../../../src/broker/partitions/types.js'
import { validateAppend } from '../../../src/broker/partitions/validate-append.js'
import { produceHandler } from '../../../src/broker/requests/produce.js'
import type { BrokerServices } from '../../../src/broker/services.js'
import type { TopicConfig } from '../../../src/metadata/configs.js'
import type { Compression } from '../../../src/ports/compression.js'
import { errorName } from '../../../src/wire/errors.js'
import { buildBatch } from '../../../src/wire/records.js'

const MIB = 1024 * 1024
const GZIP = 1
const COMPACTED = {
  cleanupCompact: true,
  maxMessageBytes: MIB,
  messageTimestampType: 'LogAppendTime',
} as TopicConfig

let compression: Compression

beforeAll(async () => {
  compression = await loadCompression()
})

/** A batch of one record that grows to a little more than `mib` MiB. */
function bomb(mib: number, key: Buffer | null = Buffer.from('k')): Uint8Array {
  const record = { key, value: Buffer.alloc(mib * MIB), timestamp: 1 }
  return buildBatch([record], { compression: { codec: GZIP, port: compression } })
}

/** A request of these batches: what became of each, and how far all of them were allowed to grow. */
function produce(batches: readonly Uint8Array[]) {
  const inflation = new InflationBudget()
  let inflatedBytes = 0
  const port: Compression = {
    ...compression,
    decompress: (codec, bytes, maxBytes) => {
      // A failure costs what it was allowed.
      inflatedBytes += maxBytes
      const inflated = compression.decompress(codec, bytes, maxBytes)
      inflatedBytes += inflated.length - maxBytes
      return inflated
    },
  }
  const answers = batches.map((batch) => {
    const result = validateAppend(batch, { origin: 'client', inflation }, COMPACTED, port, 0)
    return result.type === 'valid' ? 'NONE' : errorName(result.errorCode)
  })
  return { answers, inflatedBytes }
}

it('reads no more of a request’s batches for compacted topics than of one, and has the rest sent again', () => {
  const { answers, inflatedBytes } = produce([bomb(40), bomb(40), bomb(1)])
  expect(answers).toEqual(['NONE', 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'])
  expect(inflatedBytes).toBeLessThanOrEqual(64 * MIB)
})

it('counts a batch that is refused', () => {
  const { answers, inflatedBytes } = produce([bomb(65), bomb(65), bomb(65)])
  expect(answers).toEqual(['INVALID_RECORD', 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'])
  expect(inflatedBytes).toBe(64 * MIB)
})

it('still names a record without key, and takes what is not compressed', () => {
  const plain = buildBatch([{ key: Buffer.from('k'), value: null, timestamp: 1 }])
  expect(produce([bomb(1), bomb(1, null), bomb(65), plain, bomb(1)]).answers).toEqual([
    'NONE',
    'INVALID_RECORD',
    'NOT_ENOUGH_REPLICAS',
    'NONE',
    'NOT_ENOUGH_REPLICAS',
  ])
})

it('gives each Produce request one budget for all of its partitions', () => {
  const asked: AppendOptions[] = []
  const topicId = 'T3JkZXJzT3JkZXJzT3JkZQ'
  const handler = produceHandler({
    metadata: {
      image: {
        topicsByName: new Map([['orders', { id: topicId }]]),
        topicsById: new Map([[topicId, { name: 'orders' }]]),
      },
    },
    partitions: {
      appendAsLeader: (_: string, __: number, ___: Uint8Array, options: AppendOptions) => asked.push(options),
    },
  } as unknown as BrokerServices)
  const records = new Uint8Array(1)
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 0,
    topicData: [{ name: 'orders', topicId, partitionData: [0, 1].map((index) => ({ index, records })) }],
  }
  for (let i = 0; i < 2; i++) handler.handle(request, { apiVersion: 9 } as RequestContext, {} as never)
  const [a, b, c, d] = asked.map(({ inflation }) => inflation)
  expect(a).toBeInstanceOf(InflationBudget)
  expect([b === a, c === a, d === c]).toEqual([true, false, true])
})
