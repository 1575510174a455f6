import type { NodeId, Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'

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
const KEYS = ['version', 'node.id', 'cluster.id', DIRECTORY_ID, RAFT_DIRECTORY_ID]
/** The last line, a comment to Kafka: what stands before it is what was written. A file without it is older. */
const CHECKSUM = '# crc32c '

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
  checkSum(text)
  const values = valuesOf(text)
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

function checksumLine(text: string): string {
  return `${CHECKSUM}${crc32c(Buffer.from(text)).toString(16)}\n`
}

function checkSum(text: string): void {
  const at = text.lastIndexOf(CHECKSUM)
  if (at === -1 || text.slice(at) === checksumLine(text.slice(0, at))) return
  throw new MetaPropertiesError(
    `${FILE} is damaged: its checksum does not agree. Start the node with an empty data directory, and it fetches ` +
      'everything from the others; or restore the file. Where it was edited on purpose, remove its last line',
  )
}

/** A key that is taken for another one would let a default stand for its value: an identity that was given up. */
function valuesOf(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line.trim() === '' || (line.startsWith('#') && !line.includes('='))) continue
    const at = line.indexOf('=')
    const key = line.slice(0, Math.max(at, 0)).trim()
    if (!KEYS.includes(key) || values.has(key))
      throw new MetaPropertiesError(`${FILE}: the line '${line}' is damaged, or there by mistake`)
    values.set(key, line.slice(at + 1).trim())
  }
  return values
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
    const text = `${lines.join('\n')}\n`
    file.write(0, [Buffer.from(`${text}${checksumLine(text)}`)])
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
