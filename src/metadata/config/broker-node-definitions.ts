import { brokerConfig } from './broker-config.js'
import type { ConfigDefinition } from './definitions.js'

/** Who this node is and where it listens. Read at start-up alone. */
export const NODE_CONFIGS: ConfigDefinition[] = [
  brokerConfig(
    'advertised.listeners',
    'list',
    null,
    {},
    'What clients are told to connect to: NAME://host:port, separated by commas; by default the listeners.',
  ),
  brokerConfig('broker.id', 'int', -1, { min: -1 }, 'An older name of node.id.'),
  brokerConfig(
    'broker.rack',
    'string',
    null,
    {},
    'Where this broker stands; replicas are spread over racks.',
  ),
  brokerConfig('controller.listener.names', 'list', null, {}, 'The listener on which peers speak gRPC.'),
  brokerConfig(
    'controller.quorum.auto.join.enable',
    'boolean',
    false,
    {},
    'Whether a controller that is no voter becomes one by itself once it has caught up (KIP-853).',
  ),
  brokerConfig(
    'controller.quorum.bootstrap.servers',
    'list',
    '',
    {},
    'Controllers of the cluster to join: host:port, separated by commas; one that answers is enough.',
  ),
  brokerConfig(
    'controller.quorum.voters',
    'list',
    '',
    {},
    'The voters that found the metadata quorum: id@host:port, separated by commas.',
  ),
  brokerConfig(
    'inspect.listener.name',
    'string',
    null,
    {},
    'The listener for inspection over gRPC; by default the controller listener.',
  ),
  brokerConfig(
    'inter.broker.listener.name',
    'string',
    null,
    {},
    'The listener on which brokers replicate from each other.',
  ),
  brokerConfig(
    'listener.security.protocol.map',
    'list',
    'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    {},
    'The security protocol of each listener.',
  ),
  brokerConfig(
    'listeners',
    'list',
    'PLAINTEXT://:9092',
    {},
    'Where this node listens: NAME://host:port, separated by commas.',
  ),
  brokerConfig('log.dir', 'string', '/tmp/kafka-logs', {}, 'The data directory, where log.dirs is not set.'),
  brokerConfig('log.dirs', 'string', null, {}, 'The data directory. One, for now.'),
  brokerConfig('node.id', 'int', null, { min: 0 }, 'This node’s id, unlike every other’s.'),
  brokerConfig(
    'process.roles',
    'list',
    'broker,controller',
    { oneOf: ['broker', 'controller'] },
    'What this process does.',
  ),
]

/** The metadata quorum, sessions and leadership. */
export const QUORUM_CONFIGS: ConfigDefinition[] = [
  brokerConfig(
    'auto.leader.rebalance.enable',
    'boolean',
    true,
    {},
    'Whether leaderships return to the preferred replicas by themselves.',
  ),
  brokerConfig(
    'broker.heartbeat.interval.ms',
    'int',
    500,
    { min: 10 },
    'Milliseconds between two heartbeats to the controller (Kafka’s: 2,000).',
  ),
  brokerConfig(
    'broker.session.timeout.ms',
    'int',
    3_000,
    { min: 500 },
    'Silence after which the controller fences a broker, at least four heartbeats (Kafka’s: 9,000).',
  ),
  brokerConfig(
    'controller.quorum.election.timeout.ms',
    'int',
    1_000,
    // Below it, what is fixed (a dead peer is dialled again after 50 ms and more) would no longer be small beside it.
    { min: 250 },
    'Silence of the quorum’s leader after which an election starts; each node draws between one and two times this.',
  ),
  brokerConfig(
    'controller.quorum.heartbeat.interval.ms',
    'int',
    100,
    { min: 10 },
    'Milliseconds between two heartbeats of the quorum’s leader; at most a fifth of the election time-out.',
  ),
  brokerConfig(
    'leader.imbalance.check.interval.seconds',
    'long',
    300,
    { min: 1 },
    'Seconds between two checks whether leaderships should return to the preferred replicas.',
  ),
  brokerConfig(
    'leader.imbalance.per.broker.percentage',
    'int',
    10,
    { min: 0 },
    'The share of a broker’s preferred leaderships that others may have before they are given back.',
  ),
  brokerConfig(
    'metadata.log.max.record.bytes.between.snapshots',
    'long',
    20_971_520,
    { min: 1 },
    'Bytes of metadata log after which a snapshot is taken.',
  ),
]
