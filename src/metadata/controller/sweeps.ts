import type { Uuid } from '../../lib/ids.js'
import type { PartitionImage, TopicImage } from '../image.js'
import type { ControllerState } from './state.js'

export interface Sweep {
  /** What it is for: `isSweeping` asks by it. */
  readonly purpose: string
  /** In this order; one that is of several kinds is visited once. */
  readonly kinds: readonly ((partition: PartitionImage) => boolean)[]
  /** May change the partition. It was of the kind when the sweep began. */
  visit(topic: TopicImage, partitionId: number, partition: PartitionImage): void
  /** In the batch that ends the sweep. */
  done?(): void
}

interface Running {
  readonly sweep: Sweep
  /** Topic and partition by turns, without an object for each: there may be tens of thousands. */
  readonly work: (Uuid | number)[]
  next: number
}

/**
 * Changes that many partitions need, in bounded batches: what does not fit into the present one goes on in
 * `Controller.work`. Each batch leaves the metadata in a state that is right by itself. Nothing here outlives the
 * controller: its successor derives from the metadata what is left to do.
 */
export class Sweeps {
  private running: Running[] = []

  constructor(private readonly state: ControllerState) {}

  get isIdle(): boolean {
    return this.running.length === 0
  }

  isSweeping(purpose: string): boolean {
    return this.running.some(({ sweep }) => sweep.purpose === purpose)
  }

  /** Goes as far as the present batch has room. True: to its end. */
  begin(sweep: Sweep): boolean {
    const running = { sweep, work: this.collect(sweep), next: 0 }
    if (this.advance(running)) return true
    this.running.push(running)
    return false
  }

  /** One more batch. */
  work(): void {
    while (this.running.length > 0 && this.advance(this.running[0]!)) this.running.shift()
  }

  clear(): void {
    this.running = []
  }

  private collect({ kinds }: Sweep): (Uuid | number)[] {
    const byKind: (Uuid | number)[][] = kinds.map(() => [])
    for (const topic of this.state.image.topicsById.values()) {
      const { partitions } = topic
      for (let id = 0; id < partitions.length; id++) {
        let kind = 0
        while (kind < kinds.length && !kinds[kind]!(partitions[id]!)) kind++
        byKind[kind]?.push(topic.id, id)
      }
    }
    return byKind.flat()
  }

  private advance(running: Running): boolean {
    const { sweep, work } = running
    const { state } = this
    while (running.next < work.length) {
      if (!state.hasRoom) return false
      const topic = state.image.topicsById.get(work[running.next] as Uuid)
      const partitionId = work[running.next + 1] as number
      running.next += 2
      const partition = topic?.partitions[partitionId]
      if (topic !== undefined && partition !== undefined) sweep.visit(topic, partitionId, partition)
    }
    sweep.done?.()
    return true
  }
}
