import type { Command, Invocation } from '../command.js'
import { DEFAULT_NODES, DEFAULT_PORT, type DevNode, MAX_NODES, prepareNodes } from '../dev/layout.js'
import { preflight } from '../dev/preflight.js'
import { elapsedSinceCommandMs } from '../dev/started-at.js'
import { Supervisor } from '../dev/supervisor.js'
import { ExitCode, usageError } from '../errors.js'
import { note, print, table } from '../output.js'

export const command: Command = {
  name: 'dev',
  summary: 'Runs a whole cluster on this machine, each node a process of its own. Ctrl-C stops it.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: {
    nodes: {
      type: 'string',
      placeholder: 'number',
      help: `How many nodes, each broker and controller (default ${DEFAULT_NODES}).`,
    },
    controllers: {
      type: 'string',
      placeholder: 'number',
      help: 'How many dedicated controllers, beside --brokers.',
    },
    brokers: {
      type: 'string',
      placeholder: 'number',
      help: 'How many dedicated brokers, beside --controllers.',
    },
    port: {
      type: 'string',
      placeholder: 'number',
      help: `Of the first broker; the others are a hundred apart, gRPC one above each (default ${DEFAULT_PORT}).`,
    },
    'data-dir': {
      type: 'string',
      placeholder: 'directory',
      help: 'Where everything is kept (default .kogge).',
    },
    'restart-after': {
      type: 'string',
      placeholder: '5s|500ms|off',
      help: 'When a node that died is started again (default 5s).',
    },
    override: {
      type: 'string',
      multiple: true,
      placeholder: 'key=value',
      help: 'A configuration key for every node. May be repeated.',
    },
  },
  example: 'kogge dev --nodes 3 --port 9092 --data-dir .kogge',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const overrides = invocation.texts('override')
  const restartAfterMs = restartDelay(invocation.text('restart-after') ?? '5s')
  const dataDirectory = invocation.text('data-dir') ?? '.kogge'
  const nodes = prepareNodes({
    dataDirectory,
    nodes: invocation.wholeNumber('nodes', 1, MAX_NODES),
    controllers: invocation.wholeNumber('controllers', 1, MAX_NODES),
    brokers: invocation.wholeNumber('brokers', 1, MAX_NODES),
    port: invocation.wholeNumber('port', 1, 65_534),
    overrides,
    environment: process.env,
  })
  await preflight(nodes, dataDirectory)

  let stopped = false
  let ready = false
  const supervisor = new Supervisor({
    nodes,
    overrides,
    restartAfterMs,
    say: print,
    onRefused: (node, problem) => {
      note(`kogge: node ${node.config.nodeId} cannot start: ${problem}`)
      // The others serve without it; before they do, the user waits for a cluster that cannot come.
      if (!ready) void end(ExitCode.usage)
    },
  })
  const end = async (code: ExitCode) => {
    if (stopped) return
    stopped = true
    await supervisor.stop()
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stopped) print('stopping')
      void end(ExitCode.done)
    })
  }

  supervisor.startAll()
  print(addressTable(nodes, supervisor))
  const { waitUntilReady } = await import('../dev/ready.js')
  await waitUntilReady(nodes, () => stopped)
  ready = true
  if (!stopped) print(`ready in ${(elapsedSinceCommandMs() / 1000).toFixed(2)} s`)
}

function restartDelay(text: string): number | undefined {
  if (text === 'off') return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text)
  if (match === null) throw usageError(`--restart-after ${text}: write a time like 5s or 500ms, or off.`)
  return Number(match[1]) * (match[2] === 's' ? 1000 : 1)
}

function addressTable(nodes: readonly DevNode[], supervisor: Supervisor): string {
  const rows = nodes.map((node) => {
    const kafka = node.config.listeners.map((l) => `${l.advertisedHost}:${l.advertisedPort}`).join(',') || '-'
    const { advertisedHost, advertisedPort } = node.config.controlListener
    return [
      String(node.config.nodeId),
      kafka,
      `${advertisedHost}:${advertisedPort}`,
      String(supervisor.pidOf(node) ?? '-'),
      node.directory,
    ]
  })
  return table(['NODE', 'KAFKA', 'GRPC', 'PID', 'DIRECTORY'], rows)
}
