/**
 * ListConfigResources (key 74), versions 0-1, all flexible.
 * v0 is ListClientMetricsResources and lists those only (KIP-714) · v1 names the types (KIP-1142).
 */
import { api, array, type Infer, type InferInput, int8, int16, int32, message, string } from '../schema.js'

export const ListConfigResourcesRequest = message(
  { name: 'ListConfigResourcesRequest', apiKey: 74, versions: '0-1', flexible: '0+' },
  {
    /** None asks for all types. */
    resourceTypes: array('1+', int8, { default: [] }),
  },
)

export const ListConfigResourcesResponse = message(
  { name: 'ListConfigResourcesResponse', apiKey: 74, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    configResources: array('0+', {
      resourceName: string('0+'),
      /** 16 is CLIENT_METRICS. */
      resourceType: int8('1+', { default: 16 }),
    }),
  },
)

export type ListConfigResourcesRequest = Infer<typeof ListConfigResourcesRequest>
export type ListConfigResourcesResponse = InferInput<typeof ListConfigResourcesResponse>

export const ListConfigResources = api(
  'ListConfigResources',
  ListConfigResourcesRequest,
  ListConfigResourcesResponse,
)
