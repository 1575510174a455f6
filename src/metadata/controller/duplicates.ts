import { ErrorCode } from '../../wire/errors.js'
import { CommandError } from './command-error.js'

/** What a request names twice is not executed at all, as in Kafka: nobody knows which of both was meant. */
export function repeated<T>(items: readonly T[], keyOf: (item: T) => string): (item: T) => boolean {
  const counts = new Map<string, number>()
  for (const item of items) {
    const key = keyOf(item)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return (item) => (counts.get(keyOf(item)) ?? 0) > 1
}

export function namedTwice(what: string): CommandError {
  const message = `${what} is named more than once in this request, and nothing was done for it: name it once`
  return new CommandError(ErrorCode.INVALID_REQUEST, message)
}
