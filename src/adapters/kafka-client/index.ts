export {
  type ClusterMetadata,
  type ClusterPartition,
  type ClusterTopic,
  KafkaClient,
  type KafkaClientOptions,
} from './client.js'
export { type ConsumedRecord, type ConsumerOptions, consume } from './consumer.js'
export {
  isWorthRetrying,
  KafkaConnectionError,
  KafkaError,
  KafkaUnreachableError,
  throwIfError,
} from './errors.js'
export { EARLIEST, LATEST, listOffsets } from './offsets.js'
export { Producer } from './producer.js'
