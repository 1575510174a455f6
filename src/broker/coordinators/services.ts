import type { PartitionManager } from '../partitions/partition-manager.js'
import type { BrokerServices } from '../services.js'

/** What the coordinators need of the node. `broker.ts` hands in its BrokerServices as they are. */
export type CoordinatorServices = Pick<
  BrokerServices,
  'config' | 'clock' | 'random' | 'logger' | 'compression' | 'quorum' | 'metadata' | 'configs'
> & {
  readonly partitions: CoordinatorPartitions
  /** So long without the controller that others may have been elected for what this broker leads. */
  isCutOff(): boolean
}

export type CoordinatorPartitions = Pick<
  PartitionManager,
  'appendAsLeader' | 'readCommitted' | 'leadership' | 'onLeadership'
>
