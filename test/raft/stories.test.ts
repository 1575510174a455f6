import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { tell } from './story.js'

const DIRECTORY = new URL('./stories/', import.meta.url)
const REWRITE = process.env.KOGGE_REWRITE === '1'

/** KOGGE_REWRITE=1 writes what happens now; the difference is reviewed like code. */
describe('Raft stories', () => {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'))
  it.each(names)('%s', (name) => {
    const file = new URL(name, DIRECTORY)
    const text = readFileSync(file, 'utf8')
    expect(text.startsWith('# '), 'a story says which rule it tells of').toBe(true)
    const told = tell(text)
    if (REWRITE) writeFileSync(file, told)
    else expect(told).toBe(text)
  })
})
