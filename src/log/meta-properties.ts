import type { NodeId, Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'

/** Kafka's `meta.properties` (version 1): whose data directory this is. */
export interface MetaProperties {
  nodeId: NodeId
  /** undefined until the cluster was founded or joined. */
  clusterId: string | undefined
  directoryId: Uuid
}

export class MetaPropertiesError extends Error {
  override name = 'MetaPropertiesError'
}

const FILE = 'meta.properties'
const MAX_BYTES = 64 * 1024

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
  const directoryId = values.get('directory.id')
  if (directoryId === undefined || !/^[A-Za-z0-9_-]{22}$/.test(directoryId)) {
    throw new MetaPropertiesError(`${FILE}: directory.id is ${directoryId ?? 'missing'}, not a UUID`)
  }
  return { nodeId, clusterId: values.get('cluster.id') || undefined, directoryId }
}

/** Replaces the file: all of the new one or all of the old one is there after a power cut. @throws DiskError */
export function writeMetaProperties(disk: Disk, meta: MetaProperties): void {
  const lines = ['#', 'version=1', `node.id=${meta.nodeId}`, `directory.id=${meta.directoryId}`]
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
