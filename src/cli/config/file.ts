import { readFileSync } from 'node:fs'
import { usageError } from '../errors.js'
import { type LoadedConfig, loadNodeConfig } from './load.js'

/** Reads server.properties where there is one, then the environment and the flags over it. @throws CliError */
export function loadConfigFile(path: string | undefined, overrides: readonly string[]): LoadedConfig {
  return loadNodeConfig({
    ...(path === undefined ? {} : { file: { path, text: readConfigFile(path) } }),
    environment: process.env,
    overrides,
    workingDirectory: process.cwd(),
  })
}

function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a directory' : `cannot be read (${code})`
    throw usageError(
      `The configuration file ${path} ${why}: name a readable server.properties with --config.`,
    )
  }
}
