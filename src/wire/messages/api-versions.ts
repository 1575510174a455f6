/**
 * ApiVersions (key 18), versions 0-4, flexible from 3.
 * The response always has response header v0, since its reader does not know yet what the broker speaks.
 * v1 throttle time · v3 flexible, the client's software, features (KIP-511, KIP-584) · v4 features may have a
 * minimum of 0 (KAFKA-17011).
 */
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int16,
  int32,
  int64,
  message,
  string,
} from '../schema.js'

export const ApiVersionsRequest = message(
  { name: 'ApiVersionsRequest', apiKey: 18, versions: '0-4', flexible: '3+' },
  {
    clientSoftwareName: string('3+', { default: '' }),
    clientSoftwareVersion: string('3+', { default: '' }),
  },
)

export const ApiVersionsResponse = message(
  { name: 'ApiVersionsResponse', apiKey: 18, versions: '0-4', flexible: '3+' },
  {
    errorCode: int16('0+'),
    apiKeys: array('0+', {
      apiKey: int16('0+'),
      minVersion: int16('0+'),
      maxVersion: int16('0+'),
    }),
    throttleTimeMs: int32('1+', { default: 0 }),
    supportedFeatures: array(
      '3+',
      {
        name: string('3+'),
        minVersion: int16('3+'),
        maxVersion: int16('3+'),
      },
      { tag: 0 },
    ),
    /** -1: unknown. */
    finalizedFeaturesEpoch: int64('3+', { default: -1, tag: 1 }),
    finalizedFeatures: array(
      '3+',
      {
        name: string('3+'),
        maxVersionLevel: int16('3+'),
        minVersionLevel: int16('3+'),
      },
      { tag: 2 },
    ),
    zkMigrationReady: bool('3+', { default: false, tag: 3 }),
  },
)

export type ApiVersionsRequest = Infer<typeof ApiVersionsRequest>
export type ApiVersionsResponse = InferInput<typeof ApiVersionsResponse>

export const ApiVersions = api('ApiVersions', ApiVersionsRequest, ApiVersionsResponse)
