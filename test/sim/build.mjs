// Compiles the simulation and the broker it runs to .cache/sim, with what both read at run time beside them.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const out = `${root}/.cache/sim`
const tsc = spawnSync(
  process.execPath,
  [`${root}/node_modules/typescript/bin/tsc`, '-p', `${root}/tsconfig.sim.json`],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
  },
)
if (tsc.status !== 0) process.exit(tsc.status ?? 1)
mkdirSync(out, { recursive: true })
cpSync(`${root}/proto`, `${out}/proto`, { recursive: true })
const { type, version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
writeFileSync(`${out}/package.json`, `${JSON.stringify({ type, version })}\n`)
