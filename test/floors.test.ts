import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** The floors of src/README.md: a file imports from its own folder and from lower floors. Folders of floor 2 never meet. */
const FLOORS: Record<string, number> = {
  lib: 0,
  ports: 0,
  wire: 1,
  raft: 2,
  metadata: 2,
  partition: 2,
  coordinator: 2,
  checker: 2,
  log: 3,
  broker: 4,
  adapters: 5,
  cli: 8,
  console: 8,
}
const PURE_BELOW = 5
const SOURCE = resolve(import.meta.dirname, '../src')
/** The one native package below the adapters: a pure function of its bytes. */
const PURE_PACKAGES: Record<string, string[]> = { 'wire/crc32c.ts': ['@node-rs/crc32'] }
const WORLD =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bsetImmediate\b|\bqueueMicrotask\b|\bprocess\.|\bperformance\.|\bcrypto\.|\basync (?:function|\()|\bawait [a-zA-Z]|\bnew Promise\b/

interface Source {
  path: string
  folder: string
  text: string
  imports: string[]
}

function sources(directory: string): Source[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name)
    if (statSync(path).isDirectory()) return sources(path)
    if (!/\.c?ts$/.test(name)) return []
    const text = readFileSync(path, 'utf8')
    const short = relative(SOURCE, path)
    const imports = [
      ...text.matchAll(
        /^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/gm,
      ),
    ]
    return [
      {
        path: short,
        folder: short.includes('/') ? short.split('/')[0]! : '',
        text,
        imports: imports.map((m) => (m[1] ?? m[2])!),
      },
    ]
  })
}

const all = sources(SOURCE)

function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
}

describe('floors', () => {
  it('finds the sources', () => {
    expect(all.length).toBeGreaterThan(20)
  })

  it('knows every folder of src', () => {
    expect([...new Set(all.map((s) => s.folder))].filter((f) => f !== '' && !(f in FLOORS))).toEqual([])
  })

  it('imports never go upward, nor across floor 2', () => {
    const wrong: string[] = []
    for (const source of all) {
      if (source.folder === '') continue
      const own = FLOORS[source.folder]!
      for (const target of source.imports.filter((i) => i.startsWith('.'))) {
        const folder = relative(SOURCE, resolve(SOURCE, dirname(source.path), target)).split('/')[0]!
        if (folder === source.folder) continue
        const other = FLOORS[folder]
        if (other === undefined || other > own || (other === own && own === 2))
          wrong.push(`${source.path} imports ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('below the adapters no package and no node module is imported', () => {
    const wrong = all
      .filter((s) => s.folder !== '' && FLOORS[s.folder]! < PURE_BELOW)
      .flatMap((s) =>
        s.imports
          .filter((i) => !i.startsWith('.') && !(PURE_PACKAGES[s.path] ?? []).includes(i))
          .map((i) => `${s.path} imports ${i}`),
      )
    expect(wrong).toEqual([])
  })

  it('below the adapters there is no clock, no randomness, no promise and no process', () => {
    const wrong = all
      .filter((s) => s.folder !== '' && FLOORS[s.folder]! < PURE_BELOW)
      .flatMap((s) => {
        const hit = WORLD.exec(withoutComments(s.text))
        return hit ? [`${s.path}: ${hit[0]}`] : []
      })
    expect(wrong).toEqual([])
  })

  it('every folder of src opens with a word on what it is for', () => {
    const folders = [...new Set(all.map((s) => s.folder))].filter((f) => f !== '')
    const wrong = folders.filter((f) => {
      try {
        return !readFileSync(join(SOURCE, f, 'README.md'), 'utf8').includes('May import')
      } catch {
        return true
      }
    })
    expect(wrong).toEqual([])
  })
})
