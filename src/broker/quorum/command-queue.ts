import type { CommandContext, ControllerCommand } from '../../metadata/commands.js'

export interface QueueLimits {
  readonly commands: number
  readonly bytes: number
}

/**
 * Of one command, as `commandBytes` counts, wherever the controller is: a command to another node travels as one
 * message, and the transport drops what is larger than 16 MiB. Encoded, a command has at most three times as many bytes
 * (a character of a string up to three, a number or a frame up to twelve); the rest is for the context of whoever asks.
 */
export const MAX_COMMAND_BYTES = 5 * 1024 * 1024

/** What clients may fill. The rest is kept for the brokers' own commands: heartbeats and ISR changes must get through. */
const CLIENTS_SHARE = 0.75
/** Of a number, a flag, a key or an object's frame. */
const FIELD_BYTES = 8

/** Counts the commands of this node that wait for an answer, wherever they are. */
export class CommandQueue {
  private commands = 0
  private bytes = 0

  constructor(private readonly limits: QueueLimits) {}

  /** False: it is full for such a command. */
  add(bytes: number, isBrokers: boolean): boolean {
    const share = isBrokers ? 1 : CLIENTS_SHARE
    if (this.commands + 1 > this.limits.commands * share) return false
    // One that is larger than the limit gets through where nothing else waits.
    if (this.bytes > 0 && this.bytes + bytes > this.limits.bytes * share) return false
    this.commands++
    this.bytes += bytes
    return true
  }

  remove(bytes: number): void {
    this.commands--
    this.bytes -= bytes
  }

  toString(): string {
    return `${this.commands} commands of ${this.bytes} bytes`
  }
}

/** A broker's own, not a client's. */
export function isBrokersOwn(context: CommandContext): boolean {
  return context.principal.startsWith('Broker:')
}

/** About what it takes in memory; exact enough for a limit. */
export function commandBytes(command: ControllerCommand): number {
  return sizeOf(command)
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return FIELD_BYTES + value.length
  if (typeof value !== 'object' || value === null) return FIELD_BYTES
  let bytes = FIELD_BYTES
  if (Array.isArray(value)) for (const item of value) bytes += sizeOf(item)
  // No list of the fields is made: a command may hold thousands of small objects.
  else for (const name in value) bytes += sizeOf((value as Record<string, unknown>)[name])
  return bytes
}
