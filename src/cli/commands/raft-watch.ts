import { setTimeout as sleep } from 'node:timers/promises'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { ExitCode, unreachable } from '../errors.js'
import {
  INSPECT_OPTION,
  InspectClient,
  type InspectStatus,
  inspectAddresses,
  type WatchEvent,
} from '../inspect-client.js'
import { note, print, printJsonLine } from '../output.js'

export const command: Command = {
  name: 'raft watch',
  summary:
    'Follows one node: role, term, leader, elections, commits and snapshots as they happen. Moves to another when it dies.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: {
    commits: { type: 'boolean', help: 'Also each advance of the commit index.' },
    ...INSPECT_OPTION,
    ...CLIENT_OPTIONS,
  },
  example: 'kogge raft watch --commits',
  run,
}

const NEXT_NODE_MS = 100

type QuorumEvent = Extract<WatchEvent, { type: 'event' }>['event']

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const withCommits = invocation.flag('commits')
  const patienceMs = invocation.timeoutMs()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(ExitCode.done))
  const addresses = await inspectAddresses(invocation)
  let lastHeardAt = performance.now()
  for (let turn = 0; ; turn++) {
    const address = addresses[turn % addresses.length]!
    let heard = false
    const reason = await watchOne(address, (node, item) => {
      heard = true
      lastHeardAt = performance.now()
      if (item.type === 'event' && item.event.type === 'commit' && !withCommits) return
      if (json) printJsonLine({ node, address, ...item })
      else print(describe(node, item))
    })
    if (heard) note(`kogge: lost ${address} (${reason}); moving to another node`)
    if (performance.now() - lastHeardAt > patienceMs) {
      throw unreachable(`No node answered over gRPC for ${patienceMs / 1000} s (${addresses.join(', ')}).`)
    }
    await sleep(NEXT_NODE_MS)
  }
}

/** Until the stream ends; then why. */
async function watchOne(address: string, onItem: (node: number, item: WatchEvent) => void): Promise<string> {
  const client = new InspectClient(address)
  let node = -1
  try {
    for await (const item of client.watch() as AsyncIterable<WatchEvent>) {
      if (item.type === 'status') node = item.status.quorum.nodeId
      onItem(node, item)
    }
    return 'the node ended the stream'
  } catch (error) {
    const details = (error as { details?: string }).details ?? String(error)
    return details.split('. ')[0]!
  } finally {
    client.close()
  }
}

function describe(node: number, item: WatchEvent): string {
  switch (item.type) {
    case 'status':
      return line(node, Date.now(), statusText(item.status))
    case 'missed':
      return line(node, Date.now(), `… ${item.count} events missed: this watcher was too slow`)
    case 'event':
      return line(node, item.event.wallMs, eventText(item.event))
  }
}

function line(node: number, wallMs: number, text: string): string {
  return `${new Date(wallMs).toISOString().slice(11, 23)}  node ${node}  ${text}`
}

function statusText({ quorum }: InspectStatus): string {
  return `${quorum.role} in term ${quorum.term}, leader ${quorum.leader ?? 'none'}, committed to ${quorum.commitIndex}`
}

function eventText(event: QuorumEvent): string {
  switch (event.type) {
    case 'role':
      return `${event.role} in term ${event.term}, leader ${event.leader ?? 'none'} (${event.cause})`
    case 'election':
      return `elected in term ${event.term} after ${event.durationMs.toFixed(0)} ms (${event.cause})`
    case 'controllerActive':
      return `controller active from index ${event.index} on (term ${event.term})`
    case 'commit':
      return `committed to ${event.index}`
    case 'snapshotTaken':
      return `snapshot at ${event.index}, ${event.bytes} bytes`
    case 'snapshotInstalled':
      return `snapshot at ${event.index} received, ${event.bytes} bytes`
    case 'founded':
      return `cluster ${event.clusterId} founded`
    case 'configuration':
      return `voters ${event.voters.map((voter) => voter.nodeId).join(', ')} from index ${event.index} on`
    case 'peerLost':
      return `lost the connection to node ${event.peer}${event.dead ? ', whose process is dead' : ''}`
    case 'quarantined':
      return `Raft log set aside: ${event.reason}`
    case 'transfer':
      return event.done
        ? `leadership handed to ${event.to ?? 'nobody'}`
        : `handing leadership to ${event.to ?? 'whoever holds most'}`
  }
}
