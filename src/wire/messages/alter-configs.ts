/**
 * AlterConfigs (key 33), versions 0-2, flexible from 2.
 * Replaces all dynamic configurations of a resource; deprecated in favour of IncrementalAlterConfigs.
 * v2 flexible.
 */
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int8,
  int16,
  int32,
  message,
  string,
} from '../schema.js'

export const AlterConfigsRequest = message(
  { name: 'AlterConfigsRequest', apiKey: 33, versions: '0-2', flexible: '2+' },
  {
    resources: array('0+', {
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

export const AlterConfigsResponse = message(
  { name: 'AlterConfigsResponse', apiKey: 33, versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    responses: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: int8('0+'),
      resourceName: string('0+'),
    }),
  },
)

export type AlterConfigsRequest = Infer<typeof AlterConfigsRequest>
export type AlterConfigsResponse = InferInput<typeof AlterConfigsResponse>

export const AlterConfigs = api('AlterConfigs', AlterConfigsRequest, AlterConfigsResponse)
