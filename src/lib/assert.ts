/** Thrown where the program contradicts itself; it stops the broker. Never for what a user or a peer sent. */
export class AssertionError extends Error {
  override name = 'AssertionError'
}

/** Always on, in production too. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The default branch of an exhaustive switch over a discriminated union. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`)
}
