import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { usageError } from '../errors.js'
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
  const listeners = nodes.flatMap(({ config }) => {
    const all = [...config.listeners, config.controlListener, config.inspectListener]
    return [...new Set(all)].map((listener) => ({ node: config.nodeId, ...listener }))
  })
  await Promise.all(
    listeners.map(async ({ node, name, host, port }) => {
      const code = await bindError(host, port)
      if (code === undefined) return
      const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${code})`
      throw usageError(
        `Port ${port} on ${host} (listener ${name} of node ${node}) ${why}: stop what listens there, or choose other ports with --port and another directory with --data-dir.`,
      )
    }),
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

function bindError(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
