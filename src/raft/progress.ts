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
  /** When the newest heartbeat that it answered was sent. */
  answeredSentMs = Number.NEGATIVE_INFINITY
  lastCaughtUpMs = -1
  /** The read context that it last echoed. */
  readContext = 0
  /** In probe: entries are out, and no others follow before an answer. */
  probing = false
  private probeBytes = 0
  snapshot: Snapshot | undefined
  snapshotOffset = 0
  snapshotChecksum = 0
  /** The chunk that is out is sent again then, and after that so much later, doubling. */
  chunkDueMs = 0
  chunkRetryMs = 0
  private chunkSinceMs = 0
  /** The commit index that the last message would give it. */
  toldCommitIndex: LogIndex = 0
  /** Where it stood at the last heartbeat's answer: no step since means that something may be lost. */
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
    this.answeredSentMs = Number.NEGATIVE_INFINITY
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
    this.probeBytes = 0
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

  /** The first chunk, or the next one: a link on which one takes long is given more time for the next. */
  noteChunk(nowMs: number, retryMinMs: number, retryMaxMs: number): void {
    const isFirst = this.chunkRetryMs === 0
    const tookMs = isFirst ? 0 : nowMs - this.chunkSinceMs
    this.chunkSinceMs = nowMs
    this.chunkRetryMs = Math.min(Math.max(retryMinMs, 2 * tookMs), retryMaxMs)
    this.chunkDueMs = nowMs + this.chunkRetryMs
  }

  /** It goes again: slow, or lost. */
  noteChunkRepeated(nowMs: number, retryMaxMs: number): void {
    this.chunkRetryMs = Math.min(2 * this.chunkRetryMs, retryMaxMs)
    this.chunkDueMs = nowMs + this.chunkRetryMs
  }

  noteProbe(bytes: number): void {
    this.probing = true
    this.probeBytes = bytes
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

  /** Called at each heartbeat's answer: true where entries are out and it has not moved since the last one. */
  isStalled(): boolean {
    const owes = this.state !== 'replicate' || this.matchIndex < this.nextIndex - 1
    const stalled = owes && this.mark === this.matchIndex
    this.mark = this.matchIndex
    return stalled
  }

  /** Of the message that must arrive before it moves. */
  get awaitedBytes(): number {
    return this.state === 'probe' ? this.probeBytes : (this.inflight[0]?.bytes ?? 0)
  }

  private clearInflight(): void {
    this.inflight = []
    this.inflightBytes = 0
    this.mark = -1
    this.chunkRetryMs = 0
  }
}
