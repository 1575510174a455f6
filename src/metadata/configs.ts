import { assert } from '../lib/assert.js'
import type { NodeId } from '../lib/ids.js'
import { BROKER_CONFIGS } from './config/broker-definitions.js'
import { CLIENT_METRICS_CONFIGS } from './config/client-metrics.js'
import {
  type ConfigDefinition,
  type ConfigType,
  parseList,
  type TopicConfigDefinition,
} from './config/definitions.js'
import { buildTopicConfig, type TopicConfig } from './config/topic-config.js'
import { TOPIC_CONFIGS } from './config/topic-definitions.js'
import { FLUSH_BEFORE_ACK_FEATURE, KOGGE_VERSION_FEATURE } from './features.js'
import type { MetadataImage, PartitionImage } from './image.js'
import type { ConfigResourceType } from './records.js'

export type { ConfigType } from './config/definitions.js'
export type { TopicConfig } from './config/topic-config.js'

export interface ConfigViewOptions {
  nodeId: NodeId
  /** The static broker configuration: Kafka's keys as given, validated at start-up. */
  properties: ReadonlyMap<string, string>
  /** Brokers that are configured (voters with the broker role). */
  configuredBrokers: number
  /** The image of the moment. */
  image: () => MetadataImage
}

/** Kafka's codes for DescribeConfigs (v1+) are in its handler. */
export type ConfigSource =
  | 'topic'
  | 'clientMetrics'
  | 'dynamicBroker'
  | 'dynamicDefaultBroker'
  | 'staticBroker'
  | 'default'

export interface ConfigSynonym {
  name: string
  /** null: sensitive. */
  value: string | null
  source: ConfigSource
}

export interface DescribedConfig {
  name: string
  /** null: sensitive, or without a value. */
  value: string | null
  source: ConfigSource
  sensitive: boolean
  readOnly: boolean
  type: ConfigType
  documentation: string
  /** In order of precedence; the first is the effective one. */
  synonyms: ConfigSynonym[]
}

/** What a resolved value depends on besides the topic's own overrides: compared by identity. */
interface Basis {
  readonly dynamic: ReadonlyMap<string, string>
  readonly dynamicDefault: ReadonlyMap<string, string>
  readonly brokers: number
  readonly flushBeforeAck: number | undefined
}

/** Effective configurations: of a topic its own, then the broker's dynamic ones, then static ones, then the defaults. */
export class ConfigView {
  private basis: Basis | undefined
  /** By the topic's map of overrides, which is replaced when it changes; topics without any share one. */
  private topics = new WeakMap<ReadonlyMap<string, string>, TopicConfig>()
  private readonly brokerValues = new Map<string, string | null>()

  constructor(private readonly options: ConfigViewOptions) {}

  /** The same object until something changes. Also for a topic that does not exist: the defaults. */
  topic(name: string): TopicConfig {
    this.refresh()
    const overrides = this.options.image().topicConfig(name)
    let config = this.topics.get(overrides)
    if (config === undefined) {
      config = buildTopicConfig(
        (key) => this.topicValue(topicDefinition(key), overrides),
        this.flushBeforeAck(),
      )
      this.topics.set(overrides, config)
    }
    return config
  }

  /** What a topic would have with these overrides, for validation. */
  topicWith(overrides: ReadonlyMap<string, string>): TopicConfig {
    this.refresh()
    return buildTopicConfig((key) => this.topicValue(topicDefinition(key), overrides), this.flushBeforeAck())
  }

  /** A number of this broker; a LONG beyond the safe integers is cut to the largest of them. */
  int(name: string): number {
    const value = this.required(name, ['int', 'short', 'long'])
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(value)))
  }

  bigint(name: string): bigint {
    return BigInt(this.required(name, ['int', 'short', 'long']))
  }

  double(name: string): number {
    return Number(this.required(name, ['double']))
  }

  bool(name: string): boolean {
    return this.required(name, ['boolean']).toLowerCase() === 'true'
  }

  /** '' where there is no value. */
  string(name: string): string {
    return this.brokerValue(name) ?? ''
  }

  list(name: string): string[] {
    return parseList(this.string(name))
  }

  /** All keys of a topic, sorted. */
  describeTopic(name: string): DescribedConfig[] {
    const overrides = this.options.image().topicConfig(name)
    return [...TOPIC_CONFIGS.values()].map((definition) => {
      const synonyms = this.topicSynonyms(definition, overrides)
      return described(definition, this.topicValue(definition, overrides), synonyms, false)
    })
  }

  /** All keys of this broker, sorted; or of the default of all brokers (''): what is set there. */
  describeBroker(id: NodeId | ''): DescribedConfig[] {
    if (id !== '') {
      assert(id === this.options.nodeId, 'only this broker knows its static configuration')
      return [...BROKER_CONFIGS.values()].map((definition) => {
        const synonyms = this.brokerSynonyms([{ key: definition.name, scale: 1 }])
        return described(
          definition,
          this.brokerValue(definition.name),
          synonyms,
          definition.dynamic === false,
        )
      })
    }
    const set = this.options.image().brokerConfig('')
    return [...BROKER_CONFIGS.values()]
      .filter((definition) => set.has(definition.name))
      .map((definition) => {
        const synonyms = this.brokerSynonyms([{ key: definition.name, scale: 1 }])
        const fromDefault = synonyms.filter((synonym) => synonym.source !== 'dynamicBroker')
        return described(definition, set.get(definition.name)!, fromDefault, definition.dynamic === false)
      })
  }

  /** All keys of a subscription of client metrics, sorted. */
  describeClientMetrics(name: string): DescribedConfig[] {
    const set = this.options.image().clientMetrics.get(name)
    return [...CLIENT_METRICS_CONFIGS.values()].map((definition) => {
      const key = definition.name
      const value = set?.get(key)
      const synonyms: ConfigSynonym[] =
        value === undefined ? [] : [{ name: key, value, source: 'clientMetrics' }]
      synonyms.push({ name: key, value: definition.defaultValue, source: 'default' })
      return described(definition, synonyms[0]!.value, synonyms, false)
    })
  }

  /** How many brokers the cluster has or is meant to have. */
  private brokerCount(): number {
    return Math.max(this.options.configuredBrokers, this.options.image().brokers.size)
  }

  /** Once the cluster is founded, one number for all nodes: the founding wrote down what was configured. */
  private minIsrBrokers(): number {
    const image = this.options.image()
    return image.features.has(KOGGE_VERSION_FEATURE) ? image.brokers.size : this.brokerCount()
  }

  /** KIP-966's safety depends on it, so the controller has finalised it for all brokers; before that, what was configured. */
  private flushBeforeAck(): boolean {
    const level = this.options.image().features.get(FLUSH_BEFORE_ACK_FEATURE)
    return level === undefined ? this.bool('flush.before.ack') : level > 0
  }

  private required(name: string, types: readonly ConfigType[]): string {
    const definition = brokerDefinition(name)
    assert(types.includes(definition.type), `${name} is ${definition.type}, not ${types.join(' or ')}`)
    const value = this.brokerValue(name)
    assert(value !== null, `${name} has neither a value nor a default`)
    return value
  }

  private brokerValue(name: string): string | null {
    this.refresh()
    const known = this.brokerValues.get(name)
    if (known !== undefined) return known
    const value = this.brokerSynonyms([{ key: brokerDefinition(name).name, scale: 1 }])[0]?.value ?? null
    this.brokerValues.set(name, value)
    return value
  }

  private topicValue(definition: TopicConfigDefinition, overrides: ReadonlyMap<string, string>): string {
    const override = overrides.get(definition.name)
    if (override !== undefined) return override.trim()
    const winner = this.brokerSynonyms(definition.fallbacks)[0]
    if (winner?.value == null) return definition.defaultValue!
    const scale = definition.fallbacks.find(({ key }) => key === winner.name)!.scale
    if (scale === 1) return winner.value
    const scaled = BigInt(winner.value) * BigInt(scale)
    return String(scaled < 0n ? -1n : scaled)
  }

  private topicSynonyms(
    definition: TopicConfigDefinition,
    overrides: ReadonlyMap<string, string>,
  ): ConfigSynonym[] {
    const override = overrides.get(definition.name)
    const own: ConfigSynonym[] =
      override === undefined ? [] : [{ name: definition.name, value: override, source: 'topic' }]
    return [...own, ...this.brokerSynonyms(definition.fallbacks)]
  }

  /** Level by level, and on each level key by key. */
  private brokerSynonyms(fallbacks: TopicConfigDefinition['fallbacks']): ConfigSynonym[] {
    const image = this.options.image()
    const levels: [ConfigSource, (key: string) => string | null | undefined][] = [
      ['dynamicBroker', (key) => image.brokerConfig(this.options.nodeId).get(key)],
      ['dynamicDefaultBroker', (key) => image.brokerConfig('').get(key)],
      ['staticBroker', (key) => this.staticValue(key)],
      ['default', (key) => this.defaultValue(key)],
    ]
    const synonyms: ConfigSynonym[] = []
    for (const [source, lookUp] of levels) {
      for (const { key } of fallbacks) {
        const value = lookUp(key)
        if (value !== undefined && value !== null) synonyms.push({ name: key, value: value.trim(), source })
      }
    }
    return synonyms
  }

  /**
   * KIP-966 rests on one minimum ISR: where the controller counted more than a leader, it would keep replicas eligible
   * that the leader has left behind. So the first controller's static value is written into the metadata, and from then
   * on no node's own counts, also while they are restarted with another one.
   */
  private staticValue(key: string): string | undefined {
    const isFounded = this.options.image().features.has(KOGGE_VERSION_FEATURE)
    return key === 'min.insync.replicas' && isFounded ? undefined : this.options.properties.get(key)
  }

  /** Some defaults depend on how many brokers there are, so that three brokers keep what they acknowledge. */
  private defaultValue(key: string): string | null {
    switch (key) {
      case 'default.replication.factor':
      case 'offsets.topic.replication.factor':
        return String(Math.max(1, Math.min(3, this.brokerCount())))
      case 'min.insync.replicas':
        return this.minIsrBrokers() >= 3 ? '2' : '1'
      default:
        return brokerDefinition(key).defaultValue
    }
  }

  /** Cheap where nothing has changed: it runs with every look-up. */
  private refresh(): void {
    const image = this.options.image()
    const dynamic = image.brokerConfig(this.options.nodeId)
    const dynamicDefault = image.brokerConfig('')
    const brokers = image.brokers.size
    const flushBeforeAck = image.features.get(FLUSH_BEFORE_ACK_FEATURE)
    const now = this.basis
    if (
      now !== undefined &&
      now.dynamic === dynamic &&
      now.dynamicDefault === dynamicDefault &&
      now.brokers === brokers &&
      now.flushBeforeAck === flushBeforeAck
    ) {
      return
    }
    this.basis = { dynamic, dynamicDefault, brokers, flushBeforeAck }
    this.topics = new WeakMap()
    this.brokerValues.clear()
  }
}

function described(
  definition: ConfigDefinition,
  value: string | null,
  synonyms: ConfigSynonym[],
  readOnly: boolean,
): DescribedConfig {
  return {
    name: definition.name,
    value: definition.sensitive ? null : value,
    source: synonyms[0]?.source ?? 'default',
    sensitive: definition.sensitive,
    readOnly,
    type: definition.type,
    documentation: definition.documentation,
    synonyms: definition.sensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
  }
}

function topicDefinition(key: string): TopicConfigDefinition {
  const definition = TOPIC_CONFIGS.get(key)
  assert(definition !== undefined, `${key} is no topic configuration`)
  return definition
}

function brokerDefinition(key: string): ConfigDefinition {
  const definition = BROKER_CONFIGS.get(key)
  assert(definition !== undefined, `${key} is no broker configuration`)
  return definition
}

/**
 * How many replicas a partition has for its minimum ISR: those that a reassignment is still adding do not count, else
 * its start would raise the minimum above what is in sync, and stop the producers.
 */
export function countedReplicas(partition: Pick<PartitionImage, 'replicas' | 'addingReplicas'>): number {
  return partition.replicas.length - partition.addingReplicas.length
}

/** The minimum of `min.insync.replicas` and the number of replicas (Kafka since 3.7): for acks=all, for the HW and for the ELR. */
export function effectiveMinIsr(minInsyncReplicas: number, replicas: number): number {
  return Math.min(minInsyncReplicas, replicas)
}

const NOTHING: ReadonlyMap<string, string> = new Map()

/** What is set by hand for a resource; '' is the default of all brokers. */
export function overridesOf(
  image: MetadataImage,
  resourceType: ConfigResourceType,
  resourceName: string,
): ReadonlyMap<string, string> {
  switch (resourceType) {
    case 'topic':
      return image.topicConfig(resourceName)
    case 'broker':
      return image.brokerConfig(resourceName === '' ? '' : Number(resourceName))
    case 'clientMetrics':
      return image.clientMetrics.get(resourceName) ?? NOTHING
  }
}
