import { assert } from '../lib/assert.js'
import type { LogIndex } from '../lib/ids.js'
import { type Disk, DiskError, type DiskFile } from '../ports/disk.js'
import type { HardState } from '../raft/types.js'
import { ByteReader, ByteWriter, type Checked, checkSealed, seal } from './raft-log-codec.js'

/** Term and vote once more, beside the ordered store, and the least last index that the store must show. */
export interface SlotState {
  hardState: HardState
  lastIndexBound: LogIndex
}

export type SlotsOpening =
  | { type: 'open'; slots: VoteSlots; newest: SlotState }
  | { type: 'damaged'; reason: string }

const FILES = ['vote-0', 'vote-1'] as const
const MAGIC = 0x6b6f6776
const MAX_SLOT_BYTES = 4096

/**
 * Two files, written in turn, each with a sequence number and a CRC: a torn write of one leaves the other. A LevelDB
 * may open in silence with its last batches lost, and a term or a vote with them; these slots tell.
 */
export class VoteSlots {
  private inFlight = false
  private waiting: { state: SlotState; done: ((error: DiskError | null) => void)[] } | undefined

  private constructor(
    private readonly disk: Disk,
    private readonly files: readonly DiskFile[],
    private sequence: number,
  ) {}

  /** At least one of them. */
  static exist(disk: Disk, directory: string): boolean {
    return FILES.some((name) => disk.exists(`${directory}/${name}`))
  }

  /**
   * Makes both where neither exists. Durable either way: a process that died as it made them left them to the page cache
   * alone, and a write of a slot syncs no directory. @throws DiskError
   */
  static open(disk: Disk, directory: string): SlotsOpening {
    const paths = FILES.map((name) => `${directory}/${name}`)
    if (!VoteSlots.exist(disk, directory)) return VoteSlots.create(disk, directory, paths)
    const damaged: string[] = []
    let newest: { sequence: number; state: SlotState } | undefined
    const files = paths.map((path) => disk.open(path, { create: true }))
    for (const file of files) {
      const slot = readSlot(file.read(0, MAX_SLOT_BYTES))
      if (typeof slot === 'string') damaged.push(`${file.path}: ${slot}`)
      else if (newest === undefined || slot.sequence > newest.sequence) newest = slot
    }
    if (newest === undefined) {
      for (const file of files) file.close()
      return { type: 'damaged', reason: `no vote slot can be read (${damaged.join('; ')})` }
    }
    syncAll(disk, directory, files)
    // The other slot is written next: a torn one is renewed first.
    const slots = new VoteSlots(disk, files, newest.sequence)
    return { type: 'open', slots, newest: newest.state }
  }

  private static create(disk: Disk, directory: string, paths: readonly string[]): SlotsOpening {
    disk.mkdir(directory)
    const state: SlotState = { hardState: { term: 0 }, lastIndexBound: 0 }
    const files = paths.map((path) => disk.open(path, { create: true }))
    for (const [i, file] of files.entries()) file.write(0, [encodeSlot(i, state)])
    syncAll(disk, directory, files)
    return { type: 'open', slots: new VoteSlots(disk, files, 1), newest: state }
  }

  /**
   * Writes the state over the older slot and syncs it. One write at a time; states that come meanwhile are folded
   * into the last one. After an error no slot is written again.
   */
  write(state: SlotState, done: (error: DiskError | null) => void): void {
    if (this.inFlight) {
      this.waiting = { state, done: [...(this.waiting?.done ?? []), done] }
      return
    }
    this.start(state, [done])
  }

  close(): void {
    this.waiting = undefined
    for (const file of this.files) file.close()
  }

  private start(state: SlotState, done: ((error: DiskError | null) => void)[]): void {
    assert(!this.inFlight, 'one slot is written at a time')
    this.inFlight = true
    this.sequence++
    const file = this.files[this.sequence % FILES.length]!
    const fail = (error: DiskError): void => {
      for (const each of [...done, ...(this.waiting?.done ?? [])]) each(error)
    }
    try {
      file.write(0, [encodeSlot(this.sequence, state)])
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      fail(error)
      return
    }
    this.disk.sync([file], (error) => {
      if (error !== null) {
        fail(error)
        return
      }
      this.inFlight = false
      const next = this.waiting
      this.waiting = undefined
      if (next !== undefined) this.start(next.state, next.done)
      for (const each of done) each(null)
    })
  }
}

function syncAll(disk: Disk, directory: string, files: readonly DiskFile[]): void {
  const parent = directory.slice(0, Math.max(0, directory.lastIndexOf('/')))
  disk.syncNow([...files, { directory }, { directory: parent }])
}

/** magic u32, sequence u64, term u64, last index bound u64, has vote u8, [node id u32, directory id string], crc u32 */
function encodeSlot(sequence: number, state: SlotState): Uint8Array {
  const writer = new ByteWriter()
  writer.uint32(MAGIC)
  writer.uint64(sequence)
  writer.uint64(state.hardState.term)
  writer.uint64(state.lastIndexBound)
  const { vote } = state.hardState
  writer.uint8(vote === undefined ? 0 : 1)
  if (vote !== undefined) writer.voter(vote)
  const body = writer.finish()
  // Its length first, so that a shorter state over a longer one reads well.
  const framed = new ByteWriter()
  framed.bytes(body)
  return seal(framed.finish())
}

function readSlot(bytes: Uint8Array): { sequence: number; state: SlotState } | string {
  if (bytes.length < 4) return 'too short'
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) + 8
  if (length > bytes.length) return 'cut off'
  const checked: Checked = checkSealed(bytes.subarray(0, length))
  if (checked.type === 'damaged') return checked.reason
  const reader = new ByteReader(checked.body)
  const body = new ByteReader(reader.bytes())
  if (body.uint32() !== MAGIC) return 'not a vote slot'
  const sequence = body.uint64()
  const hardState: HardState = { term: body.uint64() }
  const lastIndexBound = body.uint64()
  if (body.uint8() === 1) hardState.vote = body.voter()
  return { sequence, state: { hardState, lastIndexBound } }
}
