import type { AnyApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { addRaftVoterHandler } from './add-raft-voter.js'
import { alterConfigsHandler } from './alter-configs.js'
import { alterPartitionReassignmentsHandler } from './alter-partition-reassignments.js'
import { apiVersionsHandler } from './api-versions.js'
import { createPartitionsHandler } from './create-partitions.js'
import { createTopicsHandler } from './create-topics.js'
import { deleteGroupsHandler } from './delete-groups.js'
import { deleteTopicsHandler } from './delete-topics.js'
import { describeClusterHandler } from './describe-cluster.js'
import { describeConfigsHandler } from './describe-configs.js'
import { describeGroupsHandler } from './describe-groups.js'
import { describeLogDirsHandler } from './describe-log-dirs.js'
import { describeQuorumHandler } from './describe-quorum.js'
import { describeTopicPartitionsHandler } from './describe-topic-partitions.js'
import { electLeadersHandler } from './elect-leaders.js'
import { fetchHandler } from './fetch.js'
import { findCoordinatorHandler } from './find-coordinator.js'
import { heartbeatHandler } from './heartbeat.js'
import { incrementalAlterConfigsHandler } from './incremental-alter-configs.js'
import { initProducerIdHandler } from './init-producer-id.js'
import { joinGroupHandler } from './join-group.js'
import { leaveGroupHandler } from './leave-group.js'
import { listConfigResourcesHandler } from './list-config-resources.js'
import { listGroupsHandler } from './list-groups.js'
import { listOffsetsHandler } from './list-offsets.js'
import { listPartitionReassignmentsHandler } from './list-partition-reassignments.js'
import { metadataHandler } from './metadata.js'
import { offsetCommitHandler } from './offset-commit.js'
import { offsetFetchHandler } from './offset-fetch.js'
import { offsetForLeaderEpochHandler } from './offset-for-leader-epoch.js'
import { produceHandler } from './produce.js'
import { removeRaftVoterHandler } from './remove-raft-voter.js'
import { syncGroupHandler } from './sync-group.js'
import { unregisterBrokerHandler } from './unregister-broker.js'
import { updateFeaturesHandler } from './update-features.js'

/** Every API that this broker serves; ApiVersions advertises exactly these. */
export function allHandlers(services: BrokerServices): AnyApiHandler[] {
  return [
    produceHandler(services),
    fetchHandler(services),
    listOffsetsHandler(services),
    metadataHandler(services),
    offsetCommitHandler(services),
    offsetFetchHandler(services),
    findCoordinatorHandler(services),
    joinGroupHandler(services),
    heartbeatHandler(services),
    leaveGroupHandler(services),
    syncGroupHandler(services),
    describeGroupsHandler(services),
    listGroupsHandler(services),
    apiVersionsHandler(services),
    createTopicsHandler(services),
    deleteTopicsHandler(services),
    initProducerIdHandler(services),
    offsetForLeaderEpochHandler(services),
    describeConfigsHandler(services),
    alterConfigsHandler(services),
    incrementalAlterConfigsHandler(services),
    createPartitionsHandler(services),
    deleteGroupsHandler(services),
    electLeadersHandler(services),
    alterPartitionReassignmentsHandler(services),
    listPartitionReassignmentsHandler(services),
    describeQuorumHandler(services),
    describeClusterHandler(services),
    describeTopicPartitionsHandler(services),
    describeLogDirsHandler(services),
    addRaftVoterHandler(services),
    removeRaftVoterHandler(services),
    updateFeaturesHandler(services),
    unregisterBrokerHandler(services),
    listConfigResourcesHandler(services),
  ]
}
