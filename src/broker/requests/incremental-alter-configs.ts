import {
  IncrementalAlterConfigs,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse,
} from '../../wire/messages/incremental-alter-configs.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { alterResources } from './config-changes.js'

/** IncrementalAlterConfigs (KIP-339), versions 0 and 1. Forwarded. Loggers' levels cannot be changed: INVALID_REQUEST. */
export function incrementalAlterConfigsHandler(
  services: BrokerServices,
): ApiHandler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> {
  return {
    api: IncrementalAlterConfigs,
    handle(request, context, responder) {
      const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
        resourceType,
        resourceName,
        operations: configs.map(({ name, configOperation, value }) => ({
          name,
          operationCode: configOperation,
          value,
        })),
      }))
      const options = { validateOnly: request.validateOnly, replaceAll: false }
      alterResources(services, context, resources, options, (responses) => responder.send({ responses }))
    },
  }
}
