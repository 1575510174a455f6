/** Every API that the broker speaks, by key. What ApiVersions lists is taken from here. */
import type { Api } from '../schema.js'
import { AddRaftVoter } from './add-raft-voter.js'
import { AlterConfigs } from './alter-configs.js'
import { AlterPartitionReassignments } from './alter-partition-reassignments.js'
import { ApiVersions } from './api-versions.js'
import { CreatePartitions } from './create-partitions.js'
import { CreateTopics } from './create-topics.js'
import { DeleteGroups } from './delete-groups.js'
import { DeleteTopics } from './delete-topics.js'
import { DescribeCluster } from './describe-cluster.js'
import { DescribeConfigs } from './describe-configs.js'
import { DescribeGroups } from './describe-groups.js'
import { DescribeLogDirs } from './describe-log-dirs.js'
import { DescribeQuorum } from './describe-quorum.js'
import { DescribeTopicPartitions } from './describe-topic-partitions.js'
import { ElectLeaders } from './elect-leaders.js'
import { Fetch } from './fetch.js'
import { FindCoordinator } from './find-coordinator.js'
import { Heartbeat } from './heartbeat.js'
import { IncrementalAlterConfigs } from './incremental-alter-configs.js'
import { InitProducerId } from './init-producer-id.js'
import { JoinGroup } from './join-group.js'
import { LeaveGroup } from './leave-group.js'
import { ListConfigResources } from './list-config-resources.js'
import { ListGroups } from './list-groups.js'
import { ListOffsets } from './list-offsets.js'
import { ListPartitionReassignments } from './list-partition-reassignments.js'
import { Metadata } from './metadata.js'
import { OffsetCommit } from './offset-commit.js'
import { OffsetFetch } from './offset-fetch.js'
import { OffsetForLeaderEpoch } from './offset-for-leader-epoch.js'
import { Produce } from './produce.js'
import { RemoveRaftVoter } from './remove-raft-voter.js'
import { SyncGroup } from './sync-group.js'
import { UnregisterBroker } from './unregister-broker.js'
import { UpdateFeatures } from './update-features.js'

// biome-ignore lint/suspicious/noExplicitAny: an API of any request and response
export type AnyApi = Api<any, any, any, any>

export const APIS: readonly AnyApi[] = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  DescribeGroups,
  ListGroups,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  InitProducerId,
  OffsetForLeaderEpoch,
  DescribeConfigs,
  AlterConfigs,
  DescribeLogDirs,
  CreatePartitions,
  DeleteGroups,
  ElectLeaders,
  AlterPartitionReassignments,
  ListPartitionReassignments,
  IncrementalAlterConfigs,
  DescribeQuorum,
  DescribeCluster,
  DescribeTopicPartitions,
  UpdateFeatures,
  UnregisterBroker,
  ListConfigResources,
  AddRaftVoter,
  RemoveRaftVoter,
]

const byKey = new Map<number, AnyApi>(APIS.map((api) => [api.key, api]))

export function apiByKey(key: number): AnyApi | undefined {
  return byKey.get(key)
}
