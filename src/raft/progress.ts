import type { LogIndex, Uuid } from '../lib/ids.js'
import type { Snapshot, Voter } from './types.js'

/**
 * What a leader knows of one follower.
 * probe: where the logs agree is not known; one message at a time.
 * replicate: they agree up to nextIndex; messages are pipelined within the window.
 * snapshot: it needs entries that were cut away; one chunk at a time.
 */
export class Progress {
  /** With the directory that it last answered from; '' before a learner's first answer. */
  voter: Voter
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Durable there; nothing beyond is counted. */
  matchIndex: LogIndex = 0
  nextIndex: LogIndex
  /** A new leader grants each voter time to answer by taking it as heard; `answeredMs` grants nothing. */
  lastContactMs = -1
  answeredMs = Number.NEGATIVE_INFINITY
  lastCaughtUpMs = -1
  /** The read context that it last echoed. */
  readContext = 0
  /** In probe: a message is out, and none follows before an answer or a silent heartbeat round. */
  probing = false
  snapshot: Snapshot | undefined
  snapshotOffset = 0
  snapshotChecksum = 0
  /** The commit index that the last message would give it. */
  toldCommitIndex: LogIndex = 0
  /** Where it stood at the last heartbeat's answer: no step since means that something was lost. */
  private mark = -1
  private inflight: { lastIndex: LogIndex; bytes: number }[] = []
  private inflightBytes = 0
  /** From which directory it answered before, and until when. */
  private former: { directoryId: Uuid; lastContactMs: number } | undefined

  constructor(voter: Voter, nextIndex: LogIndex) {
    this.voter = voter
    this.nextIndex = nextIndex
  }

  /** Another directory answers under this id: a wiped disk holds nothing of what was counted (KIP-853). */
  noteDirectory(directoryId: Uuid, nextIndex: LogIndex): void {
    if (this.voter.directoryId === directoryId) return
    this.former = { directoryId: this.voter.directoryId, lastContactMs: this.lastContactMs }
    this.voter = { nodeId: this.voter.nodeId, directoryId }
    this.matchIndex = 0
    this.toldCommitIndex = 0
    this.readContext = 0
    this.becomeProbe(nextIndex)
  }

  /** undefined: never from this directory. */
  lastContactFromMs(directoryId: Uuid): number | undefined {
    if (this.voter.directoryId === directoryId) return this.lastContactMs
    return this.former?.directoryId === directoryId ? this.former.lastContactMs : undefined
  }

  becomeProbe(nextIndex: LogIndex): void {
    this.state = 'probe'
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1)
    this.probing = false
    this.snapshot = undefined
    this.clearInflight()
  }

  becomeReplicate(): void {
    this.state = 'replicate'
    this.nextIndex = this.matchIndex + 1
    this.clearInflight()
  }

  becomeSnapshot(snapshot: Snapshot, checksum: number): void {
    this.state = 'snapshot'
    this.snapshot = snapshot
    this.snapshotChecksum = checksum
    this.snapshotOffset = 0
    this.clearInflight()
  }

  hasRoom(maxMessages: number, maxBytes: number): boolean {
    return this.inflight.length < maxMessages && this.inflightBytes < maxBytes
  }

  noteSent(lastIndex: LogIndex, bytes: number): void {
    this.inflight.push({ lastIndex, bytes })
    this.inflightBytes += bytes
    this.nextIndex = lastIndex + 1
  }

  noteMatch(index: LogIndex): void {
    this.matchIndex = Math.max(this.matchIndex, index)
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1)
    while (this.inflight.length > 0 && this.inflight[0]!.lastIndex <= index) {
      this.inflightBytes -= this.inflight.shift()!.bytes
    }
  }

  /** Called at each heartbeat's answer: true where it owes an answer and has not moved since the last one. */
  isStalled(): boolean {
    const position = this.state === 'snapshot' ? this.snapshotOffset : this.matchIndex
    const owes = this.state !== 'replicate' || this.matchIndex < this.nextIndex - 1
    const stalled = owes && this.mark === position
    this.mark = position
    return stalled
  }

  private clearInflight(): void {
    this.inflight = []
    this.inflightBytes = 0
    this.mark = -1
  }
}
