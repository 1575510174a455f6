// Compiles src/ into dist/. With --if-stale, only where a source is newer than the last whole build: npm runs
// `prepare` once more when `npx kogge` is used for the first time, and a running cluster reads from dist/.
import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const stamp = join(root, 'dist/.built')

if (process.argv.includes('--if-stale') && !isStale()) process.exit(0)
const { status, error } = spawnSync('tsc', ['-p', 'tsconfig.json', '--noEmitOnError'], { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
if (error) console.error(`tsc cannot be run: ${error.message}; use npm run build`)
if (status !== 0) process.exit(status ?? 1)
chmodSync(join(root, 'dist/main.cjs'), 0o755)
writeFileSync(stamp, '')

function isStale() {
  const built = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  return [...sources, join(root, 'tsconfig.json'), join(root, 'package.json')].some((file) => statSync(file).mtimeMs > built)
}
