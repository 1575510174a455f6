import type { Uuid } from '../lib/ids.js'
import { randomUuid } from '../lib/prng.js'
import {
  checkMetaProperties,
  type MetaProperties,
  readMetaProperties,
  writeMetaProperties,
} from '../log/meta-properties.js'
import { DiskError } from '../ports/disk.js'
import { type OrderedStore, StoreError } from '../ports/ordered-store.js'
import type { NodePorts } from './broker.js'
import type { NodeConfig } from './node-config.js'

/** Where the Raft log and the vote slots lie, below the data directory. */
export const RAFT_DIRECTORY = 'raft'

/** What a node keeps of itself: its identity (meta.properties) and the store of its Raft log. */
export class NodeStorage {
  private properties: MetaProperties
  private store: OrderedStore | null = null

  /** @throws MetaPropertiesError, DiskError where the data directory cannot be used */
  constructor(
    private readonly config: NodeConfig,
    private readonly ports: Pick<NodePorts, 'disk' | 'random' | 'logger' | 'clock' | 'openStore'>,
    private readonly fail: (error: Error) => void,
  ) {
    this.properties = this.load()
  }

  get meta(): MetaProperties {
    return this.properties
  }

  /** Changes nothing where it throws. @throws DiskError */
  update(change: Partial<MetaProperties>): void {
    const properties = { ...this.properties, ...change }
    writeMetaProperties(this.ports.disk, properties)
    this.properties = properties
  }

  open(done: (error: Error | null, store: OrderedStore | null) => void): void {
    const { disk } = this.ports
    disk.mkdir(RAFT_DIRECTORY)
    // A store that is missing although this node belongs to a cluster must not come back empty under its old identity.
    const createIfMissing = this.properties.clusterId === undefined
    this.ports.openStore(RAFT_DIRECTORY, { createIfMissing }, (error, store) => {
      this.store = store
      if (error instanceof StoreError && error.isDamaged) {
        this.quarantine(error.message, (fresh) => done(null, fresh.store))
      } else done(error, store)
    })
  }

  /**
   * A damaged Raft log is moved aside, never repaired: this node comes back under a new identity of its vote, as a
   * non-voter. Its replicas stay what they are: what they hold, and whether it is whole, their own logs say.
   */
  quarantine(reason: string, done: (fresh: { store: OrderedStore; directoryId: Uuid }) => void): void {
    this.ports.logger.error({ component: 'quorum' }, `the Raft log is quarantined: ${reason}`)
    if (this.store === null) this.reopen(done)
    else this.store.close(() => this.reopen(done))
  }

  close(): void {
    this.store?.close(() => {})
  }

  private load(): MetaProperties {
    const { disk, random } = this.ports
    const { nodeId } = this.config
    const found = readMetaProperties(disk)
    if (found !== null) {
      checkMetaProperties(found, { nodeId })
      // Whoever wrote it may have died before its entry was durable.
      disk.syncNow([{ directory: '' }])
      return found
    }
    const directoryId = randomUuid(random)
    const fresh: MetaProperties = { nodeId, clusterId: undefined, directoryId, raftDirectoryId: directoryId }
    writeMetaProperties(disk, fresh)
    return fresh
  }

  private reopen(done: (fresh: { store: OrderedStore; directoryId: Uuid }) => void): void {
    try {
      this.moveAside()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.fail(error)
      return
    }
    this.ports.openStore(RAFT_DIRECTORY, { createIfMissing: true }, (error, store) => {
      if (store === null) return this.fail(error ?? new Error('the Raft store cannot be opened'))
      this.store = store
      done({ store, directoryId: this.properties.raftDirectoryId })
    })
  }

  /** @throws DiskError */
  private moveAside(): void {
    const { disk, random, clock } = this.ports
    // The new identity first: whatever is found here after a crash in between is nobody's vote.
    this.update({ raftDirectoryId: randomUuid(random) })
    disk.rename(RAFT_DIRECTORY, `${RAFT_DIRECTORY}-quarantined-${clock.wallMs()}`)
    disk.mkdir(RAFT_DIRECTORY)
    disk.syncNow([{ directory: '' }])
  }
}
