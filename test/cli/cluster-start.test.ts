import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { cleanEnvironment, freeBasePort, LAUNCHER } from '../support/cluster.js'

it('a start that fails for no reason that we know ends the process, though a parent holds its channel', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kogge-test-'))
  const port = await freeBasePort(1)
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'log.dirs': join(directory, 'data'),
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': `1@127.0.0.1:${port + 1}`,
  }
  const broken = 'globalThis.setInterval = () => { throw new Error("broken on purpose") }'
  const child = spawn(
    process.execPath,
    [
      ...[
        '--import',
        `data:text/javascript,${encodeURIComponent(broken)}`,
        LAUNCHER,
        'start',
        '--exit-with-parent',
      ],
      ...Object.entries(settings).flatMap(([key, value]) => ['--override', `${key}=${value}`]),
    ],
    { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: cleanEnvironment() },
  )
  onTestFinished(() => {
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(stderr).toContain('kogge: unexpected failure: Error: broken on purpose')
  expect(code).toBe(1)
})
