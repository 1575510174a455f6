/** UnregisterBroker (key 64), version 0, flexible (KIP-631). */
import { api, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const UnregisterBrokerRequest = message(
  { name: 'UnregisterBrokerRequest', apiKey: 64, versions: '0', flexible: '0+' },
  {
    brokerId: int32('0+'),
  },
)

export const UnregisterBrokerResponse = message(
  { name: 'UnregisterBrokerResponse', apiKey: 64, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
  },
)

export type UnregisterBrokerRequest = Infer<typeof UnregisterBrokerRequest>
export type UnregisterBrokerResponse = InferInput<typeof UnregisterBrokerResponse>

export const UnregisterBroker = api('UnregisterBroker', UnregisterBrokerRequest, UnregisterBrokerResponse)
