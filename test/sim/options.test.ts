import { describe, expect, it } from 'vitest'
import { HELP, lifeOf, parseOptions, replayCommand, UsageError } from './options.js'
import { PROFILES, profileByName, profileOfSeed } from './profiles.js'
import { shapeOfSeed } from './shapes.js'

function parsed(...args: string[]) {
  const options = parseOptions(args, 1_234_567)
  if (options === 'help') throw new Error('asked for help')
  return options
}

describe('the command line of the simulation', () => {
  it('lives a minute of a cluster that the seed draws unless told otherwise', () => {
    expect(parsed('--seed', '42')).toMatchObject({
      seed: 42,
      shape: null,
      seconds: 60,
      profile: null,
      trace: false,
    })
    expect(parsed('--seed', '0', '--minutes', '2.5', '--nodes', '5', '--trace')).toMatchObject({
      seed: 0,
      shape: { nodes: 5, voters: null, controllers: null, isDedicated: false },
      seconds: 150,
      trace: true,
    })
    expect(parsed('--voters', '3').shape).toMatchObject({ nodes: 3, voters: 3 })
  })

  it('sweeps from the time of day, or from any whole number', () => {
    expect(parsed('--seeds', '500', '--jobs', '2')).toMatchObject({
      seed: null,
      seeds: 500,
      start: 1234,
      jobs: 2,
    })
    expect(parsed('--start', String(Number.MAX_SAFE_INTEGER)).start).toBe(Number.MAX_SAFE_INTEGER)
  })

  it.each([
    ['--seed'],
    ['--seed', '-1'],
    ['--seed', '1.5'],
    ['--nodes', '0'],
    ['--minutes', 'x'],
    ['--profile', 'none'],
    ['--seed', '1', '--seeds', '2'],
    ['--minutes', '1', '--seconds', '60'],
    ['--speed', '1'],
    ['--nodes', '3', '--voters', '4'],
    ['--nodes', '3', '--dedicated'],
    ['--nodes', '4', '--voters', '3', '--controllers', '2'],
    ['--nodes', '4', '--voters', '3', '--controllers', '4', '--dedicated'],
  ])('refuses %s %s', (...args) => {
    expect(() => parseOptions(args, 0)).toThrow(UsageError)
  })

  it('names every option on which a life depends in the command that replays it', () => {
    const profile = profileByName('disks')!
    const shape = { nodes: 6, voters: 3, controllers: 5, isDedicated: true, seconds: 90 }
    const words = replayCommand({ seed: 7, ...shape, profile }).split(' ')
    const replayed = parsed(...words.slice(4))
    expect(replayed).toMatchObject({ seed: 7, trace: true })
    expect(lifeOf(replayed, 7)).toEqual({ seed: 7, ...shape, profile })
  })

  it('explains each profile', () => {
    expect(parseOptions(['--help'], 0)).toBe('help')
    for (const { name, about } of PROFILES) expect(HELP).toContain(`${name.padEnd(12)}${about}`)
  })
})

it('draws the same profile for a seed each time, and each of them for some', () => {
  const drawn = new Map<string, number>()
  for (let seed = 0; seed < 1_000; seed++) {
    const { name } = profileOfSeed(seed)
    expect(profileOfSeed(seed).name).toBe(name)
    drawn.set(name, (drawn.get(name) ?? 0) + 1)
  }
  expect(PROFILES.reduce((sum, { percent }) => sum + percent, 0)).toBe(100)
  for (const { name, percent } of PROFILES)
    if (percent > 0) expect(drawn.get(name)).toBeGreaterThan(percent * 5)
})

it('draws a shape for a seed as well, whatever its profile', () => {
  const drawn = new Map<string, Set<string>>()
  for (let seed = 0; seed < 5_000; seed++) {
    const shape = JSON.stringify(shapeOfSeed(seed))
    expect(JSON.stringify(shapeOfSeed(seed))).toBe(shape)
    drawn.set(shape, (drawn.get(shape) ?? new Set()).add(profileOfSeed(seed).name))
  }
  expect(drawn.size).toBe(6)
  for (const profiles of drawn.values())
    expect(profiles.size).toBe(PROFILES.filter(({ percent }) => percent > 0).length)
})
