/**
 * The error table of the Kafka protocol, as of Kafka 4.3: code, name, whether a client may retry, and a default
 * message. Most responses carry the code alone; where there is room for a message, a handler that knows the cause
 * says it, and else the default stands.
 */

interface ErrorEntry {
  readonly code: number
  readonly retriable: boolean
  readonly message: string
}

/** Retriable: the same request may succeed later, most often after the client has renewed its metadata. */
const retriable = (code: number, message: string): ErrorEntry => ({ code, retriable: true, message })
const final = (code: number, message: string): ErrorEntry => ({ code, retriable: false, message })

const ERRORS = {
  UNKNOWN_SERVER_ERROR: final(-1, 'The broker failed in an unexpected way; its log says how.'),
  NONE: final(0, ''),
  OFFSET_OUT_OF_RANGE: final(1, 'The offset lies below the start of the log or past its end.'),
  CORRUPT_MESSAGE: retriable(2, 'The record batch is damaged: its CRC, its size or its layout is wrong.'),
  UNKNOWN_TOPIC_OR_PARTITION: retriable(3, 'This broker does not host the topic or partition.'),
  INVALID_FETCH_SIZE: final(4, 'The fetch size is invalid.'),
  LEADER_NOT_AVAILABLE: retriable(5, 'The partition has no leader at present: an election is under way.'),
  NOT_LEADER_OR_FOLLOWER: retriable(6, 'This broker does not lead the partition, or holds no replica of it.'),
  REQUEST_TIMED_OUT: retriable(7, 'The request was not completed within its time-out.'),
  BROKER_NOT_AVAILABLE: final(8, 'The broker is not available.'),
  REPLICA_NOT_AVAILABLE: retriable(9, 'The replica is not available.'),
  MESSAGE_TOO_LARGE: final(10, 'The batch is larger than max.message.bytes allows.'),
  STALE_CONTROLLER_EPOCH: final(11, 'The controller has moved to another node.'),
  OFFSET_METADATA_TOO_LARGE: final(
    12,
    'The metadata of the offset is longer than offset.metadata.max.bytes allows.',
  ),
  NETWORK_EXCEPTION: retriable(13, 'The connection was lost before the response arrived.'),
  COORDINATOR_LOAD_IN_PROGRESS: retriable(14, 'The coordinator is still loading its state.'),
  COORDINATOR_NOT_AVAILABLE: retriable(15, 'The coordinator is not available.'),
  NOT_COORDINATOR: retriable(16, 'This broker is not the coordinator; look it up anew.'),
  INVALID_TOPIC_EXCEPTION: final(17, 'The topic name is invalid, or the topic may not be used in this way.'),
  RECORD_LIST_TOO_LARGE: final(18, 'The batch is larger than a segment of the log.'),
  NOT_ENOUGH_REPLICAS: retriable(
    19,
    'Fewer replicas are in sync than min.insync.replicas demands; nothing was written.',
  ),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: retriable(
    20,
    'The batch was written, but fewer replicas are in sync than min.insync.replicas demands.',
  ),
  INVALID_REQUIRED_ACKS: final(21, 'acks must be -1, 0 or 1.'),
  ILLEGAL_GENERATION: final(22, 'The generation is not the current one of the group.'),
  INCONSISTENT_GROUP_PROTOCOL: final(
    23,
    'The member shares no protocol with the group, or named no protocol type or protocols at all.',
  ),
  INVALID_GROUP_ID: final(24, 'The group id is invalid.'),
  UNKNOWN_MEMBER_ID: final(25, 'The group does not know this member.'),
  INVALID_SESSION_TIMEOUT: final(
    26,
    'The session time-out lies outside group.min.session.timeout.ms and group.max.session.timeout.ms.',
  ),
  REBALANCE_IN_PROGRESS: final(27, 'The group is rebalancing: the member must join again.'),
  INVALID_COMMIT_OFFSET_SIZE: final(28, 'The committed offset does not fit into a record.'),
  TOPIC_AUTHORIZATION_FAILED: final(29, 'Not authorised for the topic.'),
  GROUP_AUTHORIZATION_FAILED: final(30, 'Not authorised for the group.'),
  CLUSTER_AUTHORIZATION_FAILED: final(31, 'Not authorised for the cluster.'),
  INVALID_TIMESTAMP: final(32, "A record's timestamp is out of the range that the topic accepts."),
  UNSUPPORTED_SASL_MECHANISM: final(33, 'The broker does not offer this SASL mechanism.'),
  ILLEGAL_SASL_STATE: final(34, 'The request does not fit the state of the SASL exchange.'),
  UNSUPPORTED_VERSION: final(35, 'The broker does not speak this version of the API.'),
  TOPIC_ALREADY_EXISTS: final(36, 'A topic of this name exists already.'),
  INVALID_PARTITIONS: final(37, 'The number of partitions is invalid.'),
  INVALID_REPLICATION_FACTOR: final(
    38,
    'The replication factor is below 1 or above the number of live brokers.',
  ),
  INVALID_REPLICA_ASSIGNMENT: final(39, 'The replica assignment is invalid.'),
  INVALID_CONFIG: final(40, 'The configuration is invalid.'),
  NOT_CONTROLLER: retriable(41, 'This node is not the active controller.'),
  INVALID_REQUEST: final(42, 'The request contradicts itself or the protocol.'),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: final(43, 'The record format is not supported: only magic 2 is.'),
  POLICY_VIOLATION: final(44, 'The request violates a policy of the cluster.'),
  OUT_OF_ORDER_SEQUENCE_NUMBER: final(45, "The batch's sequence does not follow the producer's last one."),
  DUPLICATE_SEQUENCE_NUMBER: final(46, 'The batch was written before, too long ago to name its offset.'),
  INVALID_PRODUCER_EPOCH: final(47, "The producer's epoch is older than the current one."),
  INVALID_TXN_STATE: final(48, 'The transaction is in a state that does not allow this.'),
  INVALID_PRODUCER_ID_MAPPING: final(49, 'The producer id does not belong to the transactional id.'),
  INVALID_TRANSACTION_TIMEOUT: final(
    50,
    'The transaction time-out is longer than transaction.max.timeout.ms allows.',
  ),
  CONCURRENT_TRANSACTIONS: retriable(51, 'Another operation on the same transaction is under way.'),
  TRANSACTION_COORDINATOR_FENCED: final(
    52,
    'The marker comes from a transaction coordinator that was replaced.',
  ),
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: final(53, 'Not authorised for the transactional id.'),
  SECURITY_DISABLED: final(54, 'Security is not enabled on this cluster.'),
  OPERATION_NOT_ATTEMPTED: final(55, 'Not attempted, since another operation of the same request failed.'),
  KAFKA_STORAGE_ERROR: retriable(56, 'The disk of the log failed.'),
  LOG_DIR_NOT_FOUND: final(57, 'The broker has no such log directory.'),
  SASL_AUTHENTICATION_FAILED: final(58, 'SASL authentication failed.'),
  UNKNOWN_PRODUCER_ID: final(59, 'Nothing is known of this producer id any more.'),
  REASSIGNMENT_IN_PROGRESS: final(60, 'A reassignment of the partition is under way.'),
  DELEGATION_TOKEN_AUTH_DISABLED: final(61, 'Delegation tokens are not enabled.'),
  DELEGATION_TOKEN_NOT_FOUND: final(62, 'The delegation token does not exist.'),
  DELEGATION_TOKEN_OWNER_MISMATCH: final(
    63,
    'The principal is neither owner nor renewer of the delegation token.',
  ),
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: final(
    64,
    'Delegation tokens cannot be asked for over this connection.',
  ),
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: final(65, 'Not authorised for the delegation token.'),
  DELEGATION_TOKEN_EXPIRED: final(66, 'The delegation token has expired.'),
  INVALID_PRINCIPAL_TYPE: final(67, 'The type of the principal is not supported.'),
  NON_EMPTY_GROUP: final(68, 'The group still has members.'),
  GROUP_ID_NOT_FOUND: final(69, 'The group does not exist.'),
  FETCH_SESSION_ID_NOT_FOUND: retriable(70, 'The fetch session is not known; open a new one.'),
  INVALID_FETCH_SESSION_EPOCH: retriable(71, 'The epoch of the fetch session is not the expected one.'),
  LISTENER_NOT_FOUND: retriable(72, 'The leader has no listener of the name that took the request.'),
  TOPIC_DELETION_DISABLED: final(73, 'Topics cannot be deleted: delete.topic.enable is false.'),
  FENCED_LEADER_EPOCH: retriable(74, "The leader epoch is older than the broker's."),
  UNKNOWN_LEADER_EPOCH: retriable(75, "The leader epoch is newer than the broker's."),
  UNSUPPORTED_COMPRESSION_TYPE: final(76, 'This version of the API cannot carry the compression in use.'),
  STALE_BROKER_EPOCH: final(77, 'The broker epoch is not the current one: the broker has registered anew.'),
  OFFSET_NOT_AVAILABLE: retriable(78, 'The leader is new and its high watermark has not caught up yet.'),
  MEMBER_ID_REQUIRED: final(79, 'Join again with the member id of this response.'),
  PREFERRED_LEADER_NOT_AVAILABLE: retriable(80, 'The preferred leader is not available.'),
  GROUP_MAX_SIZE_REACHED: final(81, 'The group has as many members as group.max.size allows.'),
  FENCED_INSTANCE_ID: final(82, 'Another member has taken over this group.instance.id.'),
  ELIGIBLE_LEADERS_NOT_AVAILABLE: retriable(83, 'No replica that may lead is available.'),
  ELECTION_NOT_NEEDED: retriable(84, 'The partition already has the leader that the election would give.'),
  NO_REASSIGNMENT_IN_PROGRESS: final(85, 'No reassignment of the partition is under way.'),
  GROUP_SUBSCRIBED_TO_TOPIC: final(86, 'The group is subscribed to the topic.'),
  INVALID_RECORD: final(87, 'A record of the batch is invalid.'),
  UNSTABLE_OFFSET_COMMIT: retriable(88, 'Offsets of an open transaction are pending.'),
  THROTTLING_QUOTA_EXCEEDED: retriable(89, 'A quota is exceeded.'),
  PRODUCER_FENCED: final(90, 'A newer producer uses the same transactional id.'),
  RESOURCE_NOT_FOUND: final(91, 'The resource does not exist.'),
  DUPLICATE_RESOURCE: final(92, 'The request names the same resource twice.'),
  UNACCEPTABLE_CREDENTIAL: final(93, 'The credential does not meet the criteria.'),
  INCONSISTENT_VOTER_SET: final(94, 'The sender or the receiver is not one of the voters.'),
  INVALID_UPDATE_VERSION: final(95, 'The feature cannot be set to this version.'),
  FEATURE_UPDATE_FAILED: final(96, 'The features could not be updated.'),
  PRINCIPAL_DESERIALIZATION_FAILURE: final(97, 'The principal of the forwarded request cannot be read.'),
  SNAPSHOT_NOT_FOUND: final(98, 'The snapshot does not exist.'),
  POSITION_OUT_OF_RANGE: final(99, 'The position lies outside the snapshot.'),
  UNKNOWN_TOPIC_ID: retriable(100, 'This broker does not host a topic of this id.'),
  DUPLICATE_BROKER_REGISTRATION: final(101, 'Another live broker uses this id.'),
  BROKER_ID_NOT_REGISTERED: final(102, 'No broker of this id is registered.'),
  INCONSISTENT_TOPIC_ID: retriable(103, "The topic id is not that of the broker's log."),
  INCONSISTENT_CLUSTER_ID: final(104, 'The cluster id is not that of this cluster.'),
  TRANSACTIONAL_ID_NOT_FOUND: final(105, 'The transactional id does not exist.'),
  FETCH_SESSION_TOPIC_ID_ERROR: retriable(106, 'The fetch session mixes topic names with topic ids.'),
  INELIGIBLE_REPLICA: final(107, 'A replica of the proposed in-sync set may not be part of it.'),
  NEW_LEADER_ELECTED: final(108, 'The partition was changed, and has another leader now.'),
  OFFSET_MOVED_TO_TIERED_STORAGE: final(109, 'The offset is held by the remote storage only.'),
  FENCED_MEMBER_EPOCH: final(110, 'The member was fenced: it must give up its partitions and join again.'),
  UNRELEASED_INSTANCE_ID: final(
    111,
    'Another member still holds this group.instance.id and must leave first.',
  ),
  UNSUPPORTED_ASSIGNOR: final(112, 'The group does not support the assignor.'),
  STALE_MEMBER_EPOCH: final(113, 'The member epoch is old: retry after the next heartbeat.'),
  MISMATCHED_ENDPOINT_TYPE: final(114, 'This endpoint is of another type than the request expects.'),
  UNSUPPORTED_ENDPOINT_TYPE: final(115, 'Endpoints of this type are not supported.'),
  UNKNOWN_CONTROLLER_ID: final(116, 'No controller of this id is known.'),
  UNKNOWN_SUBSCRIPTION_ID: final(117, 'The telemetry subscription is unknown or outdated.'),
  TELEMETRY_TOO_LARGE: final(118, 'The telemetry is larger than the broker accepts.'),
  INVALID_REGISTRATION: final(119, 'The controller considers the registration invalid.'),
  TRANSACTION_ABORTABLE: final(120, 'The transaction failed; abort it to go on with this transactional id.'),
  INVALID_RECORD_STATE: final(121, 'The record is not in a state that can be acknowledged.'),
  SHARE_SESSION_NOT_FOUND: retriable(122, 'The share session is not known.'),
  INVALID_SHARE_SESSION_EPOCH: retriable(123, 'The epoch of the share session is not the expected one.'),
  FENCED_STATE_EPOCH: final(124, "The epoch of the share group's state does not match."),
  INVALID_VOTER_KEY: final(125, 'The voter key is not that of the receiving replica.'),
  DUPLICATE_VOTER: final(126, 'The voter is already one of the voters.'),
  VOTER_NOT_FOUND: final(127, 'The voter is not one of the voters.'),
  INVALID_REGULAR_EXPRESSION: final(128, 'The regular expression is invalid.'),
  REBOOTSTRAP_REQUIRED: final(
    129,
    "The client's metadata is outdated: begin again at the bootstrap servers.",
  ),
  STREAMS_INVALID_TOPOLOGY: final(130, 'The topology is invalid.'),
  STREAMS_INVALID_TOPOLOGY_EPOCH: final(131, 'The epoch of the topology is invalid.'),
  STREAMS_TOPOLOGY_FENCED: final(132, 'The epoch of the topology is outdated.'),
  SHARE_SESSION_LIMIT_REACHED: retriable(133, 'There are as many share sessions as are allowed.'),
} satisfies Record<string, ErrorEntry>

export type ErrorName = keyof typeof ERRORS

/** Name to code: `ErrorCode.NOT_LEADER_OR_FOLLOWER` is 6. */
export const ErrorCode: { readonly [Name in ErrorName]: number } = Object.fromEntries(
  Object.entries(ERRORS).map(([name, entry]) => [name, entry.code]),
) as { [Name in ErrorName]: number }

const namesByCode = new Map<number, ErrorName>(
  Object.entries(ERRORS).map(([name, entry]) => [entry.code, name as ErrorName]),
)

function entryOf(code: number): ErrorEntry {
  return ERRORS[namesByCode.get(code) ?? 'UNKNOWN_SERVER_ERROR']
}

/** 'ERROR_<code>' where the table does not know it. */
export function errorName(code: number): string {
  return namesByCode.get(code) ?? `ERROR_${code}`
}

/** False for codes that the table does not know. */
export function isRetriable(code: number): boolean {
  return entryOf(code).retriable
}

/** Empty for NONE. */
export function defaultMessage(code: number): string {
  return entryOf(code).message
}
