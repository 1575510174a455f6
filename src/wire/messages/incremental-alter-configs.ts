/**
 * IncrementalAlterConfigs (key 44), versions 0-1, flexible from 1.
 * Operations: 0 set, 1 delete, 2 append, 3 subtract (KIP-339). v1 flexible.
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

export const IncrementalAlterConfigsRequest = message(
  { name: 'IncrementalAlterConfigsRequest', apiKey: 44, versions: '0-1', flexible: '1+' },
  {
    resources: array('0+', {
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        /** 0 set, 1 delete, 2 append, 3 subtract. */
        configOperation: int8('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

export const IncrementalAlterConfigsResponse = message(
  { name: 'IncrementalAlterConfigsResponse', apiKey: 44, versions: '0-1', flexible: '1+' },
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

export type IncrementalAlterConfigsRequest = Infer<typeof IncrementalAlterConfigsRequest>
export type IncrementalAlterConfigsResponse = InferInput<typeof IncrementalAlterConfigsResponse>

export const IncrementalAlterConfigs = api(
  'IncrementalAlterConfigs',
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
)
