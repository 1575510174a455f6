import type { MetadataImage } from '../../metadata/image.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  ListConfigResources,
  type ListConfigResourcesRequest,
  type ListConfigResourcesResponse,
} from '../../wire/messages/list-config-resources.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { RESOURCE_TYPE } from './describe-configs.js'

const ALL_TYPES: readonly number[] = Object.values(RESOURCE_TYPE)

/**
 * ListConfigResources (KIP-714, KIP-1142): version 0 lists client metrics alone; version 1 the types that are named,
 * or all of them. Loggers and groups have no configuration here. An unknown type is UNSUPPORTED_VERSION, as with Kafka.
 */
export function listConfigResourcesHandler(
  services: BrokerServices,
): ApiHandler<ListConfigResourcesRequest, ListConfigResourcesResponse> {
  return {
    api: ListConfigResources,
    handle({ resourceTypes }, { apiVersion }, responder) {
      if (resourceTypes.some((type) => !ALL_TYPES.includes(type))) {
        return responder.send({ errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] })
      }
      const asked = resourceTypes.length === 0 ? ALL_TYPES : [...new Set(resourceTypes)]
      const types = apiVersion === 0 ? [RESOURCE_TYPE.clientMetrics] : asked
      const { image } = services.metadata
      responder.send({
        errorCode: ErrorCode.NONE,
        configResources: types.flatMap((resourceType) =>
          namesOf(image, resourceType).map((resourceName) => ({ resourceName, resourceType })),
        ),
      })
    },
  }
}

function namesOf(image: MetadataImage, resourceType: number): string[] {
  switch (resourceType) {
    case RESOURCE_TYPE.topic:
      return [...image.topicsByName.keys()]
    case RESOURCE_TYPE.broker:
      return [...image.brokers.keys()].map(String)
    case RESOURCE_TYPE.clientMetrics:
      return [...image.clientMetrics.keys()]
    default:
      return []
  }
}
