import { once } from 'node:events'

/** Aligned columns: two spaces between them, numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const numeric = header.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const widths = header.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => String(row[i] ?? '').length)),
  )
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, i) => (numeric[i] ? String(cell).padStart(widths[i]!) : String(cell).padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)].join('\n')
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** One JSON document. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2))
}

/** One line of a stream of JSON events. */
export function printJsonLine(value: unknown): void {
  print(JSON.stringify(value))
}

/** Writes and waits while the reader of standard output is slower than we are. */
export async function writeAll(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
}

/** On standard error, so that it never mixes with a command's output. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
