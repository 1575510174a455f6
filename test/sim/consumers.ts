import type { MicroOp } from '../../src/checker/history.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { ListOffsets } from '../../src/wire/messages/list-offsets.js'
import { BATCH_HEADER_BYTES, iterateBatches, readRecords } from '../../src/wire/records.js'
import { RETRY_MS, SimClient } from './sim-client.js'

const METADATA_MAX_AGE_MS = 5_000
const FETCH_MAX_WAIT_MS = 500
const PARTITION_MAX_BYTES = 64 * 1024

/** A client that fetches partitions and knows how far it has come in each. */
export abstract class FetchingClient extends SimClient {
  protected readonly positions = new Map<number, number>()
  protected historyProcess = this.world.history.process()

  position(partition: number): number {
    return this.positions.get(partition) ?? 0
  }

  /** One fetch of these partitions from one node, whole or in part. `isFine`: every partition was answered without error. */
  protected fetch(nodeId: number, partitions: readonly number[], done: (isFine: boolean) => void): void {
    const asked = partitions.map((partition) => ({
      partition,
      currentLeaderEpoch: this.leaderOf(partition).epoch,
      fetchOffset: this.position(partition),
      partitionMaxBytes: PARTITION_MAX_BYTES,
    }))
    const body = {
      maxWaitMs: FETCH_MAX_WAIT_MS,
      minBytes: 1,
      topics: [{ topic: this.topic, partitions: asked }],
    }
    const operation = this.world.history.begin(this.historyProcess, 'poll')
    this.call(nodeId, Fetch, 12, body as never, (response) => {
      const answers = response?.responses[0]?.partitions
      if (answers === undefined || this.stopped) {
        operation.drop()
        return done(false)
      }
      let isFine = true
      const polled: Record<string, [number, string][]> = {}
      for (const { partitionIndex, errorCode, records, highWatermark, lastStableOffset } of answers) {
        if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE)
          this.world.observer.onOffsetReset(
            this.name,
            this.nameOf(partitionIndex),
            this.position(partitionIndex),
          )
        if (errorCode === ErrorCode.NONE) {
          const lastStable = lastStableOffset ?? -1
          this.world.observer.onFetched(this.name, this.nameOf(partitionIndex), highWatermark, lastStable)
          const read = this.read(partitionIndex, (records as Uint8Array | null) ?? new Uint8Array(0))
          if (read.length > 0) polled[this.nameOf(partitionIndex)] = read
        } else isFine = false
      }
      // Where nothing came, this client stands where it stood: the next poll must go on there.
      if (Object.keys(polled).length > 0) operation.end('ok', [['poll', polled]])
      else operation.drop()
      done(isFine)
    })
  }

  private read(partition: number, bytes: Uint8Array): [number, string][] {
    const read: [number, string][] = []
    if (bytes.byteLength < BATCH_HEADER_BYTES) return read
    for (const batch of iterateBatches(bytes)) {
      for (const record of readRecords(batch, this.world.compression, 1 << 20)) {
        const value = record.value === null ? '' : Buffer.from(record.value).toString()
        // The batch that holds the position may begin before it.
        if (record.offset < this.position(partition)) {
          this.world.observer.onSeen(this.name, this.nameOf(partition), record.offset, value)
          continue
        }
        read.push([record.offset, value])
        this.onRecord(partition, record.offset, value)
        this.positions.set(partition, record.offset + 1)
      }
    }
    return read
  }

  protected abstract onRecord(partition: number, offset: number, value: string): void
}

/** Reads every partition from the beginning, and looks at the latest offset now and then. */
export class SimConsumer extends FetchingClient {
  start(fetchIntervalMs: number): void {
    this.world.history.begin(this.historyProcess, 'assign').end('ok')
    this.refreshMetadata(() => {
      for (const nodeId of this.world.nodeIds) this.poll(nodeId, fetchIntervalMs)
      this.watchLatest()
      this.renewMetadata()
    })
  }

  /** Clients' metadata.max.age.ms, shortened like all of this life: else a leader that was cut off keeps them for ever. */
  private renewMetadata(): void {
    this.after(METADATA_MAX_AGE_MS, () => this.refreshMetadata(() => this.renewMetadata()))
  }

  /** All that this node leads, in one fetch, again and again. A partition moves from one node's turn to another's. */
  private poll(nodeId: number, fetchIntervalMs: number): void {
    const partitions: number[] = []
    for (let partition = 0; partition < this.partitions; partition++) {
      if (this.leaderOf(partition).id === nodeId && !this.fetching.has(partition)) partitions.push(partition)
    }
    const again = (): void => {
      for (const partition of partitions) this.fetching.delete(partition)
      this.after(fetchIntervalMs, () => this.poll(nodeId, fetchIntervalMs))
    }
    if (partitions.length === 0) {
      return this.after(fetchIntervalMs, () => {
        if (this.hasUnledPartition()) this.refreshMetadata(() => this.poll(nodeId, fetchIntervalMs))
        else this.poll(nodeId, fetchIntervalMs)
      })
    }
    for (const partition of partitions) this.fetching.add(partition)
    this.fetch(nodeId, partitions, (isFine) => {
      if (isFine) again()
      else this.after(RETRY_MS, () => this.refreshMetadata(again))
    })
  }

  private readonly fetching = new Set<number>()

  private hasUnledPartition(): boolean {
    for (let partition = 0; partition < this.partitions; partition++) {
      if (this.leaderOf(partition).id < 0) return true
    }
    return false
  }

  protected onRecord(partition: number, offset: number, value: string): void {
    this.world.observer.onConsumed(this.name, this.nameOf(partition), offset, value)
  }

  private watchLatest(): void {
    const { latestWithinMs } = this.world.load
    if (latestWithinMs === 0) return
    this.after(this.draw(latestWithinMs), () => {
      const partition = this.draw(this.partitions)
      const leader = this.leaderOf(partition)
      if (leader.id < 0) return this.watchLatest()
      const name = this.nameOf(partition)
      const asked = { partitionIndex: partition, currentLeaderEpoch: leader.epoch, timestamp: -1n }
      const body = { replicaId: -1, isolationLevel: 0, topics: [{ name: this.topic, partitions: [asked] }] }
      const operation = this.world.history.begin(this.historyProcess, 'listOffsets')
      this.call(leader.id, ListOffsets, 7, body as never, (response) => {
        const answer = response?.topics[0]?.partitions[0]
        if (answer?.errorCode === ErrorCode.NONE) {
          const latest = answer.offset ?? -1
          this.world.observer.onLatestOffset(this.name, name, latest)
          // A leader that was deposed and does not know it yet may tell of the past.
          const ops: MicroOp[] = [['latest', name, latest]]
          if (this.world.observer.isNewestLeader(name, leader.id)) operation.end('ok', ops)
        }
        this.watchLatest()
      })
    })
  }
}
