import { describe, expect, it } from 'vitest'
import { GroupCoordinatorRuntime } from '../../../src/broker/coordinators/group-runtime.js'
import { LOAD_TURN_BYTES } from '../../../src/broker/coordinators/load-queue.js'
import type { CoordinatorServices } from '../../../src/broker/coordinators/services.js'
import type { LeadershipEvent } from '../../../src/broker/partitions/types.js'
import { buildBatch } from '../../../src/wire/records.js'
import { FakeNode, TOPIC_ID } from './fake-services.js'

const BATCH_BYTES = LOAD_TURN_BYTES / 4
/** A record of a group protocol that is passed over. */
const KEY = new Uint8Array([0, 99])

/** A node whose partitions have logs of a given number of batches, four of which fill a turn. */
class World {
  readonly node = new FakeNode()
  readonly loaded: number[] = []
  /** One for each turn in which something was read: the partitions of its batches. */
  readonly turns: number[][] = []
  private readonly logs = new Map<number, { batches: number; error: number }>()
  private lastTurn = -1
  private announce: (event: LeadershipEvent) => void = () => {}

  constructor() {
    const { services, partition } = this.node
    const runtime = new GroupCoordinatorRuntime({
      ...services,
      logger: { ...services.logger, info: (fields) => this.loaded.push(Number(fields.partition)) },
      partitions: {
        ...partition.manager,
        readCommitted: this.read,
        onLeadership: (listener) => {
          this.announce = listener
        },
      },
    })
    runtime.start()
  }

  lead(partitionId: number, batches: number, error = 0): void {
    this.logs.set(partitionId, { batches, error })
    this.tell(partitionId, true, batches)
  }

  resign(partitionId: number): void {
    this.tell(partitionId, false, -1)
  }

  private tell(partitionId: number, isLeader: boolean, epochStartOffset: number): void {
    const topic = '__consumer_offsets'
    this.announce({ topicId: TOPIC_ID, topic, partitionId, isLeader, leaderEpoch: 1, epochStartOffset })
  }

  heal(partitionId: number): void {
    this.logs.get(partitionId)!.error = 0
  }

  private readonly read: CoordinatorServices['partitions']['readCommitted'] = (
    _topicId,
    partitionId,
    offset,
    maxBytes,
  ) => {
    const { batches, error } = this.logs.get(partitionId)!
    if (this.lastTurn !== this.node.clock.turns) this.turns.push([])
    this.lastTurn = this.node.clock.turns
    const chunks: Uint8Array[] = []
    let byteLength = 0
    while (error === 0 && offset + chunks.length < batches && (byteLength === 0 || byteLength < maxBytes)) {
      const value = new Uint8Array(BATCH_BYTES - 100)
      const baseOffset = offset + chunks.length
      chunks.push(buildBatch([{ key: KEY, value, timestamp: 1 }], { baseOffset }))
      byteLength += BATCH_BYTES
      this.turns.at(-1)!.push(partitionId)
    }
    const slice = { chunks, byteLength, nextOffset: offset + chunks.length }
    return { errorCode: error, slice, highWatermark: batches, logStartOffset: 0 }
  }
}

describe('the shards of a node that load', () => {
  it('take turns, one slice a turn of the loop', () => {
    const world = new World()
    world.lead(0, 8)
    world.lead(1, 12)
    world.lead(2, 8)
    expect(world.turns).toEqual([])
    world.node.clock.run()
    expect(world.turns).toEqual([0, 1, 2, 0, 1, 2, 1].map((partition) => Array(4).fill(partition)))
    expect(world.loaded).toEqual([0, 2, 1])
  })

  it('share a turn where they are small, and none reads more than is left of it', () => {
    const world = new World()
    for (const partition of [0, 1, 2, 3]) world.lead(partition, 1)
    world.lead(4, 6)
    world.lead(5, 0)
    world.lead(6, 3)
    world.node.clock.run()
    expect(world.turns).toEqual([[0, 1, 2, 3], [4, 4, 4, 4], [6, 6, 6, 4], [4]])
    expect(world.loaded).toEqual([0, 1, 2, 3, 5, 6, 4])
  })

  it('a large one keeps nobody waiting who comes later', () => {
    const world = new World()
    world.lead(0, 400)
    world.node.clock.step()
    world.lead(1, 4)
    world.node.clock.step()
    world.node.clock.step()
    expect(world.loaded).toEqual([1])
  })

  it('leave the queue when they lose their leadership', () => {
    const world = new World()
    world.lead(0, 40)
    world.lead(1, 4)
    world.lead(2, 40)
    world.node.clock.step()
    world.resign(0)
    world.node.clock.step()
    expect([world.turns.length, world.loaded]).toEqual([2, [1]])
    world.resign(2)
    world.node.clock.run()
    expect(world.turns.length).toBe(2)
  })

  it('one that cannot be read yet holds up nobody, and waits its turn when it tries again', () => {
    const world = new World()
    world.lead(0, 4, 56)
    world.lead(1, 4)
    world.node.clock.run()
    expect(world.loaded).toEqual([1])
    world.heal(0)
    world.node.clock.run(500)
    expect(world.loaded).toEqual([1, 0])
  })
})
