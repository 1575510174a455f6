import { expect, it } from 'vitest'
import { createMetadataRecordCodec } from '../../../src/adapters/record-codec.js'
import { SnapshotWriter } from '../../../src/broker/quorum/snapshot-writer.js'
import { MutableImage } from '../../../src/metadata/replay.js'
import type { Clock } from '../../../src/ports/clock.js'

const codec = createMetadataRecordCodec()

/** Turns are taken by hand. */
class Turns {
  private waiting: (() => void)[] = []
  readonly clock = {
    after: (_delayMs: number, input: () => void) => {
      this.waiting.push(input)
      return {
        cancel: () => {
          this.waiting = this.waiting.filter((other) => other !== input)
        },
      }
    },
  } as unknown as Clock

  next(): boolean {
    const input = this.waiting.shift()
    input?.()
    return input !== undefined
  }
}

function topics(count: number): MutableImage {
  const image = new MutableImage()
  for (let i = 0; i < count; i++) image.apply({ type: 'topicRecord', name: `t${i}`, topicId: `id${i}` })
  return image
}

it('writes a small snapshot at once', () => {
  const turns = new Turns()
  const image = topics(10)
  let data: Uint8Array | undefined
  new SnapshotWriter(turns.clock, codec).write(image, (written) => {
    data = written
  })
  expect(codec.decode(data!)).toEqual(image.toRecords())
  expect(turns.next()).toBe(false)
})

it('writes a large one in many turns, as it was when it began', () => {
  const turns = new Turns()
  const image = topics(2_000)
  const before = image.toRecords()
  const writer = new SnapshotWriter(turns.clock, codec)
  let data: Uint8Array | undefined
  writer.write(image, (written) => {
    data = written
  })
  let count = 0
  while (turns.next()) {
    expect(writer.isWriting || data !== undefined).toBe(true)
    image.apply({ type: 'removeTopicRecord', topicId: `id${1_999 - count}` })
    count++
  }
  expect(count).toBe(4)
  expect(writer.isWriting).toBe(false)
  expect(codec.decode(data!)).toEqual(before)
})

it('is given up where another snapshot has come', () => {
  const turns = new Turns()
  const writer = new SnapshotWriter(turns.clock, codec)
  writer.write(topics(2_000), () => expect.fail('it was given up'))
  turns.next()
  writer.cancel()
  expect(turns.next()).toBe(false)
  expect(writer.isWriting).toBe(false)
})
