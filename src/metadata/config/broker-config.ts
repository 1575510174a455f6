import type { ConfigDefinition, ConfigLimits, ConfigType } from './definitions.js'

type Default = string | number | bigint | boolean | null

/** One broker configuration. `dynamic`: see ConfigDefinition. */
export function brokerConfig(
  name: string,
  type: ConfigType,
  defaultValue: Default,
  limits: ConfigLimits,
  documentation: string,
  dynamic: ConfigDefinition['dynamic'] = false,
): ConfigDefinition {
  return {
    name,
    type,
    defaultValue: defaultValue === null ? null : String(defaultValue),
    documentation,
    ...limits,
    dynamic,
    sensitive: type === 'password',
  }
}
