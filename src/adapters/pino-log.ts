import { type LoggerOptions, type Logger as PinoInstance, pino } from 'pino'
import type { LogFields, Logger } from '../ports/logger.js'

/** Structured lines on standard output by pino. Errors under `error` keep their stack. */
export class PinoLog implements Logger {
  constructor(private readonly instance: PinoInstance) {}

  /** level: pino's names, 'debug' to 'error', or 'silent'. */
  static create(level: string, fields: LogFields = {}): PinoLog {
    const options: LoggerOptions = {
      level,
      base: fields,
      serializers: { error: pino.stdSerializers.err, err: pino.stdSerializers.err },
    }
    return new PinoLog(pino(options))
  }

  debug(fields: LogFields, message: string): void {
    this.instance.debug(fields, message)
  }

  info(fields: LogFields, message: string): void {
    this.instance.info(fields, message)
  }

  warn(fields: LogFields, message: string): void {
    this.instance.warn(fields, message)
  }

  error(fields: LogFields, message: string): void {
    this.instance.error(fields, message)
  }

  child(fields: LogFields): Logger {
    return new PinoLog(this.instance.child({ ...fields }))
  }
}
