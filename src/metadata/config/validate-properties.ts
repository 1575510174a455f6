import { BROKER_CONFIGS } from './broker-definitions.js'
import { nearestName, validateConfig } from './definitions.js'
import { IGNORED_BROKER_KEYS } from './ignored-keys.js'
import { TOPIC_CONFIGS } from './topic-definitions.js'

export interface PropertiesVerdict {
  /** Start-up must stop: each names the key, the value and what is allowed. */
  errors: string[]
  /** Accepted without effect. */
  warnings: string[]
}

/**
 * Judges a static broker configuration key by key: known keys by their types and limits, Kafka's keys without effect
 * here with a warning, all others with an error that names the nearest known key. Then the relations of the timers.
 * extraKeys: what the caller handles itself.
 */
export function validateProperties(
  properties: ReadonlyMap<string, string>,
  extraKeys: ReadonlySet<string> = new Set(),
): PropertiesVerdict {
  const verdict: PropertiesVerdict = { errors: [], warnings: [] }
  for (const [key, value] of properties) {
    const definition = BROKER_CONFIGS.get(key)
    if (definition !== undefined) {
      const violation = validateConfig(definition, value)
      if (violation !== undefined) verdict.errors.push(violation)
    } else if (IGNORED_BROKER_KEYS.has(key)) {
      verdict.warnings.push(`${key} has no effect here and is ignored`)
    } else if (!extraKeys.has(key)) {
      verdict.errors.push(unknownKey(key))
    }
  }
  if (verdict.errors.length === 0) verdict.errors.push(...brokenRelations(properties))
  return verdict
}

function unknownKey(key: string): string {
  const topic = TOPIC_CONFIGS.get(key)
  const fallback = topic?.fallbacks[0]
  if (fallback !== undefined) {
    return `${key} is a topic configuration; its default for all topics is ${fallback.key}`
  }
  const nearest = nearestName(key, [...BROKER_CONFIGS.keys(), ...IGNORED_BROKER_KEYS])
  return nearest === undefined
    ? `${key} is not a known configuration`
    : `${key} is not a known configuration; did you mean ${nearest}?`
}

/** Time-outs that must leave room for more than one lost heartbeat. */
function brokenRelations(properties: ReadonlyMap<string, string>): string[] {
  const timerMs = (key: string): number =>
    Number(properties.get(key) ?? BROKER_CONFIGS.get(key)!.defaultValue)
  const relations: [long: string, factor: number, short: string][] = [
    ['broker.session.timeout.ms', 4, 'broker.heartbeat.interval.ms'],
    ['controller.quorum.election.timeout.ms', 5, 'controller.quorum.heartbeat.interval.ms'],
  ]
  return relations
    .filter(([long, factor, short]) => timerMs(long) < factor * timerMs(short))
    .map(
      ([long, factor, short]) =>
        `${long}=${timerMs(long)} must be at least ${factor} times ${short}=${timerMs(short)}, or one late heartbeat counts as a death`,
    )
}
