import { expect, it } from 'vitest'
import { Inode } from './inode.js'

it('a sync that ends after a later one takes nothing back', () => {
  for (const cuts of [false, true]) {
    const inode = new Inode()
    inode.write(0, Buffer.from('old!'))
    const early = inode.beginSync()
    inode.write(0, Buffer.from('new!'))
    inode.endSync(inode.beginSync())
    if (cuts) inode.truncate(3)
    inode.endSync(early)
    expect(Buffer.from(inode.durableBytes()).toString()).toBe('new!')
    inode.endSync(inode.beginSync())
    expect(Buffer.from(inode.durableBytes()).toString()).toBe(cuts ? 'new' : 'new!')
  }
})
