import type { ConfigSource, ConfigType, DescribedConfig } from '../../metadata/configs.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
} from '../../wire/messages/describe-configs.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/** Kafka's codes of resource types. */
export const RESOURCE_TYPE = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const

const SOURCE_CODES: Record<ConfigSource, number> = {
  topic: 1,
  clientMetrics: 7,
  dynamicBroker: 2,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
}

const TYPE_CODES: Record<ConfigType, number> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  password: 9,
}

export function configSourceCode(source: ConfigSource): number {
  return SOURCE_CODES[source]
}

/**
 * DescribeConfigs, versions 1 to 4: topics, this broker, the default of all brokers (''), and subscriptions of client
 * metrics (KIP-714). Sensitive values are null. On success the error message is the empty string, as with Kafka 4.3.
 * Loggers and groups have no configuration here and are refused with INVALID_REQUEST.
 */
export function describeConfigsHandler(
  services: BrokerServices,
): ApiHandler<DescribeConfigsRequest, DescribeConfigsResponse> {
  return {
    api: DescribeConfigs,
    handle(request, _context, responder) {
      responder.send({ results: request.resources.map((resource) => describe(services, request, resource)) })
    },
  }
}

type Resource = DescribeConfigsRequest['resources'][number]
type Result = DescribeConfigsResponse['results'][number]

function describe(services: BrokerServices, request: DescribeConfigsRequest, resource: Resource): Result {
  const { resourceType, resourceName, configurationKeys } = resource
  const described = configsOf(services, resource)
  if ('errorCode' in described) return { ...described, resourceType, resourceName, configs: [] }
  const wanted =
    configurationKeys === null || configurationKeys.length === 0 ? null : new Set(configurationKeys)
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: '',
    resourceType,
    resourceName,
    configs: described
      .filter(({ name }) => wanted === null || wanted.has(name))
      .map((config) => ({
        name: config.name,
        value: config.value,
        readOnly: config.readOnly,
        configSource: configSourceCode(config.source),
        isSensitive: config.sensitive,
        synonyms: request.includeSynonyms
          ? config.synonyms.map(({ name, value, source }) => ({
              name,
              value,
              source: configSourceCode(source),
            }))
          : [],
        configType: TYPE_CODES[config.type],
        documentation: request.includeDocumentation ? config.documentation : null,
      })),
  }
}

type Refusal = { errorCode: number; errorMessage: string }

function configsOf(
  services: BrokerServices,
  { resourceType, resourceName }: Resource,
): DescribedConfig[] | Refusal {
  const { config, configs, metadata } = services
  if (resourceType === RESOURCE_TYPE.topic) {
    if (metadata.image.topicsByName.has(resourceName)) return configs.describeTopic(resourceName)
    const errorMessage = `topic ${resourceName} does not exist`
    return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage }
  }
  if (resourceType === RESOURCE_TYPE.broker) {
    if (resourceName === '') return configs.describeBroker('')
    if (resourceName === String(config.nodeId)) return configs.describeBroker(config.nodeId)
    const errorMessage = `this is broker ${config.nodeId}: ask broker ${resourceName} itself, or '' for the default of all brokers`
    return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage }
  }
  if (resourceType === RESOURCE_TYPE.clientMetrics) {
    if (resourceName !== '') return configs.describeClientMetrics(resourceName)
    return {
      errorCode: ErrorCode.INVALID_REQUEST,
      errorMessage: 'a subscription of client metrics has a name',
    }
  }
  return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage: unsupportedResource(resourceType) }
}

export function unsupportedResource(resourceType: number): string {
  const name = Object.entries(RESOURCE_TYPE).find(([, code]) => code === resourceType)?.[0]
  return `resources of type ${name ?? resourceType} have no configuration here: only topics, brokers and client metrics do`
}
