/**
 * Heartbeat (key 12), versions 0-4, flexible from 4.
 * v1 throttle time · v3 static members (KIP-345) · v4 flexible.
 */
import { api, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const HeartbeatRequest = message(
  { name: 'HeartbeatRequest', apiKey: 12, versions: '0-4', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { default: null, nullable: '3+' }),
  },
)

export const HeartbeatResponse = message(
  { name: 'HeartbeatResponse', apiKey: 12, versions: '0-4', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('0+'),
  },
)

export type HeartbeatRequest = Infer<typeof HeartbeatRequest>
export type HeartbeatResponse = InferInput<typeof HeartbeatResponse>

export const Heartbeat = api('Heartbeat', HeartbeatRequest, HeartbeatResponse)
