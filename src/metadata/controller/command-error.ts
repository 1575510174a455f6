/** One item of a command is refused: its code of Kafka's table, and the cause with what to do. Caught where the item is answered. */
export class CommandError extends Error {
  override name = 'CommandError'
  constructor(
    readonly errorCode: number,
    message: string,
  ) {
    super(message)
  }
}
