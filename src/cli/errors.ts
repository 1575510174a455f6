/** What scripts may rely on. */
export const ExitCode = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** Ends the command: `message` goes to standard error as it stands, without a stack trace. */
export class CliError extends Error {
  override name = 'CliError'
  constructor(
    readonly exitCode: ExitCode,
    message: string,
  ) {
    super(message)
  }
}

export function usageError(message: string): CliError {
  return new CliError(ExitCode.usage, message)
}

export function failure(message: string): CliError {
  return new CliError(ExitCode.failed, message)
}

export function unreachable(message: string): CliError {
  return new CliError(ExitCode.unreachable, message)
}
