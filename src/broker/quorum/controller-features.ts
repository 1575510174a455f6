import type { NodeId } from '../../lib/ids.js'
import type { ControllerReply, UpdateFeatures } from '../../metadata/commands.js'
import { rangeOf } from '../../metadata/features.js'
import type { SupportedFeature } from '../../metadata/records.js'
import { ErrorCode } from '../../wire/errors.js'

/** Who may have to read the metadata as a controller. */
export interface ControllerSupport {
  /** Every voter but this node that no registration as a broker speaks for, and every controller that follows. */
  readonly nodeIds: readonly NodeId[]
  /** As it introduced itself; undefined: it never did. */
  supportedBy(nodeId: NodeId): readonly SupportedFeature[] | undefined
}

/**
 * KIP-1022: a level is finalised where every controller can read what it allows: the next leader is one of them, and
 * would have to stop. Brokers have registered what they support, and the controller asks those; a dedicated controller
 * has no registration. Undefined: none of them objects.
 */
export function refuseFeatures(
  command: UpdateFeatures,
  support: ControllerSupport,
): ControllerReply | undefined {
  for (const { name, level } of command.updates) {
    for (const nodeId of support.nodeIds) {
      const why = objection(name, level, support.supportedBy(nodeId))
      if (why === undefined) continue
      const errorMessage = `${name} cannot be set to level ${level}: controller ${nodeId} ${why}`
      const errorCode = ErrorCode.INVALID_UPDATE_VERSION
      return { type: 'updateFeatures', errorCode, errorMessage, feature: name }
    }
  }
  return undefined
}

function objection(
  name: string,
  level: number,
  supported: readonly SupportedFeature[] | undefined,
): string | undefined {
  if (supported === undefined)
    return 'has not said yet what it supports: start it, or remove it from the voters'
  const range = rangeOf(name, supported)
  if (range === undefined) return level === 0 ? undefined : 'does not know it: upgrade that node'
  if (level >= range.minLevel && level <= range.maxLevel) return undefined
  return `supports the levels ${range.minLevel} to ${range.maxLevel}: upgrade that node`
}
