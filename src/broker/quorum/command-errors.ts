import type { ControllerReply } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'

const CODES = {
  notController: ErrorCode.NOT_CONTROLLER,
  timedOut: ErrorCode.REQUEST_TIMED_OUT,
} as const

/** Both may be tried again; after `notController` the outcome of a command that was sent is unknown. */
export function failed(kind: keyof typeof CODES, errorMessage: string): ControllerReply {
  return { type: 'failed', errorCode: CODES[kind], errorMessage }
}
