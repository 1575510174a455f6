import type { UpdateFeatures as UpdateFeaturesCommand } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  UpdateFeatures,
  type UpdateFeaturesRequest,
  type UpdateFeaturesResponse,
} from '../../wire/messages/update-features.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'

type Asked = UpdateFeaturesRequest['featureUpdates'][number]
type Update = UpdateFeaturesCommand['updates'][number]

const UPGRADE_TYPES: Record<number, Update['upgradeType']> = {
  1: 'upgrade',
  2: 'safeDowngrade',
  3: 'unsafeDowngrade',
}

/** UpdateFeatures (KIP-584, KIP-778, KIP-1022), versions 0 to 2: all of the updates or none. Forwarded. */
export function updateFeaturesHandler(
  services: BrokerServices,
): ApiHandler<UpdateFeaturesRequest, UpdateFeaturesResponse> {
  return {
    api: UpdateFeatures,
    handle(request, context, responder) {
      const { apiVersion } = context
      const answer = (errorCode: number, message: string): void =>
        responder.send(answerOf(request.featureUpdates, apiVersion, errorCode, message))
      const updates: Update[] = []
      for (const asked of request.featureUpdates) {
        const upgradeType = upgradeTypeOf(asked, apiVersion)
        if (upgradeType === undefined) {
          const message = `${asked.feature}: upgrade type ${asked.upgradeType} is unknown`
          return answer(ErrorCode.INVALID_UPDATE_VERSION, message)
        }
        updates.push({ name: asked.feature, level: asked.maxVersionLevel, upgradeType })
      }
      const { validateOnly, timeoutMs } = request
      const command = { type: 'updateFeatures' as const, validateOnly, updates }
      forward(services, command, context, timeoutMs, ({ errorCode, errorMessage }) => {
        const isKnown = errorCode !== ErrorCode.NONE || validateOnly
        whenKnown(
          services,
          ({ features }) =>
            isKnown || updates.every(({ name, level }) => (features.get(name) ?? 0) === level),
          () => answer(errorCode, errorMessage),
        )
      })
    },
  }
}

/** Version 0 knew only whether a downgrade is allowed. */
function upgradeTypeOf(asked: Asked, apiVersion: number): Update['upgradeType'] | undefined {
  if (apiVersion === 0) return asked.allowDowngrade ? 'safeDowngrade' : 'upgrade'
  return UPGRADE_TYPES[asked.upgradeType]
}

function answerOf(
  asked: readonly Asked[],
  apiVersion: number,
  errorCode: number,
  message: string,
): UpdateFeaturesResponse {
  const errorMessage =
    errorCode === ErrorCode.NONE
      ? null
      : `The update failed for all features since the following feature had an error: ${message}`
  const results =
    apiVersion > 1
      ? []
      : asked.map(({ feature }) => ({ feature, errorCode, errorMessage: messageOrNull(message) }))
  return { errorCode, errorMessage, results }
}
