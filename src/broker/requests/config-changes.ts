import type { AlterConfigs, AlterConfigsResult } from '../../metadata/commands.js'
import { overridesOf } from '../../metadata/configs.js'
import type { MetadataImage } from '../../metadata/image.js'
import type { ConfigResourceType } from '../../metadata/records.js'
import { ErrorCode } from '../../wire/errors.js'
import type { RequestContext } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'
import { RESOURCE_TYPE, unsupportedResource } from './describe-configs.js'

/** What AlterConfigs and IncrementalAlterConfigs share. */
export interface RequestedChange {
  resourceType: number
  resourceName: string
  /** operationCode: 0 set, 1 delete, 2 append, 3 subtract. */
  operations: { name: string; operationCode: number; value: string | null }[]
}

export interface ChangeResult {
  errorCode: number
  errorMessage: string | null
  resourceType: number
  resourceName: string
}

type CommandResource = AlterConfigs['resources'][number]

const OPERATIONS = ['set', 'delete', 'append', 'subtract'] as const
const TIMEOUT_MS = 30_000

const COMMAND_TYPES: ReadonlyMap<number, ConfigResourceType> = new Map([
  [RESOURCE_TYPE.topic, 'topic'],
  [RESOURCE_TYPE.broker, 'broker'],
  [RESOURCE_TYPE.clientMetrics, 'clientMetrics'],
])

/** Forwards what the controller knows and refuses the rest; the results come in the order of the resources. */
export function alterResources(
  services: BrokerServices,
  context: RequestContext,
  changes: readonly RequestedChange[],
  options: { validateOnly: boolean; replaceAll: boolean },
  done: (results: ChangeResult[]) => void,
): void {
  const parsed = changes.map(commandResource)
  const resources = parsed.filter((resource) => typeof resource !== 'string')
  const answer = (results: readonly AlterConfigsResult[]): void => {
    let next = 0
    done(
      changes.map(({ resourceType, resourceName }, i) => {
        const resource = parsed[i]!
        const { errorCode, errorMessage } =
          typeof resource === 'string'
            ? { errorCode: ErrorCode.INVALID_REQUEST, errorMessage: resource }
            : results[next++]!
        return { errorCode, errorMessage: messageOrNull(errorMessage), resourceType, resourceName }
      }),
    )
  }
  if (resources.length === 0) {
    answer([])
    return
  }
  forward(services, { type: 'alterConfigs', ...options, resources }, context, TIMEOUT_MS, (reply) => {
    const results =
      reply.type === 'alterConfigs'
        ? reply.resources
        : resources.map((resource) => ({
            ...resource,
            errorCode: reply.errorCode,
            errorMessage: reply.errorMessage,
          }))
    const changed = options.validateOnly
      ? []
      : resources.filter((_, i) => results[i]?.errorCode === ErrorCode.NONE)
    whenKnown(
      services,
      (image) => changed.every((resource) => holds(image, resource)),
      () => answer(results),
    )
  })
}

/** A sentence where it cannot be forwarded. */
function commandResource({
  resourceType,
  resourceName,
  operations,
}: RequestedChange): CommandResource | string {
  const type = COMMAND_TYPES.get(resourceType)
  if (type === undefined) return unsupportedResource(resourceType)
  const parsed: CommandResource['operations'] = []
  for (const { name, operationCode, value } of operations) {
    const operation = OPERATIONS[operationCode]
    if (operation === undefined) return `${name}: operation ${operationCode} is unknown`
    parsed.push({ name, operation, value: value ?? undefined })
  }
  return {
    resourceType: type,
    resourceName,
    operations: parsed,
  }
}

/** What was set is set. (Lists are not compared: what append amounts to, the controller knows.) */
function holds(image: MetadataImage, { resourceType, resourceName, operations }: CommandResource): boolean {
  const values = overridesOf(image, resourceType, resourceName)
  return operations.every(({ name, operation, value }) => {
    if (operation === 'set') return values.get(name) === value
    return operation === 'delete' ? !values.has(name) : true
  })
}
