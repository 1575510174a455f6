import { type Life, replayCommand } from './options.js'
import type { RunResult } from './world.js'

/** Of each node, so many of its last events are printed with a failure. */
const EVENTS_OF_A_NODE = 12

/** What one life came to. */
export function reportOf(result: RunResult, life: Life): string {
  const verdict = result.violation === null ? summaryOf(result) : failureOf(result, life)
  return `${verdict}\nseen: ${list(result.counts)}\nchecks: ${list(result.checks)}`
}

/** Everything that helps to find the cause, and the command that shows it again. */
export function failureOf(result: RunResult, life: Life): string {
  const { seed, timeline, lastEvents } = result
  const lines = [`seed ${seed} failed; before that:`, ...timeline.slice(-30).map((line) => `  ${line}`)]
  for (const [who, events] of Object.entries(lastEvents)) {
    lines.push(`the last events of ${who}:`, ...events.slice(-EVENTS_OF_A_NODE).map((line) => `  ${line}`))
  }
  lines.push(summaryOf(result))
  lines.push(`replay: ${replayCommand(life)}`)
  return lines.join('\n')
}

function summaryOf(result: RunResult): string {
  const { seed, violation, traceHash, simulatedSeconds, events, profile, heartbeats, busy } = result
  const late =
    heartbeats === null
      ? []
      : [
          `the leader's ${heartbeats.count} heartbeats left late by ${heartbeats.p50Ms.toFixed(1)} ms (p50), ${heartbeats.p99Ms.toFixed(1)} ms (p99), ${heartbeats.maxMs.toFixed(1)} ms at most`,
        ]
  return [
    `seed ${seed}: ${violation ?? 'no violation'}`,
    `trace hash: ${traceHash}`,
    `profile ${profile.name}, ${simulatedSeconds.toFixed(1)} simulated seconds, ${events} events`,
    ...late,
    ...(busy.length === 0
      ? []
      : [
          `the nodes were busy for ${busy.map((share) => `${(100 * share).toFixed(0)} %`).join(', ')} of the time`,
        ]),
  ].join('\n')
}

export function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}
