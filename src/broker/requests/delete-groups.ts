import {
  DeleteGroups,
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
} from '../../wire/messages/delete-groups.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

type DeletedGroup = DeleteGroupsResponse['results'][number]

/**
 * DeleteGroups v0-3: empty groups, with their offsets, one result a name. NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND; a
 * group's writes that are on their way land first. v3 adds a message.
 * Deviations: a name given twice is deleted, and answered, once.
 */
export function deleteGroupsHandler(
  services: BrokerServices,
): ApiHandler<DeleteGroupsRequest, DeleteGroupsResponse> {
  return {
    api: DeleteGroups,
    handle(request, _context, responder) {
      const names = [...new Set(request.groupsNames)]
      const results: DeletedGroup[] = new Array(names.length)
      let open = names.length
      if (open === 0) responder.send({ results })
      names.forEach((groupId, at) => {
        services.groups.deleteGroup(groupId, (result) => {
          results[at] = { ...result }
          if (--open === 0) responder.send({ results })
        })
      })
    },
  }
}
