import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { FileDisk } from '../../src/adapters/file-disk.js'
import type { DiskError } from '../../src/ports/disk.js'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-disk-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

it('writes gathered chunks, reads, truncates, renames and lists', async () => {
  const disk = FileDisk.open(directory)
  disk.mkdir('a/b')
  const file = disk.open('a/x', { create: true })
  file.write(
    0,
    Array.from({ length: 3000 }, (_, i) => Buffer.from(String(i % 10))),
  )
  expect(file.size()).toBe(3000)
  expect(Buffer.from(file.read(2995, 100)).toString()).toBe('56789')
  file.truncate(3)
  expect(Buffer.from(file.read(0, 10)).toString()).toBe('012')
  const error = await new Promise<DiskError | null>((resolve) =>
    disk.sync([file, { directory: 'a' }, { directory: '' }], resolve),
  )
  expect(error).toBeNull()
  disk.syncNow([file, { directory: 'a' }])
  file.close()
  disk.rename('a/x', 'a/y')
  expect(disk.list('a')).toEqual(['b/', 'y'])
  expect(() => disk.open('a/x')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  expect(() => disk.open('../x', { create: true })).toThrow(/outside/)
  const missing = await new Promise<DiskError | null>((resolve) =>
    disk.sync([{ directory: 'nowhere' }], resolve),
  )
  expect(missing?.code).toBe('ENOENT')
  disk.unlink('a/y')
  disk.removeTree('a')
  disk.removeTree('a')
  expect(disk.exists('a')).toBe(false)
  expect(disk.freeBytes()).toBeGreaterThan(0)
  disk.close()
})

it('holds the lock against others and takes one that a dead process left', () => {
  const disk = FileDisk.open(directory)
  expect(() => FileDisk.open(directory)).toThrow(expect.objectContaining({ code: 'EBUSY' }))
  const lock = readFileSync(join(directory, '.lock'), 'utf8')
  disk.close()
  const { pid } = spawnSync(process.execPath, ['-e', ''])
  writeFileSync(join(directory, '.lock'), `${pid} 1\n`)
  const again = FileDisk.open(directory)
  expect(readFileSync(join(directory, '.lock'), 'utf8')).toBe(lock)
  again.close()
})
