/** Structured lines. Logging never changes behaviour: nothing reads back. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A logger that adds these fields to each line: { component: 'raft' }. */
  child(fields: LogFields): Logger
}

export type LogFields = Readonly<Record<string, unknown>>
