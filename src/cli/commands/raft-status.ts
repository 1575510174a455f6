import type { JitterStatus } from '../../broker/quorum/handle.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { unreachable } from '../errors.js'
import { INSPECT_OPTION, InspectClient, type InspectStatus, inspectAddresses } from '../inspect-client.js'
import { print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'raft status',
  summary: "Shows each node's place in the Raft quorum, as the node itself sees it.",
  synopsis: '[options]',
  positionals: [0, 0],
  options: { ...INSPECT_OPTION, ...CLIENT_OPTIONS },
  example: 'kogge raft status --inspect 127.0.0.1:9093,127.0.0.1:9193,127.0.0.1:9293',
  run,
}

interface Answer {
  readonly address: string
  readonly status: InspectStatus | undefined
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const addresses = await inspectAddresses(invocation)
  const answers = await Promise.all(addresses.map(ask))
  if (answers.every(({ status }) => status === undefined)) {
    throw unreachable(`No node answers over gRPC at ${addresses.join(', ')}. Is the cluster running?`)
  }
  if (json)
    printJson(answers.map(({ address, status }) => ({ address, reachable: status !== undefined, ...status })))
  else
    print(
      table(
        ['NODE', 'ADDRESS', 'ROLE', 'TERM', 'LEADER', 'COMMITTED', 'LAST', 'SNAPSHOT', 'QUORUM', 'BROKER'],
        answers.map(row),
      ),
    )
  if (!json) for (const line of answers.flatMap(notes)) print(line)
}

/** Whether Raft's own work waits for anything, and what a controller without a vote waits for. */
function notes({ status }: Answer): string[] {
  if (status === undefined) return []
  const { nodeId, heartbeatJitter, formerHeartbeatJitter, advice } = status.quorum
  const lines: string[] = []
  if (heartbeatJitter !== undefined && heartbeatJitter.count > 0)
    lines.push(`heartbeats of node ${nodeId}: ${jitterText(heartbeatJitter)}`)
  if (formerHeartbeatJitter !== undefined && formerHeartbeatJitter.count > 0)
    lines.push(
      `heartbeats of node ${nodeId} in its last leadership before: ${jitterText(formerHeartbeatJitter)}`,
    )
  if (advice !== undefined) lines.push(advice)
  return lines
}

function jitterText({ count, p50Ms, p99Ms, maxMs }: JitterStatus): string {
  const late = [`p50 ${p50Ms.toFixed(1)}`, `p99 ${p99Ms.toFixed(1)}`, `max ${maxMs.toFixed(1)} ms`]
  return `${count}, late by ${late.join(', ')}`
}

async function ask(address: string): Promise<Answer> {
  const client = new InspectClient(address)
  try {
    return { address, status: await client.status() }
  } catch {
    return { address, status: undefined } // shown as unreachable
  } finally {
    client.close()
  }
}

function row({ address, status }: Answer): (string | number)[] {
  if (status === undefined) return ['-', address, 'unreachable', '-', '-', '-', '-', '-', '-', '-']
  const { nodeId, role, term, leader, commitIndex, lastIndex, snapshotIndex, hasQuorum } = status.quorum
  return [
    String(nodeId),
    address,
    role,
    String(term),
    String(leader ?? 'none'),
    String(commitIndex),
    String(lastIndex),
    String(snapshotIndex),
    hasQuorum ? 'yes' : 'no',
    status.broker.state,
  ]
}
