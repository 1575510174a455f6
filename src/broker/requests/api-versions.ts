import { SUPPORTED_FEATURES } from '../../metadata/features.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  ApiVersions,
  type ApiVersionsRequest,
  type ApiVersionsResponse,
} from '../../wire/messages/api-versions.js'
import { APIS } from '../../wire/messages/index.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * ApiVersions, versions 0 to 4: what the schemas speak, and the cluster's features (KIP-584). Like Kafka, it names no
 * feature of which level 0 alone is supported, so that clients use nothing that is not there. A software name or version that KIP-511 does not allow is
 * INVALID_REQUEST.
 */
export function apiVersionsHandler(
  services: BrokerServices,
): ApiHandler<ApiVersionsRequest, ApiVersionsResponse> {
  return {
    api: ApiVersions,
    handle(request, { apiVersion }, responder) {
      if (
        apiVersion >= 3 &&
        !(SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion))
      ) {
        return responder.send({ errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] })
      }
      const { image, appliedIndex } = services.metadata
      // Before v4 clients cannot read a feature whose minimum is 0 (KAFKA-17011).
      const supported = [...SUPPORTED_FEATURES].filter(
        ([, { min, max }]) => max > 0 && (min > 0 || apiVersion >= 4),
      )
      responder.send({
        errorCode: ErrorCode.NONE,
        apiKeys: advertisedApis(),
        supportedFeatures: supported.map(([name, { min, max }]) => ({
          name,
          minVersion: min,
          maxVersion: max,
        })),
        finalizedFeaturesEpoch: appliedIndex,
        finalizedFeatures: [...image.features]
          .filter(([, level]) => level > 0)
          .map(([name, level]) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
      })
    },
  }
}

/** The answer to a version of ApiVersions that this broker does not know; to be encoded in version 0. */
export function unsupportedApiVersionsResponse(): ApiVersionsResponse {
  return { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys: advertisedApis() }
}

function advertisedApis(): ApiVersionsResponse['apiKeys'] {
  return APIS.map(({ key, advertisedMinVersion, maxVersion }) => ({
    apiKey: key,
    minVersion: advertisedMinVersion,
    maxVersion,
  })).sort((a, b) => a.apiKey - b.apiKey)
}
