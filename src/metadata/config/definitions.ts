/** What a configuration key is: the one description from which parsing, validation, defaults and DescribeConfigs derive. */
export type ConfigType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list' | 'password'

export interface ConfigDefinition {
  readonly name: string
  readonly type: ConfigType
  /** In textual form, as Kafka describes it; null: no value. */
  readonly defaultValue: string | null
  readonly documentation: string
  /** Inclusive bounds of a number. */
  readonly min?: bigint | number
  readonly max?: bigint | number
  /** The values that are allowed; of a list: its elements. */
  readonly oneOf?: readonly string[]
  /** Of a list: what each element looks like. */
  readonly elements?: { readonly pattern: RegExp; readonly what: string }
  /** A rule of its own, and what it allows, as the end of a sentence. */
  readonly isAllowed?: (value: string) => boolean
  readonly allowed?: string
  /** Broker keys: may be changed at run time. 'cluster': for all brokers together, never for a single one (KIP-966). */
  readonly dynamic: false | 'broker' | 'cluster'
  /** Never shown. */
  readonly sensitive: boolean
}

export interface TopicConfigDefinition extends ConfigDefinition {
  /** Broker keys that give the default, the first that is set wins; `scale` turns their unit into this key's. */
  readonly fallbacks: readonly { readonly key: string; readonly scale: number }[]
}

export type ConfigLimits = Pick<ConfigDefinition, 'min' | 'max' | 'oneOf' | 'elements'>

/** As long as a string of Kafka's own metadata records. */
const MAX_VALUE_CHARS = 32_767
const MAX_SHOWN_CHARS = 1_000

export const INT_MAX = 2_147_483_647
export const LONG_MAX = 9_223_372_036_854_775_807n
export const SECOND_MS = 1_000
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000

const TYPE_BOUNDS: Partial<Record<ConfigType, readonly [bigint, bigint]>> = {
  short: [-32_768n, 32_767n],
  int: [-2_147_483_648n, 2_147_483_647n],
  long: [-9_223_372_036_854_775_808n, LONG_MAX],
}

/**
 * Undefined where `value` is allowed; else a sentence that names the key, the value and what is allowed. Sensitive
 * values are not repeated.
 */
export function validateConfig(definition: ConfigDefinition, value: string): string | undefined {
  const allowed = violation(definition, value.trim())
  if (allowed === undefined) return undefined
  const shown =
    definition.sensitive || value.length > MAX_SHOWN_CHARS ? 'the value given' : JSON.stringify(value)
  return `${definition.name}: ${shown} is not allowed; it must be ${allowed}`
}

function violation(definition: ConfigDefinition, value: string): string | undefined {
  if (value.length > MAX_VALUE_CHARS) return `no longer than ${MAX_VALUE_CHARS} characters`
  if (definition.isAllowed?.(value) === false) return definition.allowed ?? 'another value'
  switch (definition.type) {
    case 'boolean': {
      const allowed = definition.oneOf ?? ['true', 'false']
      return allowed.includes(value.toLowerCase()) ? undefined : allowed.join(' or ')
    }
    case 'int':
    case 'short':
    case 'long':
      return integerViolation(definition, value)
    case 'double':
      return doubleViolation(definition, value)
    case 'list': {
      const { oneOf: allowed, elements } = definition
      const values = parseList(value)
      if (elements !== undefined && !values.every((element) => elements.pattern.test(element)))
        return `a comma-separated list of ${elements.what}`
      if (allowed === undefined || values.every((element) => allowed.includes(element))) return undefined
      return `a comma-separated list of ${allowed.join(', ')}`
    }
    case 'string':
    case 'password':
      if (definition.oneOf === undefined || definition.oneOf.includes(value)) return undefined
      return `one of ${definition.oneOf.join(', ')}`
  }
}

function integerViolation({ type, min, max }: ConfigDefinition, value: string): string | undefined {
  const [typeMin, typeMax] = TYPE_BOUNDS[type]!
  const low = min === undefined ? typeMin : BigInt(min)
  const high = max === undefined ? typeMax : BigInt(max)
  if (/^[+-]?\d{1,19}$/.test(value)) {
    const parsed = BigInt(value.replace('+', ''))
    if (parsed >= low && parsed <= high) return undefined
  }
  return `a whole number from ${low} to ${high}`
}

function doubleViolation({ min, max }: ConfigDefinition, value: string): string | undefined {
  const low = Number(min ?? -Number.MAX_VALUE)
  const high = Number(max ?? Number.MAX_VALUE)
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) {
    const parsed = Number(value)
    if (parsed >= low && parsed <= high) return undefined
  }
  return `a number from ${low} to ${high}`
}

/** Empty elements are dropped, so '' is the empty list. */
export function parseList(value: string): string[] {
  return value
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '')
}

/** The candidate that takes the fewest edits (Levenshtein), if it is near enough to be what was meant. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined
  let fewest = Math.max(2, Math.floor(name.length / 4)) + 1
  for (const candidate of candidates) {
    const edits = editDistance(name, candidate, fewest)
    if (edits >= fewest) continue
    fewest = edits
    nearest = candidate
  }
  return nearest
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substituted, previous[j]! + 1, row[j - 1]! + 1))
    }
    previous = row
  }
  return previous[b.length]!
}
