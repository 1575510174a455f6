import type { MetadataImage } from './image.js'

/** Its level changes with the meaning of the metadata's records. */
export const KOGGE_VERSION_FEATURE = 'kogge.version'
/** Finalises `flush.before.ack` for all brokers: level 1 is true. KIP-966's safety depends on it. */
export const FLUSH_BEFORE_ACK_FEATURE = 'flush.before.ack'

/** The feature levels that this build understands (KIP-584, KIP-1022). */
export const SUPPORTED_FEATURES: ReadonlyMap<string, { readonly min: number; readonly max: number }> =
  new Map([
    [KOGGE_VERSION_FEATURE, { min: 1, max: 1 }],
    [FLUSH_BEFORE_ACK_FEATURE, { min: 0, max: 1 }],
  ])

/** Why this build must not serve this metadata (KIP-1022); undefined: it may. */
export function unsupportedFeature(image: MetadataImage): string | undefined {
  for (const [name, level] of image.features) {
    const range = SUPPORTED_FEATURES.get(name)
    if (range === undefined || level < range.min || level > range.max) {
      return `the cluster has finalised feature ${name} at level ${level}, which this version does not know: run a newer one`
    }
  }
  return undefined
}
