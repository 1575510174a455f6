import { defaultMessage, errorName, isRetriable } from '../../wire/errors.js'

/** What a broker answered: Kafka's code and the broker's own message where it gave one. */
export class KafkaError extends Error {
  override name = 'KafkaError'
  readonly codeName: string

  constructor(
    readonly code: number,
    message?: string | null,
  ) {
    super(`${message || defaultMessage(code)} (${errorName(code)})`)
    this.codeName = errorName(code)
  }

  get retriable(): boolean {
    return isRetriable(this.code)
  }
}

/** The connection failed, broke or stayed silent: nobody knows whether the request was carried out. */
export class KafkaConnectionError extends Error {
  override name = 'KafkaConnectionError'
}

/** No broker could be reached, at the start or for as long as the time-out allowed. */
export class KafkaUnreachableError extends Error {
  override name = 'KafkaUnreachableError'
}

/** @throws KafkaError where the code is not 0 */
export function throwIfError(code: number, message?: string | null): void {
  if (code !== 0) throw new KafkaError(code, message)
}

export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof KafkaConnectionError || error instanceof KafkaUnreachableError) return true
  return error instanceof KafkaError && error.retriable
}
