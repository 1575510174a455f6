/**
 * FindCoordinator (key 10), versions 0-6, flexible from 3.
 * v1 key types (0 group, 1 transaction) · v3 flexible · v4 several keys at once (KIP-699) · v5 TRANSACTION_ABORTABLE
 * (KIP-890) · v6 key type 2, share groups (KIP-932).
 */
import { api, array, type Infer, type InferInput, int8, int16, int32, message, string } from '../schema.js'

export const FindCoordinatorRequest = message(
  { name: 'FindCoordinatorRequest', apiKey: 10, versions: '0-6', flexible: '3+' },
  {
    key: string('0-3', { default: '' }),
    /** 0 group, 1 transaction, 2 share group. */
    keyType: int8('1+', { default: 0 }),
    /** v4+. */
    coordinatorKeys: array('4+', string, { default: [] }),
  },
)

export const FindCoordinatorResponse = message(
  { name: 'FindCoordinatorResponse', apiKey: 10, versions: '0-6', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('0-3', { default: 0 }),
    errorMessage: string('1-3', { default: '', nullable: '1-3' }),
    nodeId: int32('0-3', { default: 0 }),
    host: string('0-3', { default: '' }),
    port: int32('0-3', { default: 0 }),
    coordinators: array(
      '4+',
      {
        key: string('4+'),
        nodeId: int32('4+'),
        host: string('4+'),
        port: int32('4+'),
        errorCode: int16('4+'),
        errorMessage: string('4+', { nullable: '4+' }),
      },
      { default: [] },
    ),
  },
)

export type FindCoordinatorRequest = Infer<typeof FindCoordinatorRequest>
export type FindCoordinatorResponse = InferInput<typeof FindCoordinatorResponse>

export const FindCoordinator = api('FindCoordinator', FindCoordinatorRequest, FindCoordinatorResponse)
