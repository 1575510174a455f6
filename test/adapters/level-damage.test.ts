import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findDamage } from '../../src/adapters/level-damage.js'

const ENTRIES = 120

let directory: string
let sound: string
let store: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-level-damage-'))
  sound = join(directory, 'sound')
  store = join(directory, 'store')
  // Each opening turns the journal of the one before into a table: here two of them, and a journal.
  for (const part of [0, 1, 2]) await fill(sound, part)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))
beforeEach(() => {
  rmSync(store, { recursive: true, force: true })
  cpSync(sound, store, { recursive: true })
})

async function fill(path: string, part: number, compression = false): Promise<void> {
  const db = new Level<string, string>(path, { compression })
  await db.open()
  for (let i = 0; i < ENTRIES; i++)
    await db.put(`entry ${part} ${i}`, `value ${i} `.repeat(20), { sync: true } as object)
  await db.close()
}

const named = (pattern: RegExp): string[] =>
  readdirSync(store)
    .filter((name) => pattern.test(name))
    .sort()

/** Of every ninth byte of this file: those whose flip goes unnoticed. */
const STEP = 9
function unnoticed(name: string, from = 0): number[] {
  const path = join(store, name)
  const bytes = readFileSync(path)
  const positions: number[] = []
  for (let position = from; position < bytes.length; position += STEP) {
    bytes[position]! ^= 0xff
    writeFileSync(path, bytes)
    if (findDamage(store) === null) positions.push(position)
    bytes[position]! ^= 0xff
  }
  writeFileSync(path, bytes)
  return positions
}

describe('what is sound is left alone', () => {
  it('a store with tables and a journal', () => {
    expect(named(/\.ldb$/).length).toBeGreaterThanOrEqual(2)
    expect(findDamage(store)).toBeNull()
  })

  it('tables that were compressed', async () => {
    const compressed = join(directory, 'compressed')
    for (const part of [0, 1]) await fill(compressed, part, true)
    expect(findDamage(compressed)).toBeNull()
  })

  it('no store at all, or one whose first opening was cut short', () => {
    expect(findDamage(join(directory, 'nowhere'))).toBeNull()
    rmSync(join(store, 'CURRENT'))
    expect(findDamage(store)).toBeNull()
  })

  it('a torn journal after which an opening made an empty one, and was cut short itself', () => {
    const journal = named(/\.log$/).at(-1)!
    truncateSync(join(store, journal), 3_000)
    writeFileSync(join(store, '000998.log'), '')
    expect(findDamage(store)).toBeNull()
    // Once the newer one holds a batch, the older one was whole.
    cpSync(join(sound, journal), join(store, '000998.log'))
    expect(findDamage(store)).toMatch(/the record at byte \d+ is damaged, and a newer journal follows/)
  })

  it('a table that no manifest names: a compaction was cut short, and LevelDB deletes it', () => {
    writeFileSync(join(store, '000999.ldb'), readFileSync(join(store, named(/\.ldb$/)[0]!)).subarray(0, 100))
    expect(findDamage(store)).toBeNull()
  })

  it('a journal whose last batch is torn, wherever it was cut', () => {
    const journal = join(store, named(/\.log$/).at(-1)!)
    const bytes = readFileSync(journal)
    for (let cut = bytes.length - 1; cut >= 0; cut -= 37) {
      truncateSync(journal, cut)
      expect(findDamage(store), `cut at ${cut} of ${bytes.length}`).toBeNull()
    }
  })

  it('a last batch of several blocks of which the first never came to the disk', async () => {
    const large = join(directory, 'large')
    const db = new Level<string, string>(large, { compression: false })
    await db.put('a', 'small', { sync: true } as object)
    const journal = join(large, readdirSync(large).find((name) => name.endsWith('.log'))!)
    const before = readFileSync(journal).length
    await db.put('b', 'x'.repeat(100_000), { sync: true } as object)
    await db.close()
    const bytes = readFileSync(journal)
    writeFileSync(journal, bytes.fill(0, before, before + 4_096))
    expect(findDamage(large)).toBeNull()
  })
})

describe('damage is named, never skipped', () => {
  it('any byte of a table, but for the padding of its footer', () => {
    const table = named(/\.ldb$/)[0]!
    const { length } = readFileSync(join(store, table))
    for (const position of unnoticed(table, length - 2_000)) {
      expect(position).toBeGreaterThanOrEqual(length - 48 + 4)
      expect(position).toBeLessThan(length - 8)
    }
    const bytes = readFileSync(join(store, table))
    bytes[50]! ^= 1
    writeFileSync(join(store, table), bytes)
    expect(findDamage(store)).toMatch(/the table \d+\.ldb: its block at byte 0 is damaged/)
  })

  it('any byte of a journal before its last batch', () => {
    const journal = named(/\.log$/).at(-1)!
    const path = join(store, journal)
    truncateSync(path, 3_000)
    const positions = unnoticed(journal)
    // Only the batch that the cut has torn, and the one before it: whoever flips its bits makes it look torn.
    expect(positions[0]).toBeGreaterThan(3_000 - 600)
    expect(positions).toEqual(positions.map((_, i) => positions[0]! + STEP * i))
    const bytes = readFileSync(path)
    bytes[20]! ^= 1
    writeFileSync(path, bytes)
    expect(findDamage(store)).toMatch(
      /the journal \d+\.log: the record at byte 0 is damaged, and a sound one follows/,
    )
  })

  it('a CURRENT that names nothing', () => {
    for (const content of ['', '\n', '/\n', 'MANIFEST-00\u0000\n']) {
      writeFileSync(join(store, 'CURRENT'), content)
      expect(findDamage(store)).toBe('CURRENT names no manifest')
    }
  })

  it('a table that is missing, or cut', () => {
    const table = named(/\.ldb$/)[0]!
    truncateSync(join(store, table), 200)
    expect(findDamage(store)).toMatch(/its footer is damaged/)
    rmSync(join(store, table))
    expect(findDamage(store)).toMatch(/the table \d+\.ldb is missing/)
  })

  it('a table that was compressed', async () => {
    const compressed = join(directory, 'compressed-and-damaged')
    for (const part of [0, 1]) await fill(compressed, part, true)
    const table = join(compressed, readdirSync(compressed).find((name) => name.endsWith('.ldb'))!)
    const bytes = readFileSync(table)
    bytes[10]! ^= 1
    writeFileSync(table, bytes)
    expect(findDamage(compressed)).toMatch(/is damaged/)
  })
})
