import type { ControllerReply } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'

const CODES = {
  notController: ErrorCode.NOT_CONTROLLER,
  timedOut: ErrorCode.REQUEST_TIMED_OUT,
  /** Nothing was done, and clients wait before they try again; the code of KIP-599 for a controller that is asked too much. */
  busy: ErrorCode.THROTTLING_QUOTA_EXCEEDED,
} as const

/** All may be tried again; after `notController` the outcome of a command that was sent is unknown. */
export function failed(kind: keyof typeof CODES, errorMessage: string): ControllerReply {
  return { type: 'failed', errorCode: CODES[kind], errorMessage }
}
