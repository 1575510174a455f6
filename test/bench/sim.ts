/**
 * `npm run sim:bench`: how fast the simulation is. One line a life: events and client requests a simulated second, and
 * simulated seconds a second of this process's own CPU time (compiler and garbage collector included, whatever thread
 * they run on), so that other work on the machine distorts little. The first life pays for the compilation of the code;
 * a sweep does that once. The last line is the median of the lives after the first.
 */
import { parseArgs } from 'node:util'
import { loadCompression } from '../../src/adapters/compression.js'
import { PROFILES } from '../sim/profiles.js'
import { SimRun } from '../sim/world.js'
import { median } from './processes.js'

const { values: options } = parseArgs({
  options: {
    profile: { type: 'string', default: 'calm' },
    nodes: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    lives: { type: 'string', default: '6' },
    start: { type: 'string', default: '1' },
  },
})

const profile = PROFILES.find(({ name }) => name === options.profile)
if (profile === undefined)
  throw new Error(`--profile takes one of ${PROFILES.map(({ name }) => name).join(', ')}`)
const compression = await loadCompression()
const rates: number[] = []
console.log(`profile ${profile.name}, ${options.nodes} nodes, Node ${process.version}`)
for (let life = 0; life < Number(options.lives); life++) {
  const seed = Number(options.start) + life
  const cpuBefore = process.cpuUsage()
  const wallBefore = performance.now()
  const run = new SimRun({
    seed,
    nodes: Number(options.nodes),
    seconds: Number(options.seconds),
    compression,
    profile,
  })
  const { simulatedSeconds, events, counts, violation, traceHash } = run.run()
  const { user, system } = process.cpuUsage(cpuBefore)
  const cpuMs = (user + system) / 1000
  const wallMs = performance.now() - wallBefore
  if (violation !== null) throw new Error(`seed ${seed}: ${violation}`)
  const perCpuSecond = simulatedSeconds / (cpuMs / 1000)
  if (life > 0) rates.push(perCpuSecond)
  console.log(
    [
      `seed ${seed} ${traceHash}`,
      `${simulatedSeconds.toFixed(1)} s`,
      `${(counts.requests! / simulatedSeconds).toFixed(0)} requests/s`,
      `${(events / simulatedSeconds).toFixed(0)} events/s`,
      `${((cpuMs * 1000) / events).toFixed(2)} µs an event`,
      `${perCpuSecond.toFixed(1)} simulated s per CPU s`,
      `${(simulatedSeconds / (wallMs / 1000)).toFixed(1)} per s of the wall clock`,
    ].join(', '),
  )
}
if (rates.length > 0) console.log(`median ${median(rates).toFixed(1)} simulated seconds per CPU second`)
