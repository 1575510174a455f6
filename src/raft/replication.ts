import type { NodeId } from '../lib/ids.js'
import type { RaftCore } from './core.js'
import { continueTransfer, maybeCommit, tellCommit } from './leader.js'
import type { LeaderState } from './leader-state.js'
import { entryBytes } from './log-view.js'
import { continueCatchUp, forgetDeparted } from './membership-change.js'
import type { Progress } from './progress.js'
import { confirmReads } from './reads.js'
import type { Entry, RaftMessage, Snapshot } from './types.js'

/**
 * A chunk of a snapshot goes again after so many of the longest election time-outs at the latest: before a follower
 * forgets what stands still (`ASSEMBLY_ELECTION_TIMEOUTS`).
 */
const CHUNK_RETRY_ELECTION_TIMEOUTS = 8

type AppendReply = Extract<RaftMessage, { type: 'appendReply' }>
type HeartbeatReply = Extract<RaftMessage, { type: 'heartbeatReply' }>
type InstallSnapshotReply = Extract<RaftMessage, { type: 'installSnapshotReply' }>

export function replicateToAll(core: RaftCore, leader: LeaderState): void {
  for (const progress of leader.progress.values()) replicate(core, progress)
}

/** Sends what the follower's state and window allow. */
export function replicate(core: RaftCore, progress: Progress): void {
  const { limits, log } = core
  if (progress.state === 'snapshot') return
  if (needsSnapshot(core, progress)) {
    startSnapshot(core, progress)
    return
  }
  if (progress.state === 'probe') {
    if (progress.probing) return
    const entries = nextEntries(core, progress)
    progress.noteProbe(bytesOf(entries))
    sendAppend(core, progress, entries)
    return
  }
  while (
    progress.nextIndex <= log.lastIndex &&
    progress.hasRoom(limits.maxInflightMessages, limits.maxInflightBytes)
  ) {
    const entries = nextEntries(core, progress)
    sendAppend(core, progress, entries)
    progress.noteSent(entries[entries.length - 1]!.index, bytesOf(entries))
  }
}

function nextEntries(core: RaftCore, progress: Progress): Entry[] {
  return core.log.slice(progress.nextIndex, core.limits.maxAppendEntries, core.limits.maxAppendBytes)
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0
  for (const entry of entries) bytes += entryBytes(entry)
  return bytes
}

function sendAppend(core: RaftCore, progress: Progress, entries: Entry[]): void {
  const previousIndex = progress.nextIndex - 1
  progress.toldCommitIndex = Math.min(core.commitIndex, previousIndex + entries.length)
  core.outbox.send(progress.voter.nodeId, {
    type: 'append',
    term: core.term,
    previousIndex,
    previousTerm: core.log.termAt(previousIndex)!,
    entries,
    commitIndex: core.commitIndex,
  })
}

/** The entry before the next one was cut away: the logs cannot be compared any more. */
function needsSnapshot(core: RaftCore, progress: Progress): boolean {
  return core.log.termAt(progress.nextIndex - 1) === undefined
}

function startSnapshot(core: RaftCore, progress: Progress): void {
  // Nothing is sent to who may be dead: its next answer to a heartbeat asks for it again.
  if (core.nowMs - progress.lastContactMs > core.timing.electionTimeoutMaxMs) return
  const snapshot = core.log.snapshot!
  progress.becomeSnapshot(snapshot, core.snapshotChecksum(snapshot))
  sendNextChunk(core, progress, snapshot)
}

function sendNextChunk(core: RaftCore, progress: Progress, snapshot: Snapshot): void {
  const { electionTimeoutMinMs, electionTimeoutMaxMs } = core.timing
  progress.noteChunk(core.nowMs, electionTimeoutMinMs, CHUNK_RETRY_ELECTION_TIMEOUTS * electionTimeoutMaxMs)
  sendChunk(core, progress, snapshot)
}

/** A chunk may take long on a slow link, and a second copy would only stand in the way of the next one. */
function repeatChunkWhereDue(core: RaftCore, progress: Progress): void {
  if (core.nowMs < progress.chunkDueMs) return
  progress.noteChunkRepeated(core.nowMs, CHUNK_RETRY_ELECTION_TIMEOUTS * core.timing.electionTimeoutMaxMs)
  const newest = core.log.snapshot!
  // Nothing of it arrived, and a newer one spares a second transfer.
  if (progress.snapshotOffset === 0 && progress.snapshot !== newest) {
    progress.snapshot = newest
    progress.snapshotChecksum = core.snapshotChecksum(newest)
  }
  sendChunk(core, progress, progress.snapshot!)
}

function sendChunk(core: RaftCore, progress: Progress, snapshot: Snapshot): void {
  const offset = progress.snapshotOffset
  core.outbox.send(progress.voter.nodeId, {
    type: 'installSnapshot',
    term: core.term,
    index: snapshot.index,
    snapshotTerm: snapshot.term,
    configuration: snapshot.configuration,
    clusterId: snapshot.clusterId,
    offset,
    totalBytes: snapshot.data.length,
    checksum: progress.snapshotChecksum,
    chunk: snapshot.data.subarray(offset, offset + core.limits.snapshotChunkBytes),
  })
}

/** Any answer is a sign of life, of this very directory. */
function heard(core: RaftCore, leader: LeaderState, from: NodeId, directoryId: string): Progress | undefined {
  const progress = leader.progress.get(from)
  if (progress === undefined) return undefined
  progress.noteDirectory(directoryId, core.log.lastIndex + 1)
  progress.lastContactMs = core.nowMs
  progress.answeredMs = core.nowMs
  return progress
}

export function onAppendReply(core: RaftCore, leader: LeaderState, from: NodeId, message: AppendReply): void {
  const progress = heard(core, leader, from, message.follower.directoryId)
  if (progress === undefined) return
  if (message.success) {
    onMatch(core, leader, progress, message.matchIndex)
    return
  }
  // Older than what it has confirmed since: a refusal that was overtaken.
  if (progress.state === 'snapshot' || message.conflictIndex < progress.matchIndex) return
  const agreed = core.log.lastIndexUpToTerm(message.conflictIndex, message.conflictTerm)
  // A refusal points before what was sent; of a pipelined run the first one has moved the probe already.
  if (agreed + 1 >= progress.nextIndex) return
  progress.becomeProbe(agreed + 1)
  replicate(core, progress)
}

function onMatch(core: RaftCore, leader: LeaderState, progress: Progress, matchIndex: number): void {
  if (matchIndex > core.log.lastIndex) return
  progress.noteMatch(matchIndex)
  if (progress.state === 'probe') progress.becomeReplicate()
  if (progress.matchIndex === core.log.lastIndex) progress.lastCaughtUpMs = core.nowMs
  maybeCommit(core, leader)
  replicate(core, progress)
  tellCommit(core, leader)
  continueTransfer(core, leader)
  continueCatchUp(core, leader)
  forgetDeparted(core, leader, progress.voter.nodeId)
}

export function onHeartbeatReply(
  core: RaftCore,
  leader: LeaderState,
  from: NodeId,
  message: HeartbeatReply,
): void {
  const progress = heard(core, leader, from, message.follower.directoryId)
  if (progress === undefined) return
  progress.readContext = Math.max(progress.readContext, message.readContext)
  progress.answeredSentMs = Math.max(progress.answeredSentMs, message.sentMs ?? core.nowMs)
  confirmReads(core, leader)
  if (progress.state === 'snapshot') repeatChunkWhereDue(core, progress)
  else if (progress.isStalled()) askWhereItStands(core, progress)
  else replicate(core, progress)
  if (progress.matchIndex === core.log.lastIndex) progress.lastCaughtUpMs = core.nowMs
  continueCatchUp(core, leader)
  forgetDeparted(core, leader, from)
}

/** A round of heartbeats without a step: a message or its answer was lost, or the link or the disk is slow. */
function askWhereItStands(core: RaftCore, progress: Progress): void {
  const isProbeDue = progress.state === 'probe' && !progress.probing
  if (needsSnapshot(core, progress) || isProbeDue) replicate(core, progress)
  // Empty, behind all that was sent: its answer tells what is there and what is missing, and nothing goes twice.
  else sendAppend(core, progress, [])
}

export function onInstallSnapshotReply(
  core: RaftCore,
  leader: LeaderState,
  from: NodeId,
  message: InstallSnapshotReply,
): void {
  const progress = heard(core, leader, from, message.follower.directoryId)
  if (progress === undefined || progress.state !== 'snapshot') return
  const { snapshot } = progress
  if (snapshot === undefined || snapshot.index !== message.index) return
  if (!message.done) {
    if (message.nextOffset > snapshot.data.length || message.nextOffset === progress.snapshotOffset) return
    progress.snapshotOffset = message.nextOffset
    sendNextChunk(core, progress, snapshot)
    return
  }
  progress.noteMatch(snapshot.index)
  progress.becomeProbe(snapshot.index + 1)
  onMatch(core, leader, progress, snapshot.index)
}
