import { KafkaClient } from '../adapters/kafka-client/index.js'
import type { Address } from '../ports/network.js'
import type { Invocation } from './command.js'
import { usageError } from './errors.js'

/** The three nodes of `kogge dev`, so that the death of one does not end the command. */
const DEFAULT_BOOTSTRAP = '127.0.0.1:9092,127.0.0.1:9192,127.0.0.1:9292'

/** A client for the command's cluster, closed when `use` is done or has failed. */
export async function withClient<T>(
  invocation: Invocation,
  use: (client: KafkaClient) => Promise<T>,
): Promise<T> {
  const bootstrap = parseAddresses(
    'bootstrap-server',
    invocation.text('bootstrap-server') ?? DEFAULT_BOOTSTRAP,
  )
  const client = new KafkaClient({ bootstrap, clientId: 'kogge-cli', timeoutMs: invocation.timeoutMs() })
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** `host:port,…`; IPv6 hosts in brackets. */
export function parseAddresses(option: string, text: string): Address[] {
  return text.split(',').map((part) => {
    const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]\s]+)):(\d+)$/.exec(part.trim())
    const port = Number(match?.[3])
    if (match === null || port < 1 || port > 65_535) {
      throw usageError(`--${option} ${text}: '${part}' is not host:port, as in 127.0.0.1:9092.`)
    }
    return { host: (match[1] ?? match[2])!, port }
  })
}
