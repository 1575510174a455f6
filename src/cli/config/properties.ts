/** One `key=value` of a properties file. `line` counts from 1. */
export interface Property {
  readonly key: string
  readonly value: string
  readonly line: number
}

/**
 * Java's properties syntax, as Kafka's server.properties uses it: '#' and '!' open a comment, '=', ':' or white space
 * ends the key, a backslash at the end of a line joins it with the next, \t \n \r \f and \uXXXX are escapes.
 * @throws RangeError where a \u is not followed by four hexadecimal digits
 */
export function parseProperties(text: string): Property[] {
  const properties: Property[] = []
  for (const { content, line } of logicalLines(text)) {
    const separator = keyEnd(content)
    const rest = content.slice(separator).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
    properties.push({ key: unescaped(content.slice(0, separator), line), value: unescaped(rest, line), line })
  }
  return properties
}

function logicalLines(text: string): { content: string; line: number }[] {
  const lines: { content: string; line: number }[] = []
  let open: { content: string; line: number } | undefined
  text.split(/\r\n|\n|\r/).forEach((raw, index) => {
    const trimmed = raw.replace(/^[ \t\f]+/, '')
    if (open === undefined && (trimmed === '' || trimmed[0] === '#' || trimmed[0] === '!')) return
    const continues = endsWithOddBackslashes(trimmed)
    const content = continues ? trimmed.slice(0, -1) : trimmed
    const current = open ?? { content: '', line: index + 1 }
    current.content += content
    open = continues ? current : undefined
    if (!continues) lines.push(current)
  })
  if (open !== undefined) lines.push(open)
  return lines
}

function endsWithOddBackslashes(text: string): boolean {
  const trailing = /\\*$/.exec(text)![0]
  return trailing.length % 2 === 1
}

function keyEnd(content: string): number {
  for (let i = 0; i < content.length; i++) {
    if (content[i] === '\\') i++
    else if (/[=: \t\f]/.test(content[i]!)) return i
  }
  return content.length
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescaped(text: string, line: number): string {
  return text.replace(/\\(u(.{0,4})|.)/gs, (_all, escaped: string, digits: string | undefined) => {
    if (digits === undefined) return ESCAPES[escaped] ?? escaped
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      throw new RangeError(`line ${line}: \\u must be followed by four hexadecimal digits`)
    }
    return String.fromCharCode(Number.parseInt(digits, 16))
  })
}
