import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cleanEnvironment, isFree, PROJECT } from '../support/cluster.js'

const MINUTES = 60_000

/** `COPY` and `RUN` of the Dockerfile's stages, as steps in two empty directories. */
function dockerSteps(): { stage: number; verb: string; words: string[] }[] {
  let stage = -1
  const steps = []
  for (const line of readFileSync(join(PROJECT, 'deploy/docker/Dockerfile'), 'utf8').split('\n')) {
    const [verb = '', ...words] = line.split(/\s+/)
    if (verb === 'FROM') stage++
    if (verb === 'COPY' || verb === 'RUN') steps.push({ stage, verb, words })
  }
  return steps
}

function shell(command: string, cwd: string): string {
  const result = spawnSync('bash', ['-euo', 'pipefail', '-c', command], {
    cwd,
    env: cleanEnvironment(),
    encoding: 'utf8',
  })
  if (result.status !== 0) throw new Error(`${command}\n${result.stdout}\n${result.stderr}`)
  return result.stdout
}

describe("the Dockerfile's steps in an empty directory, and README's blocks as written in it", () => {
  let root: string
  let clone: string
  let dev: ChildProcess | undefined

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'kogge-clone-'))
    clone = join(root, 'stage-0')
    mkdirSync(clone)
    for (const { stage, verb, words } of dockerSteps()) {
      if (stage !== 0 || words.includes('prune')) continue
      // As on any machine, but from npm's own cache where it holds the packages.
      if (verb === 'RUN')
        shell(words.join(' ').replace(/^npm ci$/, 'npm ci --prefer-offline --no-audit --no-fund'), clone)
      else
        for (const source of words.slice(0, -1))
          cpSync(join(PROJECT, source), join(clone, source), { recursive: true })
    }
  }, 5 * MINUTES)

  afterAll(async () => {
    if (dev?.exitCode === null) {
      const ended = new Promise((resolve) => dev!.once('close', resolve))
      dev.kill('SIGTERM')
      await ended
    }
    if (root !== undefined) rmSync(root, { recursive: true, force: true })
  })

  it('npm ci has built the command', () => {
    expect(existsSync(join(clone, 'dist/main.cjs'))).toBe(true)
  })

  it(
    'a file in, the leader killed, the file out',
    async () => {
      for (const port of [9092, 9093, 9192, 9193, 9292, 9293]) {
        expect(await isFree(port), `port ${port} must be free for README's blocks`).toBe(true)
      }
      const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8')
      const blocks = [...readme.matchAll(/<!-- run -->\n```bash\n(.*?)```/gs)].map((match) => match[1]!)
      expect(blocks).toHaveLength(1)
      dev = spawn('npm', ['start'], {
        cwd: clone,
        env: cleanEnvironment(),
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await new Promise<void>((resolve, reject) => {
        let text = ''
        dev!.stdout!.on('data', (chunk: Buffer) => {
          text += chunk.toString('utf8')
          if (/^ready in \d+\.\d+ s$/m.test(text)) resolve()
        })
        dev!.once('close', () => reject(new Error(`npm start ended: ${text}`)))
      })
      for (const block of blocks) expect(shell(block, clone)).toMatch(/identical, byte for byte\n$/)
      const input = readFileSync(join(clone, '.kogge/in.txt'))
      expect(input.length).toBeGreaterThan(1_000_000)
      expect(readFileSync(join(clone, '.kogge/out.txt')).equals(input)).toBe(true)
    },
    5 * MINUTES,
  )

  it(
    'the second stage runs without the development dependencies',
    () => {
      const image = join(root, 'stage-1')
      mkdirSync(image)
      shell('npm prune --omit=dev --ignore-scripts --no-audit --no-fund', clone)
      for (const { stage, verb, words } of dockerSteps()) {
        if (stage !== 1 || verb !== 'COPY') continue
        const source = words[1]!.replace(/^\/kogge\//, '')
        cpSync(join(clone, source), join(image, source), { recursive: true })
      }
      expect(existsSync(join(image, 'node_modules/typescript'))).toBe(false)
      expect(shell('node dist/main.cjs --version', image)).toMatch(/^kogge \d/)
      // Loads everything that a node needs, then says what is missing.
      const refused = spawnSync('node', ['dist/main.cjs', 'start', '--override', 'node.id=1'], {
        cwd: image,
        encoding: 'utf8',
      })
      expect(refused.stderr).toContain('log.dirs is missing')
      expect(refused.status).toBe(2)
    },
    2 * MINUTES,
  )
})
