import {
  ListGroups,
  type ListGroupsRequest,
  type ListGroupsResponse,
} from '../../wire/messages/list-groups.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/**
 * ListGroups v0-5: the groups whose coordinator is this broker. v4+ filters by state (KIP-518), v5+ by type (KIP-848);
 * neither minds capitals, and an empty one lets all pass. Deviations: every group is of type `classic`.
 */
export function listGroupsHandler(
  services: BrokerServices,
): ApiHandler<ListGroupsRequest, ListGroupsResponse> {
  return {
    api: ListGroups,
    handle(request, _context, responder) {
      const states = lowerCase(request.statesFilter)
      const types = lowerCase(request.typesFilter)
      const { errorCode, groups } = services.groups.listGroups()
      const passing = groups.filter(
        (group) =>
          (states.size === 0 || states.has(group.groupState.toLowerCase())) &&
          (types.size === 0 || types.has(group.groupType)),
      )
      responder.send({ errorCode, groups: passing.map((group) => ({ ...group })) })
    },
  }
}

function lowerCase(names: readonly string[]): Set<string> {
  return new Set(names.map((name) => name.toLowerCase()))
}
