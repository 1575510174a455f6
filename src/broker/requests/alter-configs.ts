import {
  AlterConfigs,
  type AlterConfigsRequest,
  type AlterConfigsResponse,
} from '../../wire/messages/alter-configs.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { alterResources } from './config-changes.js'

/** AlterConfigs, versions 0 to 2: what a resource does not name goes back to its default. Forwarded. */
export function alterConfigsHandler(
  services: BrokerServices,
): ApiHandler<AlterConfigsRequest, AlterConfigsResponse> {
  return {
    api: AlterConfigs,
    handle(request, context, responder) {
      const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
        resourceType,
        resourceName,
        operations: configs.map(({ name, value }) => ({ name, operationCode: 0, value })),
      }))
      const options = { validateOnly: request.validateOnly, replaceAll: true }
      alterResources(services, context, resources, options, (responses) => responder.send({ responses }))
    },
  }
}
