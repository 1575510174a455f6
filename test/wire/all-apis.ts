import { readdirSync } from 'node:fs'
import type { AnyApi } from '../../src/wire/messages/index.js'

/** Every API whose messages are declared, the broker answering it already or not: `APIS` has those it advertises. */
export async function allApis(): Promise<AnyApi[]> {
  const folder = new URL('../../src/wire/messages/', import.meta.url)
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && file !== 'index.ts')
  const modules = await Promise.all(
    files.map((file) => import(new URL(file, folder).href) as Promise<Record<string, unknown>>),
  )
  return modules.flatMap((module) => Object.values(module).filter(isApi)).sort((a, b) => a.key - b.key)
}

function isApi(value: unknown): value is AnyApi {
  return typeof value === 'object' && value !== null && 'request' in value && 'response' in value
}
