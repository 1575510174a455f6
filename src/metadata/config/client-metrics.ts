import { type ConfigDefinition, parseList } from './definitions.js'

/** What a client may be matched by (KIP-714). */
const MATCH_KEYS = [
  'client_id',
  'client_instance_id',
  'client_software_name',
  'client_software_version',
  'client_source_address',
  'client_source_port',
]

/**
 * A subscription of client metrics (KIP-714). Kept and described, so that Kafka's tools can manage them; no client asks
 * for them, since GetTelemetrySubscriptions is not served.
 */
export const CLIENT_METRICS_CONFIGS: ReadonlyMap<string, ConfigDefinition> = new Map(
  [
    {
      name: 'interval.ms',
      type: 'int' as const,
      defaultValue: '300000',
      min: 100,
      max: 3_600_000,
      documentation: 'Milliseconds between two pushes of a client.',
    },
    {
      name: 'match',
      type: 'list' as const,
      defaultValue: '',
      isAllowed: (value: string) => parseList(value).every(isMatch),
      allowed: `a comma-separated list of KEY=PATTERN, where KEY is one of ${MATCH_KEYS.join(', ')} and PATTERN a regular expression`,
      documentation: 'The clients that the subscription is for; without a pattern all of them.',
    },
    {
      name: 'metrics',
      type: 'list' as const,
      defaultValue: '',
      documentation: 'Prefixes of the metrics that clients push; * is all, none is none.',
    },
  ].map((definition): [string, ConfigDefinition] => [
    definition.name,
    { ...definition, dynamic: 'cluster', sensitive: false },
  ]),
)

function isMatch(element: string): boolean {
  const separator = element.indexOf('=')
  if (separator === -1 || !MATCH_KEYS.includes(element.slice(0, separator).trim())) return false
  try {
    new RegExp(element.slice(separator + 1).trim())
    return true
  } catch {
    return false
  }
}
