import type { LogIndex, NodeId } from '../lib/ids.js'
import type { MetadataImage } from '../metadata/image.js'
import type { MetadataRecord } from '../metadata/records.js'
import type { Clock } from '../ports/clock.js'
import type { MetadataCache, MetadataChange } from './services.js'

/** How long an answer may be held because it names a leader whose connection just broke. */
export const SUSPECT_HOLD_MS = 300

/** The broker reactor's copy of the committed image; fed by the QuorumListener's calls. */
export declare class BrokerMetadataCache implements MetadataCache {
  constructor(clock: Clock)
  get image(): MetadataImage
  get appliedIndex(): LogIndex
  get controller(): NodeId | undefined
  onChange(listener: (change: MetadataChange) => void): void
  isSuspect(node: NodeId): boolean
  /** Runs `input` once: after the next change was applied, when a suspicion ends, or after `timeoutMs`. */
  afterChange(timeoutMs: number, input: () => void): void
  applySnapshot(records: readonly MetadataRecord[], index: LogIndex): void
  applyCommitted(records: readonly MetadataRecord[], index: LogIndex): void
  setController(controller: NodeId | undefined): void
  /** A connection to this peer broke. */
  suspect(node: NodeId): void
}
