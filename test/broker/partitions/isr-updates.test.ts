import { expect, it } from 'vitest'
import { IsrUpdates } from '../../../src/broker/partitions/isr-updates.js'
import type { Partition } from '../../../src/broker/partitions/partition.js'
import type { PartitionServices } from '../../../src/broker/partitions/types.js'
import type { AlterPartitions, ControllerReply } from '../../../src/metadata/commands.js'
import type { IsrProposal } from '../../../src/partition/isr.js'
import { SimWorldClock } from '../../sim/clock.js'

interface Sent {
  readonly command: AlterPartitions
  answer(reply: ControllerReply): void
}

/** Broker 1's, with partitions that ask for what `wanted` holds. */
function updatesOf(count: number) {
  const world = new SimWorldClock()
  const sent: Sent[] = []
  const wanted = new Map<number, IsrProposal>()
  const results: [partitionId: number, type: string][] = []
  const partitions = Array.from({ length: count }, (_, partitionId) => {
    wanted.set(partitionId, { leaderEpoch: 1, partitionEpoch: 1, newIsr: [1, 2] })
    return {
      topicId: 'topic',
      partitionId,
      proposeIsr: () => wanted.get(partitionId) ?? null,
      onProposalResult: (_proposal: IsrProposal, { type }: { type: string }) =>
        results.push([partitionId, type]),
    } as unknown as Partition
  })
  const updates = new IsrUpdates({
    config: { nodeId: 1 },
    clock: world.process('n1').clock,
    brokerEpoch: () => 7,
    metadata: { appliedIndex: 5, image: { brokers: new Map() } },
    quorum: {
      submit: (command: AlterPartitions, _context: unknown, _timeoutMs: number, answer: Sent['answer']) =>
        sent.push({ command, answer }),
    },
  } as unknown as PartitionServices)
  const add = () => {
    for (const partition of partitions) updates.add(partition)
    world.runFor(10)
  }
  return { world, updates, sent, wanted, results, add }
}

const REFUSED: ControllerReply = { type: 'failed', errorCode: 7, errorMessage: '' }

it('asks for so much at a time, and for the rest when an answer comes', () => {
  const { world, sent, results, add } = updatesOf(1_700)
  add()
  expect(sent.map(({ command }) => command.partitions.length)).toEqual([500, 500])
  sent[0]!.answer(REFUSED)
  world.runFor(10)
  expect(sent).toHaveLength(3)
  expect(results).toHaveLength(500)
  sent[1]!.answer(REFUSED)
  sent[2]!.answer(REFUSED)
  world.runFor(10)
  expect(sent.map(({ command }) => command.partitions.length)).toEqual([500, 500, 500, 200])
  expect(results.every(([, type]) => type === 'retry')).toBe(true)
})

it('decides what to ask for when its turn comes, once for each partition', () => {
  const { world, sent, wanted, add } = updatesOf(1_001)
  add()
  add()
  wanted.set(1_000, { leaderEpoch: 1, partitionEpoch: 1, newIsr: [1, 2, 3] })
  for (let id = 0; id < 1_000; id++) wanted.delete(id)
  for (const { answer } of [...sent]) answer(REFUSED)
  world.runFor(10)
  const last = sent[2]!.command.partitions
  expect(last).toHaveLength(1)
  expect(last[0]!.newIsr.map(({ brokerId }) => brokerId)).toEqual([1, 2, 3])
})

it('waits for no answer that was lost before it asks for the rest: a follower’s death may be among it', () => {
  const { world, sent, results, add } = updatesOf(1_700)
  add()
  expect(sent).toHaveLength(2)
  world.runFor(400)
  expect(sent).toHaveLength(2)
  world.runFor(100)
  expect(sent.map(({ command }) => command.partitions.length)).toEqual([500, 500, 500, 200])
  // A late answer is one all the same, and lends nobody a place.
  sent[0]!.answer(REFUSED)
  expect(results).toHaveLength(500)
  add()
  expect(sent).toHaveLength(4)
  sent[3]!.answer(REFUSED)
  world.runFor(10)
  expect(sent).toHaveLength(5)
  world.runFor(10)
  expect(sent).toHaveLength(5)
})

it('sends nothing more when it is closed', () => {
  const { world, updates, sent, results, add } = updatesOf(1_700)
  add()
  updates.close()
  for (const { answer } of [...sent]) answer(REFUSED)
  world.runFor(1_000)
  expect(sent).toHaveLength(2)
  expect(results).toEqual([])
})
