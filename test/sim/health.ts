import type { PartitionStatus } from '../../src/broker/partitions/types.js'
import type { Voter } from '../../src/raft/types.js'
import type { SimNode } from './node.js'

/** Every node serves, and every replica of every partition is in sync. */
export function isWhole(nodes: readonly SimNode[]): boolean {
  return nodes.every(
    (node) =>
      node.isUp &&
      node.node?.state === (node.roles.broker ? 'running' : 'none') &&
      node.quarantined().length === 0 &&
      node.replicas().every((status) => status.role !== 'leader' || isFullyReplicated(node, status)),
  )
}

function isFullyReplicated(node: SimNode, status: PartitionStatus): boolean {
  const topic = node.node!.services.metadata.image.topicsById.get(status.topicId)
  const replicas = topic?.partitions[status.partitionId]?.replicas
  return replicas === undefined || status.isr.committed.length === replicas.length
}

/** As the leader sees it: each voter is a node that runs, under its present directory, and nobody is about to join. */
export function isQuorumWhole(nodes: readonly SimNode[]): boolean {
  const voters = votersOf(nodes)
  const isPresent = ({ nodeId, directoryId }: Voter): boolean =>
    nodes.some((node) => node.id === nodeId && node.quorum?.status().directoryId === directoryId)
  return (
    voters.length > 0 &&
    voters.every(isPresent) &&
    nodes.every((node) => !mustVote(node) || voters.some(({ nodeId }) => nodeId === node.id))
  )
}

/** So many that the durable log of one of them may be lost, where the cluster has as many. */
export function hasSpareVoter(nodes: readonly SimNode[]): boolean {
  const controllers = nodes.filter(({ roles }) => roles.controller)
  return votersOf(nodes).length >= Math.min(3, controllers.length)
}

function votersOf(nodes: readonly SimNode[]): readonly Voter[] {
  const leader = nodes.find((each) => each.quorum?.status().role === 'leader')
  return leader?.quorum?.status().voters ?? []
}

function mustVote(node: SimNode): boolean {
  return node.roles.controller && node.joinsByItself
}

/** No record of the topic is under way any more: every replica holds the same, and knows that it is committed. */
export function isQuiet(nodes: readonly SimNode[], topic: string, partitions: number): boolean {
  const ends = new Map<number, string>()
  for (const node of nodes) {
    for (const status of node.replicas()) {
      if (status.topic !== topic) continue
      if (status.highWatermark !== status.logEndOffset) return false
      const own = `${status.logStartOffset}-${status.logEndOffset}`
      if ((ends.get(status.partitionId) ?? own) !== own) return false
      ends.set(status.partitionId, own)
    }
  }
  return ends.size === partitions
}

/** The nodes that hold a replica of this partition. */
export function replicaHolders(nodes: readonly SimNode[], partition: string): SimNode[] {
  return nodes.filter((node) =>
    node.replicas().some((status) => `${status.topic}-${status.partitionId}` === partition),
  )
}

/** One line: what the node says of its consensus and its replicas. */
export function describeNode(node: SimNode): string {
  const status = node.quorum?.status()
  const replicas = node
    .replicas()
    .map(
      (p) =>
        `${p.topic}-${p.partitionId} ${p.role} e${p.leaderEpoch} isr ${p.isr.committed.join('/')} [${p.logStartOffset},${p.highWatermark},${p.logEndOffset})`,
    )
  const state = node.isUp ? node.node?.state : 'down'
  const voters = status?.voters.map((voter) => `${voter.nodeId}@${voter.directoryId.slice(0, 4)}`).join('/')
  const consensus = `${status?.role} of ${status?.directoryId.slice(0, 4)} term ${status?.term} commit ${status?.commitIndex} voters ${voters}`
  return `node ${node.id} ${state} ${consensus} quarantined ${node.quarantined().length}: ${replicas.join('; ')}`
}
