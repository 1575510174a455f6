import { assert } from '../lib/assert.js'
import type { NodeId } from '../lib/ids.js'
import { onElectionTimeout, startElection } from './campaign.js'
import { noteConfiguration, type RaftCore } from './core.js'
import { isResignation } from './leadership-end.js'
import { SnapshotAssembly } from './snapshot-assembly.js'
import { becomeFollower } from './transitions.js'
import type { Entry, RaftMessage } from './types.js'

type Append = Extract<RaftMessage, { type: 'append' }>
type Heartbeat = Extract<RaftMessage, { type: 'heartbeat' }>
type InstallSnapshot = Extract<RaftMessage, { type: 'installSnapshot' }>

/** A message that only the leader of the present term sends. */
export function noteLeader(core: RaftCore, from: NodeId): void {
  assert(core.role.type !== 'leader', 'a term has one leader')
  // What a dead process left on the wire is still true, but no sign of life.
  if (core.deadLeader === from && core.nowMs < core.deadUntilMs) return
  core.deadLeader = undefined
  if (core.role.type !== 'follower' || core.leader !== from) {
    becomeFollower(core, core.term, from, 'leaderFound')
    return
  }
  core.lastLeaderContactMs = core.nowMs
  core.resetElectionDeadline()
}

/** Raft §5.3. The answer leaves when what it claims is durable here. */
export function onAppend(core: RaftCore, from: NodeId, message: Append): void {
  const { log, outbox } = core
  const { previousIndex, previousTerm, entries } = message
  if (!areContiguous(entries, previousIndex)) return
  // Below the commit index all logs agree; an older message is answered for what is certain.
  const matches = previousIndex <= core.commitIndex || log.termAt(previousIndex) === previousTerm
  if (!matches) {
    const conflictIndex = log.lastIndexUpToTerm(previousIndex - 1, previousTerm)
    outbox.send(from, {
      type: 'appendReply',
      term: core.term,
      follower: core.self,
      success: false,
      matchIndex: 0,
      conflictIndex,
      conflictTerm: log.termAt(conflictIndex) ?? 0,
    })
    return
  }
  appendMissing(core, entries)
  const matchIndex = Math.max(previousIndex + entries.length, core.commitIndex)
  core.commitTo(Math.min(message.commitIndex, matchIndex))
  outbox.sendDurable(from, {
    type: 'appendReply',
    term: core.term,
    follower: core.self,
    success: true,
    matchIndex: Math.min(matchIndex, log.lastIndex),
    conflictIndex: 0,
    conflictTerm: 0,
  })
}

/** Entries that are already here stay, whatever order messages came in; the first that differs cuts the rest off. */
function appendMissing(core: RaftCore, entries: readonly Entry[]): void {
  const { log, outbox } = core
  const firstNew = entries.findIndex(
    (entry) => entry.index > core.commitIndex && log.termAt(entry.index) !== entry.term,
  )
  if (firstNew === -1) return
  const from = entries[firstNew]!.index
  if (from <= log.lastIndex) {
    const configurationIndex = log.configurationIndex
    log.truncateFrom(from)
    outbox.writeTruncation(from)
    if (log.configurationIndex !== configurationIndex) noteConfiguration(core)
  }
  for (const entry of entries.slice(firstNew)) {
    log.append(entry)
    outbox.writeEntry(entry)
    if (entry.type === 'configuration') noteConfiguration(core)
  }
}

function areContiguous(entries: readonly Entry[], previousIndex: number): boolean {
  return entries.every((entry, i) => entry.index === previousIndex + 1 + i)
}

/**
 * Never waits for the disk. `commitIndex` is at most what the leader knows this node to hold, or to have held: a wiped
 * disk that another leader filled meanwhile may hold other entries, which the term tells (Raft §5.3).
 */
export function onHeartbeat(core: RaftCore, from: NodeId, message: Heartbeat): void {
  if (core.log.termAt(message.commitIndex) === message.commitTerm) core.commitTo(message.commitIndex)
  core.outbox.send(from, {
    type: 'heartbeatReply',
    term: core.term,
    follower: core.self,
    lastIndex: core.log.lastIndex,
    readContext: message.readContext,
    sentMs: message.sentMs,
  })
}

/** A sender that died midway leaves what it sent: the next one may go on with it, but not for ever. */
const ASSEMBLY_ELECTION_TIMEOUTS = 10

/** Called before each input. */
export function forgetStaleAssembly(core: RaftCore): void {
  const { assembly, commitIndex, nowMs, timing } = core
  if (assembly === undefined) return
  const isIdle = nowMs - assembly.lastChunkMs > ASSEMBLY_ELECTION_TIMEOUTS * timing.electionTimeoutMaxMs
  // Entries, or another snapshot, brought the node past it.
  if (isIdle || assembly.index <= commitIndex) core.assembly = undefined
}

/** Raft §7, in chunks; installed at once when it is whole and its checksum agrees. */
export function onInstallSnapshot(core: RaftCore, from: NodeId, message: InstallSnapshot): void {
  const { log, outbox } = core
  const answer = (nextOffset: number, done: boolean): void => {
    const reply: RaftMessage = {
      type: 'installSnapshotReply',
      term: core.term,
      follower: core.self,
      index: message.index,
      nextOffset,
      done,
    }
    if (done) outbox.sendDurable(from, reply)
    else outbox.send(from, reply)
  }
  if (message.totalBytes > core.limits.maxSnapshotBytes) return
  if (message.index <= core.commitIndex) {
    answer(message.totalBytes, true)
    return
  }
  if (log.termAt(message.index) === message.snapshotTerm) {
    // Everything is here already; only the news that it is committed was missing.
    core.commitTo(message.index)
    answer(message.totalBytes, true)
    return
  }
  if (core.assembly === undefined || !core.assembly.belongs(message)) {
    core.assembly = new SnapshotAssembly(message, core.nowMs)
  }
  const { assembly } = core
  assembly.add(message, core.nowMs)
  if (!assembly.isWhole) {
    answer(assembly.receivedBytes, false)
    return
  }
  core.assembly = undefined
  const snapshot = assembly.finish(core.checksum)
  if (snapshot === undefined) {
    answer(0, false)
    return
  }
  outbox.writeSnapshot(snapshot, core.commitIndex)
  log.reset(snapshot)
  core.commitIndex = snapshot.index
  noteConfiguration(core)
  answer(message.totalBytes, true)
}

/** Raft thesis §3.10: the old leader asks for an election at once, past pre-vote and stickiness. */
export function onTimeoutNow(core: RaftCore): void {
  if (core.isVoter && !core.isLeaving && core.role.type !== 'leader')
    startElection(core, 'transfer', core.nowMs)
}

/**
 * The leader's process is dead: the dial was refused; or it leads no more and says so. Stickiness ends, and pre-vote
 * starts soon: the survivors see the break in the same millisecond, so each waits in a slot of its own, by rank.
 */
export function onLeaderDead(core: RaftCore, peer: NodeId, resigned?: string): void {
  if (core.role.type !== 'follower' || core.leader !== peer) return
  core.deadLeader = peer
  core.deadCause = isResignation(resigned) ? resigned : 'leaderDead'
  core.deadUntilMs = core.nowMs + core.timing.electionTimeoutMinMs / 2
  if (!core.isVoter) return
  const survivors = core.configuration.voters
    .map((voter) => voter.nodeId)
    .filter((nodeId) => nodeId !== peer)
    .sort((a, b) => a - b)
  const slotMs = core.timing.deadLeaderDelayMaxMs / Math.max(1, survivors.length)
  const delayMs = survivors.indexOf(core.self.nodeId) * slotMs + core.between(0, slotMs / 2)
  core.electionDeadlineMs = Math.min(core.electionDeadlineMs, core.nowMs + delayMs)
}

/** Time passed for whoever does not lead. */
export function onFollowerTick(core: RaftCore): void {
  if (core.nowMs >= core.electionDeadlineMs) onElectionTimeout(core)
}
