import { assert } from '../../lib/assert.js'
import { FLUSH_BEFORE_ACK_FEATURE, KOGGE_VERSION_FEATURE } from '../features.js'
import { finalizeKafkaFeatures } from './features.js'
import type { ControllerState } from './state.js'

const MIN_ISR = 'min.insync.replicas'
/** From so many brokers on the default of `min.insync.replicas` is 2. */
const BROKERS_FOR_TWO = 3

/** Of the first controller: the cluster's id and features, and what must be one for all nodes. Nothing the next times. */
export function found(state: ControllerState): void {
  const { image, options, configs } = state
  const { clusterId } = options
  assert(image.clusterId === '' || image.clusterId === clusterId, 'the image belongs to another cluster')
  if (image.clusterId === '') state.emit({ type: 'clusterRecord', clusterId })
  if (!image.features.has(KOGGE_VERSION_FEATURE)) {
    fixMinIsr(state)
    const level = state.supportedFeatures.get(KOGGE_VERSION_FEATURE)!.max
    state.emit({ type: 'featureLevelRecord', name: KOGGE_VERSION_FEATURE, level })
    finalizeKafkaFeatures(state)
  }
  if (!image.features.has(FLUSH_BEFORE_ACK_FEATURE)) {
    const level = configs.bool('flush.before.ack') ? 1 : 0
    state.emit({ type: 'featureLevelRecord', name: FLUSH_BEFORE_ACK_FEATURE, level })
  }
  const own = options.properties.get(MIN_ISR)?.trim()
  const minIsr = configs.string(MIN_ISR)
  if (own !== undefined && own !== minIsr) {
    state.logger.warn(
      { configured: own, minIsr },
      `${MIN_ISR} of this node's file does not count: alter it for the default of all brokers, or for a topic`,
    )
  }
}

/**
 * KIP-966 needs one minimum for all nodes, whatever each one's file says: it becomes the dynamic default of all
 * brokers. Only where neither the file nor the number of brokers asks for more than 1 the default stays one that grows
 * with the third broker.
 */
function fixMinIsr(state: ControllerState): void {
  const own = state.options.properties.get(MIN_ISR)?.trim()
  const value = own ?? (state.options.voters.length >= BROKERS_FOR_TWO ? '2' : undefined)
  if (value === undefined) return
  state.emit({ type: 'configRecord', resourceType: 'broker', resourceName: '', name: MIN_ISR, value })
}
