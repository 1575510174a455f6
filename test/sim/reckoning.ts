import { parseSegmentFile } from '../../src/log/file-names.js'
import type { Compression } from '../../src/ports/compression.js'
import { iterateBatches, readRecords } from '../../src/wire/records.js'
import type { SimDisk } from './disk.js'
import { Violation } from './invariants/invariant.js'

type Records = ReadonlyMap<string, ReadonlyMap<number, string>>

/** What producers were promised. */
export class Acknowledged {
  /** By partition ('topic-0'), values by offset. */
  readonly records = new Map<string, Map<number, string>>()
  /** By partition's number. */
  readonly highest = new Map<number, number>()

  add(partition: string, offset: number, value: string): void {
    let records = this.records.get(partition)
    if (records === undefined) this.records.set(partition, (records = new Map()))
    const before = records.get(offset)
    if (before !== undefined && before !== value)
      throw new Violation(
        'one offset, one record',
        `${partition}:${offset} was acknowledged as ${before} and as ${value}`,
      )
    records.set(offset, value)
    const number = Number(partition.slice(partition.lastIndexOf('-') + 1))
    this.highest.set(number, Math.max(offset, this.highest.get(number) ?? -1))
  }
}

/** The end: every acknowledged record was consumed where it was acknowledged, and nothing was consumed twice. */
export function reckonValues(acknowledged: Records, consumed: Records): void {
  if (acknowledged.size === 0) throw new Violation('the reckoning', 'nothing was acknowledged at all')
  for (const [partition, records] of acknowledged) {
    for (const [offset, value] of records) {
      const found = consumed.get(partition)?.get(offset)
      if (found === value) continue
      throw new Violation(
        'no acknowledged record is lost',
        `${partition}:${offset} was acknowledged as ${value}, and consumed was ${found ?? 'nothing'}`,
      )
    }
  }
  for (const [partition, records] of consumed) {
    const places = new Map<string, number>()
    for (const [offset, value] of records) {
      const first = places.get(value)
      if (first !== undefined)
        throw new Violation(
          '23 a sequence is appended once',
          `${value} lies at ${partition}:${first} and :${offset}`,
        )
      places.set(value, offset)
    }
  }
}

/** Read off the disks: the replicas are byte-equal, and each holds every acknowledged record. */
export function reckonReplicas(
  disks: readonly SimDisk[],
  acknowledged: Records,
  compression: Compression,
): void {
  for (const [partition, records] of acknowledged) {
    const [first, ...others] = disks.map((disk) => bytesOf(disk, partition))
    for (const [i, other] of others.entries()) {
      if (!first!.equals(other))
        throw new Violation(
          '16 replicas are identical below the least high watermark',
          `${partition} holds ${first!.length} bytes on node 1 and other ${other.length} on node ${i + 2}`,
        )
    }
    const held = new Map<number, string>()
    for (const batch of iterateBatches(first!)) {
      for (const record of readRecords(batch, compression, 1 << 20))
        held.set(record.offset, Buffer.from(record.value ?? []).toString())
    }
    for (const [offset, value] of records) {
      if (held.get(offset) !== value)
        throw new Violation(
          'no acknowledged record is lost',
          `${partition}:${offset} was acknowledged as ${value}, and the disks hold ${held.get(offset) ?? 'nothing'}`,
        )
    }
  }
}

function bytesOf(disk: SimDisk, partition: string): Buffer {
  const segments = disk
    .list(partition)
    .filter((file) => {
      const name = parseSegmentFile(file)
      return name?.suffix === '.log' && !name.isDeleted
    })
    .sort()
  return Buffer.concat(
    segments.map((file) => {
      const open = disk.open(`${partition}/${file}`)
      const bytes = open.read(0, open.size())
      open.close()
      return bytes
    }),
  )
}
