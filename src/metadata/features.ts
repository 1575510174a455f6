import type { MetadataImage } from './image.js'
import type { SupportedFeature } from './records.js'

/** Its level changes with the meaning of the metadata's records. */
export const KOGGE_VERSION_FEATURE = 'kogge.version'
/** Finalises `flush.before.ack` for all brokers: level 1 is true. KIP-966's safety depends on it. */
export const FLUSH_BEFORE_ACK_FEATURE = 'flush.before.ack'
/** From here on: features in registrations, features under Kafka's names, client metrics. */
export const KOGGE_VERSION_2 = 2

export interface FeatureRange {
  readonly min: number
  readonly max: number
}

/**
 * The feature levels that this build understands (KIP-584, KIP-1022). Under Kafka's names stands what holds here:
 * metadata.version 25 is 4.0-IV3 (there is no older and no newer form of these records that a level could choose);
 * kraft.version 1 is KIP-853's quorum; eligible.leader.replicas.version 1 is KIP-966, which cannot be turned off.
 * What would need group.version 1 (KIP-848) or transaction.version (KIP-890) is not there: level 0 alone.
 */
export const SUPPORTED_FEATURES: ReadonlyMap<string, FeatureRange> = new Map([
  [KOGGE_VERSION_FEATURE, { min: 1, max: 2 }],
  [FLUSH_BEFORE_ACK_FEATURE, { min: 0, max: 1 }],
  ['metadata.version', { min: 25, max: 25 }],
  ['kraft.version', { min: 1, max: 1 }],
  ['eligible.leader.replicas.version', { min: 1, max: 1 }],
  ['group.version', { min: 0, max: 0 }],
  ['transaction.version', { min: 0, max: 0 }],
])

/** What kogge.version 2 finalises along with itself. */
export const KAFKA_FEATURES: readonly string[] = [
  'metadata.version',
  'kraft.version',
  'eligible.leader.replicas.version',
]

/** Of versions before kogge.version 2, which did not name them when they registered. */
const FEATURES_OF_VERSION_1: readonly SupportedFeature[] = [
  { name: KOGGE_VERSION_FEATURE, minLevel: 1, maxLevel: 1 },
  { name: FLUSH_BEFORE_ACK_FEATURE, minLevel: 0, maxLevel: 1 },
]

/** For registrations. */
export function supportedFeatures(): SupportedFeature[] {
  return [...SUPPORTED_FEATURES].map(([name, { min, max }]) => ({ name, minLevel: min, maxLevel: max }))
}

/** Why this build must not serve this metadata (KIP-1022); undefined: it may. */
export function unsupportedFeature(image: MetadataImage): string | undefined {
  const unsupported = firstUnsupported(image.features, supportedFeatures())
  if (unsupported === undefined) return undefined
  const { name, level } = unsupported
  return `the cluster has finalised feature ${name} at level ${level}, which this version does not know: run a newer one`
}

/** The first finalised level that is not understood. `supported`: as in a registration. */
export function firstUnsupported(
  finalized: Iterable<readonly [name: string, level: number]>,
  supported: readonly SupportedFeature[],
): { name: string; level: number; range: SupportedFeature | undefined } | undefined {
  for (const [name, level] of finalized) {
    const range = rangeOf(name, supported)
    if (level === 0 && range === undefined) continue
    if (range === undefined || level < range.minLevel || level > range.maxLevel) return { name, level, range }
  }
  return undefined
}

/** Undefined where the feature is not known. */
export function rangeOf(name: string, supported: readonly SupportedFeature[]): SupportedFeature | undefined {
  const features = supported.length === 0 ? FEATURES_OF_VERSION_1 : supported
  return features.find((feature) => feature.name === name)
}
