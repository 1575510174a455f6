import { createMetadataRecordCodec } from '../../../src/adapters/record-codec.js'
import type { BrokerEpoch, LogIndex, NodeId } from '../../../src/lib/ids.js'
import type { SimNode } from '../node.js'
import { Invariant, type RaftState, type Watched } from './invariant.js'

const codec = createMetadataRecordCodec()

/**
 * A broker that leads before it knows of its own registration answers that it has no such partition; one that slept
 * through its fencing may believe that it leads still.
 */
export class UnfencedBrokersAreReady extends Invariant {
  readonly title = 'an unfenced broker knows of its registration and its last fencing'
  /** By broker: what it must have applied, its registration or its last fencing. */
  private readonly due = new Map<NodeId, LogIndex>()
  private next: LogIndex = 1

  override onRaft(world: Watched, _node: SimNode, _now: RaftState): void {
    const { committed } = world.facts
    for (; this.next < committed.length; this.next++) {
      const entry = committed[this.next]?.entry
      if (entry?.type === 'data') this.read(world, this.next, entry.payload)
    }
  }

  private read(world: Watched, index: LogIndex, payload: Uint8Array): void {
    for (const record of codec.decode(payload)) {
      if (record.type === 'registerBrokerRecord') this.due.set(record.brokerId, index)
      if (record.type !== 'brokerRegistrationChangeRecord') continue
      if (record.fenced === true) this.due.set(record.brokerId, index)
      if (record.fenced === false) this.judge(world, record.brokerId, record.brokerEpoch)
    }
  }

  private judge(world: Watched, id: NodeId, epoch: BrokerEpoch): void {
    const node = world.nodes.find((each) => each.id === id)
    if (node === undefined || !node.isUp || node.node === null || node.isStopping) return
    const { services, state } = node.node
    if (services.brokerEpoch() !== epoch) return
    this.checks++
    const due = this.due.get(id) ?? 0
    const { appliedIndex } = services.metadata
    if (appliedIndex < due)
      this.fail(`node ${id} is unfenced, has applied ${appliedIndex}, and ${due} is about it`)
    if (state === 'starting' || state === 'recovering') this.fail(`node ${id} is unfenced and ${state}`)
  }
}
