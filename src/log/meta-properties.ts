import type { NodeId, Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'

/** Kafka's `meta.properties` (version 1): whose data directory this is. */
export interface MetaProperties {
  nodeId: NodeId
  /** undefined until the cluster was founded or joined. */
  clusterId: string | undefined
  /** Of the log directory: whose replicas these are (KIP-858). Registered with the controller. */
  directoryId: Uuid
  /**
   * Of the Raft log in it: whose vote this is (KIP-853). The same, until a damaged Raft log was set aside: then the vote
   * is lost and its identity with it, while the replicas, each judged by its own log, are what they were. Kafka has two
   * identities in the same way where `metadata.log.dir` is a directory of its own.
   */
  raftDirectoryId: Uuid
}

export class MetaPropertiesError extends Error {
  override name = 'MetaPropertiesError'
}

const FILE = 'meta.properties'
const MAX_BYTES = 64 * 1024
const DIRECTORY_ID = 'directory.id'
const RAFT_DIRECTORY_ID = 'raft.directory.id'

/** null: no such file, an empty directory. @throws MetaPropertiesError where it cannot be understood; DiskError */
export function readMetaProperties(disk: Disk): MetaProperties | null {
  if (!disk.exists(FILE)) return null
  const file = disk.open(FILE)
  let text: string
  try {
    text = Buffer.from(file.read(0, MAX_BYTES)).toString('utf8')
  } finally {
    file.close()
  }
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0 && !line.startsWith('#')) values.set(line.slice(0, at).trim(), line.slice(at + 1).trim())
  }
  const version = values.get('version')
  if (version !== '1') {
    throw new MetaPropertiesError(`${FILE}: version is ${version ?? 'missing'}, but only 1 is known`)
  }
  const nodeId = Number(values.get('node.id'))
  if (!/^\d+$/.test(values.get('node.id') ?? '') || !Number.isSafeInteger(nodeId)) {
    throw new MetaPropertiesError(`${FILE}: node.id is ${values.get('node.id') ?? 'missing'}, not a number`)
  }
  const directoryId = uuidOf(DIRECTORY_ID, values.get(DIRECTORY_ID))
  const raftDirectoryId = uuidOf(RAFT_DIRECTORY_ID, values.get(RAFT_DIRECTORY_ID) ?? directoryId)
  return { nodeId, clusterId: values.get('cluster.id') || undefined, directoryId, raftDirectoryId }
}

function uuidOf(key: string, value: string | undefined): Uuid {
  if (value !== undefined && /^[A-Za-z0-9_-]{22}$/.test(value)) return value
  throw new MetaPropertiesError(`${FILE}: ${key} is ${value ?? 'missing'}, not a UUID`)
}

/** Replaces the file: all of the new one or all of the old one is there after a power cut. @throws DiskError */
export function writeMetaProperties(disk: Disk, meta: MetaProperties): void {
  const { nodeId, directoryId, raftDirectoryId } = meta
  const lines = ['#', 'version=1', `node.id=${nodeId}`, `${DIRECTORY_ID}=${directoryId}`]
  if (raftDirectoryId !== directoryId) lines.push(`${RAFT_DIRECTORY_ID}=${raftDirectoryId}`)
  if (meta.clusterId !== undefined) lines.push(`cluster.id=${meta.clusterId}`)
  const temporary = `${FILE}.tmp`
  const file = disk.open(temporary, { create: true })
  try {
    file.truncate(0)
    file.write(0, [Buffer.from(`${lines.join('\n')}\n`)])
    disk.syncNow([file])
  } finally {
    file.close()
  }
  disk.rename(temporary, FILE)
  disk.syncNow([{ directory: '' }])
}

/** @throws MetaPropertiesError where the directory belongs to another node or cluster. */
export function checkMetaProperties(
  meta: MetaProperties,
  expected: { nodeId: NodeId; clusterId?: string | undefined },
): void {
  if (meta.nodeId !== expected.nodeId) {
    throw new MetaPropertiesError(
      `the data directory belongs to node ${meta.nodeId}, but node.id is ${expected.nodeId}: ` +
        `correct node.id or log.dirs`,
    )
  }
  if (
    expected.clusterId !== undefined &&
    meta.clusterId !== undefined &&
    meta.clusterId !== expected.clusterId
  ) {
    throw new MetaPropertiesError(
      `the data directory belongs to cluster ${meta.clusterId}, but this cluster is ${expected.clusterId}: ` +
        `another cluster's nodes are configured, or log.dirs names another cluster's data`,
    )
  }
}
