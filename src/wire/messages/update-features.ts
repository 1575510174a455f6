/**
 * UpdateFeatures (key 57), versions 0-2, all flexible (KIP-584).
 * v1 tells safe from unsafe downgrades and can validate only (KIP-778) · v2 answers with one error for all (KIP-1022).
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

export const UpdateFeaturesRequest = message(
  { name: 'UpdateFeaturesRequest', apiKey: 57, versions: '0-2', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60000 }),
    featureUpdates: array('0+', {
      feature: string('0+'),
      /** A level below 1 deletes the feature. */
      maxVersionLevel: int16('0+'),
      allowDowngrade: bool('0'),
      /** 1 upgrade, 2 safe downgrade, 3 unsafe downgrade. */
      upgradeType: int8('1+', { default: 1 }),
    }),
    validateOnly: bool('1+', { default: false }),
  },
)

export const UpdateFeaturesResponse = message(
  { name: 'UpdateFeaturesResponse', apiKey: 57, versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    results: array(
      '0-1',
      {
        feature: string('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      },
      { default: [] },
    ),
  },
)

export type UpdateFeaturesRequest = Infer<typeof UpdateFeaturesRequest>
export type UpdateFeaturesResponse = InferInput<typeof UpdateFeaturesResponse>

export const UpdateFeatures = api('UpdateFeatures', UpdateFeaturesRequest, UpdateFeaturesResponse)
