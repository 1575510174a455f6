// Compiles the simulation and the broker it runs to .cache/sim, or where the argument says, with what both read at run
// time beside them.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const out = resolve(process.argv[2] ?? `${root}/.cache/sim`)
const tsc = spawnSync(
  process.execPath,
  [`${root}/node_modules/typescript/bin/tsc`, '-p', `${root}/tsconfig.sim.json`, '--outDir', out],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
  },
)
if (tsc.status !== 0) process.exit(tsc.status ?? 1)
mkdirSync(out, { recursive: true })
cpSync(`${root}/proto`, `${out}/proto`, { recursive: true })
const { type, version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
writeFileSync(`${out}/package.json`, `${JSON.stringify({ type, version })}\n`)
