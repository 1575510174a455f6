/**
 * DescribeConfigs (key 32), versions 1-4, flexible from 4.
 * v1 source and synonyms (KIP-226) · v3 type and documentation (KIP-569) · v4 flexible.
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

export const DescribeConfigsRequest = message(
  { name: 'DescribeConfigsRequest', apiKey: 32, versions: '1-4', flexible: '4+' },
  {
    resources: array('0+', {
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configurationKeys: array('0+', string, { nullable: '0+' }),
    }),
    includeSynonyms: bool('1+', { default: false }),
    includeDocumentation: bool('3+', { default: false }),
  },
)

export const DescribeConfigsResponse = message(
  { name: 'DescribeConfigsResponse', apiKey: 32, versions: '1-4', flexible: '4+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
        readOnly: bool('0+'),
        /** 1 topic, 2 dynamic broker, 3 dynamic default of brokers, 4 static broker, 5 default, 6 dynamic logger, 7 client metrics, 8 group. */
        configSource: int8('1+', { default: -1 }),
        isSensitive: bool('0+'),
        synonyms: array('1+', {
          name: string('1+'),
          value: string('1+', { nullable: '0+' }),
          source: int8('1+'),
        }),
        configType: int8('3+', { default: 0 }),
        documentation: string('3+', { default: '', nullable: '0+' }),
      }),
    }),
  },
)

export type DescribeConfigsRequest = Infer<typeof DescribeConfigsRequest>
export type DescribeConfigsResponse = InferInput<typeof DescribeConfigsResponse>

export const DescribeConfigs = api('DescribeConfigs', DescribeConfigsRequest, DescribeConfigsResponse)
