import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { tell } from './story.js'

const DIRECTORY = new URL('./stories/', import.meta.url)
const REWRITE = process.env.KOGGE_REWRITE === '1'

const RULES = [
  ...['§5.2', '§5.3', '§5.4.1', '§5.4.2', '§6', '§7', '§8'],
  ...['§3.10', '§4.1', '§4.2.1', '§4.2.2', '§4.2.3', '§4.3', '§6.4', '§9.6'].map(
    (section) => `thesis ${section}`,
  ),
  ...['KIP-595', 'KIP-853', 'KIP-996', 'KAFKA-10527', 'KAFKA-15489', 'KAFKA-17333'],
]

/** KOGGE_REWRITE=1 writes what happens now; the difference is reviewed like code. */
describe('Raft stories', () => {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'))
  it.each(names)('%s', (name) => {
    const file = new URL(name, DIRECTORY)
    const text = readFileSync(file, 'utf8')
    const head = /^(#.*\n)+/.exec(text)?.[0] ?? ''
    expect(head, 'a story says which rule it tells of').toMatch(/§\d|KIP-\d|KAFKA-\d/)
    const told = tell(text)
    if (REWRITE) writeFileSync(file, told)
    else expect(told).toBe(text)
  })

  it('README.md names a story for each rule, and a rule for each story', () => {
    const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8')
    const rows = readme
      .split('\n')
      .filter((line) => /^\| .* \|$/.test(line))
      .slice(1)
    const told = rows.map((row) =>
      [...row.split('|')[3]!.matchAll(/`([^`]+)`/g)].map(([, name]) => `${name}.txt`),
    )
    for (const [i, stories] of told.entries()) expect(stories, rows[i]).not.toEqual([])
    expect([...new Set(told.flat())].sort()).toEqual(names.sort())
    const sources = rows.map((row) => row.split('|')[2]!).join(' ')
    for (const rule of RULES) expect(sources).toContain(rule)
  })
})
