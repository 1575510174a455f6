import type { Uuid } from '../lib/ids.js'
import type { ReplicaLog } from './types.js'

/** A partition's log. Made by LogManager alone. */
export interface PartitionLog extends ReplicaLog {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
}
