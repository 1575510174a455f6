import type { StoreEntry } from '../ports/ordered-store.js'
import type { Entry, HardState, Snapshot } from '../raft/types.js'
import { crc32c } from '../wire/crc32c.js'
import {
  decodeEntry,
  decodeHardState,
  decodeSnapshotHead,
  keyIndex,
  keyKind,
  type SnapshotHead,
} from './raft-log-codec.js'
import type { SlotState } from './vote-slots.js'

export interface Recovered {
  hardState: HardState
  snapshot: Snapshot | undefined
  head: SnapshotHead | undefined
  entries: Entry[]
}

/**
 * Everything that the store holds, judged: each CRC, no gap, and nothing behind what the vote slots promise. A string
 * is the reason why it must not be used; nothing is ever repaired in silence.
 */
export function recover(found: readonly StoreEntry[], slot: SlotState): Recovered | string {
  const entries: Entry[] = []
  const chunks: StoreEntry[] = []
  let hardState: HardState = { term: 0 }
  let head: SnapshotHead | undefined
  for (const { key, value } of found) {
    switch (keyKind(key)) {
      case 'entry': {
        const index = keyIndex(key)
        const entry = decodeEntry(index, value)
        if (typeof entry === 'string') return `entry ${index} is damaged: ${entry}`
        entries.push(entry)
        break
      }
      case 'chunk':
        chunks.push({ key, value })
        break
      case 'hardState': {
        const decoded = decodeHardState(value)
        if (typeof decoded === 'string') return `term and vote are damaged: ${decoded}`
        hardState = decoded
        break
      }
      case 'snapshot': {
        const decoded = decodeSnapshotHead(value)
        if (typeof decoded === 'string') return `the snapshot's head is damaged: ${decoded}`
        head = decoded
        break
      }
      case 'unknown':
        return `a key of ${key.length} bytes belongs to nothing`
    }
  }
  const snapshot = head === undefined ? undefined : joinChunks(head, chunks)
  if (typeof snapshot === 'string') return snapshot
  return checkWhole({ hardState, snapshot, head, entries }, slot)
}

function joinChunks(head: SnapshotHead, chunks: readonly StoreEntry[]): Snapshot | string {
  const own = chunks.filter(({ key }) => keyIndex(key) === head.snapshot.index)
  const data = Buffer.concat(own.map(({ value }) => value))
  if (own.length !== head.chunks || data.length !== head.totalBytes) {
    return `the snapshot at ${head.snapshot.index} has ${data.length} bytes, not ${head.totalBytes}`
  }
  if (crc32c(data) !== head.checksum) {
    return `the snapshot at ${head.snapshot.index} is damaged: its CRC-32C does not match`
  }
  return { ...head.snapshot, data }
}

function checkWhole(recovered: Recovered, slot: SlotState): Recovered | string {
  const { entries, snapshot, hardState } = recovered
  const snapshotIndex = snapshot?.index ?? 0
  let lastTerm = 0
  for (const [i, entry] of entries.entries()) {
    const expected = entries[0]!.index + i
    if (entry.index !== expected) return `entry ${expected} is missing`
    if (entry.term < lastTerm) return `entry ${entry.index} has an older term than the one before it`
    lastTerm = entry.term
  }
  const first = entries[0]
  if (first !== undefined && first.index > snapshotIndex + 1) return `entry ${snapshotIndex + 1} is missing`
  const lastIndex = entries.at(-1)?.index ?? snapshotIndex
  if (lastIndex < snapshotIndex)
    return `the log ends at ${lastIndex}, before its snapshot at ${snapshotIndex}`
  if (lastIndex < slot.lastIndexBound) {
    return `the log ends at ${lastIndex}, but entries up to ${slot.lastIndexBound} were written`
  }
  if (hardState.term < slot.hardState.term) {
    return `the store knows term ${hardState.term}, but term ${slot.hardState.term} was entered`
  }
  const { vote } = slot.hardState
  const voteIsLost =
    hardState.term === slot.hardState.term &&
    vote !== undefined &&
    (hardState.vote?.nodeId !== vote.nodeId || hardState.vote.directoryId !== vote.directoryId)
  if (voteIsLost) return `the store lost the vote for node ${vote.nodeId} in term ${hardState.term}`
  if (hardState.term < Math.max(lastTerm, snapshot?.term ?? 0)) return 'the term is behind the log'
  return recovered
}
