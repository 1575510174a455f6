import { NODE_CONFIGS, QUORUM_CONFIGS } from './broker-node-definitions.js'
import { TOPIC_DEFAULT_CONFIGS } from './broker-topic-definitions.js'
import { GROUP_CONFIGS, TRAFFIC_CONFIGS } from './broker-traffic-definitions.js'
import type { ConfigDefinition } from './definitions.js'

/** Every broker configuration that has an effect or is described to clients, sorted by name. */
export const BROKER_CONFIGS: ReadonlyMap<string, ConfigDefinition> = new Map(
  [...NODE_CONFIGS, ...QUORUM_CONFIGS, ...TOPIC_DEFAULT_CONFIGS, ...TRAFFIC_CONFIGS, ...GROUP_CONFIGS]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((definition) => [definition.name, definition]),
)
