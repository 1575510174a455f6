import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LevelStore } from '../../src/adapters/level-store.js'
import type { StoreEntry, StoreOperation } from '../../src/ports/ordered-store.js'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-level-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const open = (createIfMissing: boolean): Promise<LevelStore> =>
  new Promise((resolve, reject) => {
    LevelStore.open(join(directory, 'store'), { createIfMissing }, (error, store) =>
      error ? reject(error) : resolve(store!),
    )
  })
const batch = (store: LevelStore, operations: StoreOperation[]): Promise<void> =>
  new Promise((resolve, reject) => store.batch(operations, (error) => (error ? reject(error) : resolve())))
const scan = (store: LevelStore, gte: number[], lt: number[]): Promise<readonly StoreEntry[]> =>
  new Promise((resolve, reject) => {
    store.scan({ gte: Uint8Array.from(gte), lt: Uint8Array.from(lt) }, (error, all) =>
      error ? reject(error) : resolve(all),
    )
  })
const close = (store: LevelStore): Promise<void> =>
  new Promise((resolve, reject) => store.close((error) => (error ? reject(error) : resolve())))

it('keeps batches over a restart, in the bytewise order of the keys', async () => {
  const store = await open(true)
  const put = (key: number[], value: number[]): StoreOperation => ({
    type: 'put',
    key: Uint8Array.from(key),
    value: Uint8Array.from(value),
  })
  await batch(store, [put([1, 255], [3]), put([1, 0], [1]), put([1, 127], [2]), put([2], [9])])
  await batch(store, [{ type: 'del', key: Uint8Array.from([1, 127]) }, put([1, 1], [])])
  await close(store)
  const again = await open(false)
  const entries = await scan(again, [1], [2])
  expect(entries.map((entry) => [[...entry.key], [...entry.value]])).toEqual([
    [[1, 0], [1]],
    [[1, 1], []],
    [[1, 255], [3]],
  ])
  await close(again)
})

it('never makes an empty store where one was expected', async () => {
  await expect(open(false)).rejects.toThrow(/cannot be opened/)
})

it('refuses a second opener', async () => {
  const store = await open(true)
  await expect(open(false)).rejects.toThrow(/cannot be opened/)
  await close(store)
})
