import { readdirSync, readFileSync } from 'node:fs'

/** Bytes and values that Kafka's own classes wrote; see golden/capture/README.md. */
export interface GoldenSample {
  message: string
  version: number
  hex: string
  json: Json
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const directory = new URL('golden/', import.meta.url)

export function loadGolden<Sample = GoldenSample>(file: string): Sample[] {
  const text = readFileSync(new URL(file, directory), 'utf8')
  return (JSON.parse(text) as { samples: Sample[] }).samples
}

/** Every sample of an API's request or response. */
export function loadApiGoldens(): GoldenSample[] {
  const others = ['headers.json', 'consumer-protocol.json', 'coordinator-records.json', 'record-batches.json']
  const files = readdirSync(directory).filter((file) => file.endsWith('.json') && !others.includes(file))
  return files.flatMap((file) => loadGolden(file))
}

export function fromHex(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}

/**
 * The decoded value in the form of Kafka's JSON converters, cut down to the fields that `shape` names: those leave
 * out fields that the version lacks and tagged ones at their default.
 */
export function toJson(value: unknown, shape: Json): Json {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) {
    return value.map((item, i) => toJson(item, Array.isArray(shape) ? (shape[i] ?? null) : null))
  }
  if (typeof value !== 'object' || value === null) return value as Json
  if (typeof shape !== 'object' || shape === null || Array.isArray(shape)) return '<a struct>'
  const fields = value as Record<string, unknown>
  return Object.fromEntries(
    Object.keys(shape).map((key) => [
      key,
      key in fields ? toJson(fields[key], shape[key] ?? null) : recordsSize(fields, key),
    ]),
  )
}

/** The converters name the size of records, not their bytes. */
function recordsSize(fields: Record<string, unknown>, key: string): Json {
  if (key === 'recordsSizeInBytes' && fields.records instanceof Uint8Array) return fields.records.length
  return '<no such field>'
}
