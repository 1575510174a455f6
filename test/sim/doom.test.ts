import { expect, it } from 'vitest'
import { SimWorldClock } from './clock.js'
import { SimDisk } from './disk.js'
import { Doom } from './doom.js'

it('ends a process within an event, whoever catches its death, and nothing of it afterwards', () => {
  const world = new SimWorldClock()
  const process = world.process('p')
  const disk = new SimDisk(world)
  disk.attach(process)
  disk.faults.tear = () => 700
  const set = (doom: Doom | null): void => {
    disk.doom = doom
  }
  const seen: string[] = []
  const isRunning = (): boolean => world.isRunning(process)
  const doom = new Doom(1, false, isRunning, (what, self) => {
    process.kill()
    disk.crash()
    set(self)
    world.onceEventEnds(() => set(null))
    seen.push(what)
  })
  set(doom)
  disk.open('before', { create: true }).close()
  process.schedule(0, () => {
    const file = disk.open('a', { create: true })
    try {
      file.write(0, [Buffer.alloc(600, 'a'), Buffer.alloc(600, 'b')])
    } catch {
      expect(() => disk.rename('a', 'b')).toThrow('a write of a')
      expect(() => file.read(0, 1)).toThrow('a write of a')
    } finally {
      file.close()
    }
    process.schedule(0, () => seen.push('a timer of the dead'))
    disk.list('')
    seen.push('not reached')
  })
  world.runFor(10)
  expect(seen).toEqual(['a write of a'])
  expect(disk.doom).toBeNull()
  expect(disk.openFiles).toBe(0)
  const left = disk.open('a')
  // Whole sectors.
  expect(Buffer.from(left.read(0, 1_200)).toString()).toBe('a'.repeat(512))
  left.close()
})

it('lets go what is thrown for another reason', () => {
  const world = new SimWorldClock()
  const process = world.process('p')
  process.schedule(0, () => {
    throw new Error('a defect')
  })
  expect(() => world.runFor(1)).toThrow('a defect')
})
