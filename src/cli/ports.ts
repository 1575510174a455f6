import { createServer } from 'node:net'
import type { ListenerConfig, NodeConfig } from '../broker/node-config.js'

/** Every address that a node binds. */
export function boundListeners({
  listeners,
  controlListener,
  inspectListener,
}: NodeConfig): ListenerConfig[] {
  return [...new Set([...listeners, controlListener, inspectListener])]
}

/** Why this listener's port cannot be had, as the first half of a sentence; undefined where it can. */
export async function portProblem(
  { host, port, name }: ListenerConfig,
  node?: number,
): Promise<string | undefined> {
  const code = await bindError(host, port)
  if (code === undefined) return undefined
  const whose = node === undefined ? `listener ${name}` : `listener ${name} of node ${node}`
  return `Port ${port} on ${host} (${whose}) ${code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${code})`}`
}

function bindError(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
