import type { ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'
import { MAX_COMMAND_BYTES } from './command-queue.js'

const CODES = {
  notController: ErrorCode.NOT_CONTROLLER,
  timedOut: ErrorCode.REQUEST_TIMED_OUT,
  /**
   * Nothing was done. Kafka's controller answers a full queue in the same way, and every client tries this again;
   * THROTTLING_QUOTA_EXCEEDED is unknown to some.
   */
  busy: ErrorCode.REQUEST_TIMED_OUT,
} as const

/** All may be tried again; after `notController` the outcome of a command that was sent is unknown. */
export function failed(kind: keyof typeof CODES, errorMessage: string): ControllerReply {
  return { type: 'failed', errorCode: CODES[kind], errorMessage }
}

/** It would be again. */
export function tooLarge({ type }: ControllerCommand, bytes: number): ControllerReply {
  const errorMessage = `${type}: the request takes about ${bytes} bytes, more than the ${MAX_COMMAND_BYTES} that the controller takes at once: split it into several requests`
  return { type: 'failed', errorCode: ErrorCode.INVALID_REQUEST, errorMessage }
}
