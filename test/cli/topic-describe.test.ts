import { expect, it } from 'vitest'
import { asText, type DescribedTopic } from '../../src/cli/commands/topic-describe.js'

function topicWith(adding: number[], removing: number[]): DescribedTopic {
  const partition = { leader: 1, leaderEpoch: 4, isr: [1, 2], offline: [] }
  return {
    name: 'orders',
    topicId: 'q1Sv0VjMQrqWYyW3bYb2-g',
    isInternal: false,
    configs: {},
    partitions: [
      { ...partition, index: 0, replicas: [1, 2], addingReplicas: [], removingReplicas: [] },
      { ...partition, index: 1, replicas: [1, 2, 3], addingReplicas: adding, removingReplicas: removing },
    ],
  }
}

it('shows which replicas come and go while a reassignment goes on', () => {
  const lines = asText(topicWith([3], [2])).split('\n')
  expect(lines[1]!.trim().split(/ +/)).toEqual([
    'PARTITION',
    'LEADER',
    'EPOCH',
    'REPLICAS',
    'ISR',
    'ADDING',
    'REMOVING',
  ])
  expect(lines[3]!.trim().split(/ +/)).toEqual(['1', '1', '4', '1,2,3', '1,2', '3', '2'])
})

it('says nothing of reassignments where none goes on', () => {
  const lines = asText(topicWith([], [])).split('\n')
  expect(lines[1]!.trim().split(/ +/)).toEqual(['PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'ISR'])
  expect(lines[3]!.trim().split(/ +/)).toEqual(['1', '1', '4', '1,2,3', '1,2'])
})
