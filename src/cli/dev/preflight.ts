import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { usageError } from '../errors.js'
import { boundListeners, portProblem } from '../ports.js'
import type { DevNode } from './layout.js'

/** Everything that would stop a node from starting, found before the first one starts. @throws CliError */
export async function preflight(nodes: readonly DevNode[], dataDirectory: string): Promise<void> {
  for (const node of nodes) {
    const pid = livePid(node)
    if (pid === undefined) continue
    throw usageError(
      `${dataDirectory} is in use: its node ${node.config.nodeId} runs as process ${pid}. Stop that cluster, or give another directory with --data-dir.`,
    )
  }
  await Promise.all(
    nodes.flatMap(({ config }) =>
      boundListeners(config).map(async (listener) => {
        const problem = await portProblem(listener, config.nodeId)
        if (problem === undefined) return
        throw usageError(
          `${problem}: stop what listens there, or choose other ports with --port and another directory with --data-dir.`,
        )
      }),
    ),
  )
}

/** The broker that the pid file names, where it still runs. A number that now belongs to another program is nobody. */
export function livePid(node: DevNode): number | undefined {
  let pid: number
  try {
    pid = Number(readFileSync(node.pidFile, 'utf8').trim())
  } catch {
    return undefined // no pid file: nobody started it
  }
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  return commandLine(pid)?.includes(node.configFile) ? pid : undefined
}

function commandLine(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    // No /proc on this system, or no such process.
  }
  if (process.platform === 'linux') return undefined
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return undefined
  }
}
