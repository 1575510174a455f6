import { dirname } from 'node:path'
import { usageError } from '../errors.js'
import { parseProperties } from './properties.js'

/** One key's value and where it came from, for messages. */
export interface Setting {
  readonly key: string
  readonly value: string
  /** 'server.properties line 3', 'KOGGE_NODE_ID', '--override'. */
  readonly origin: string
  /** What a relative path in the value is relative to: the file that names it, else the working directory. */
  readonly baseDirectory: string
}

export interface ConfigSources {
  readonly file?: { readonly path: string; readonly text: string }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** As given: 'key=value'. */
  readonly overrides: readonly string[]
  readonly workingDirectory: string
}

export const ENVIRONMENT_PREFIX = 'KOGGE_'

/** Aliases that Kafka keeps from its past. */
const ALIASES: Readonly<Record<string, string>> = { 'broker.id': 'node.id', 'log.dir': 'log.dirs' }

/** Joins the three sources: a flag beats the environment, which beats the file. */
export function collectSettings(sources: ConfigSources): {
  settings: Map<string, Setting>
  warnings: string[]
} {
  const warnings: string[] = []
  const settings = new Map<string, Setting>()
  for (const layer of [fromFile(sources), fromEnvironment(sources), fromOverrides(sources)]) {
    const seen = new Map<string, Setting>()
    for (const setting of layer) {
      const key = ALIASES[setting.key] ?? setting.key
      const earlier = seen.get(key)
      if (earlier !== undefined && earlier.value !== setting.value) {
        if (earlier.key !== setting.key) throw contradictoryAlias(earlier, setting)
        warnings.push(
          `${key} is given twice: ${setting.origin} (${setting.value}) wins over ${earlier.origin} (${earlier.value}).`,
        )
      }
      seen.set(key, setting)
      settings.set(key, { ...setting, key })
    }
  }
  return { settings, warnings }
}

function fromFile({ file }: ConfigSources): Setting[] {
  if (file === undefined) return []
  try {
    return parseProperties(file.text).map(({ key, value, line }) => ({
      key,
      value: value.trim(),
      origin: `${file.path} line ${line}`,
      baseDirectory: dirname(file.path),
    }))
  } catch (error) {
    if (error instanceof RangeError)
      throw usageError(`${file.path} cannot be read as properties: ${error.message}.`)
    throw error
  }
}

/** KOGGE_NODE_ID is `node.id`. */
function fromEnvironment({ environment, workingDirectory }: ConfigSources): Setting[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(ENVIRONMENT_PREFIX))
    .sort()
    .map((name) => ({
      key: name.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('_', '.'),
      value: (environment[name] ?? '').trim(),
      origin: name,
      baseDirectory: workingDirectory,
    }))
}

function fromOverrides({ overrides, workingDirectory }: ConfigSources): Setting[] {
  return overrides.map((text) => {
    const separator = text.indexOf('=')
    if (separator <= 0) throw usageError(`--override ${text}: write it as --override key=value.`)
    return {
      key: text.slice(0, separator).trim(),
      value: text.slice(separator + 1).trim(),
      origin: '--override',
      baseDirectory: workingDirectory,
    }
  })
}

function contradictoryAlias(a: Setting, b: Setting) {
  return usageError(
    `${a.key}=${a.value} (${a.origin}) contradicts ${b.key}=${b.value} (${b.origin}), which is another name for the same key: keep one of them.`,
  )
}
