/** Defaults as Kafka's own message classes have them: an explicit one, else that of the type. */
import { ZERO_UUID } from '../lib/ids.js'
import type { Field, Fields } from './schema.js'

/** A new value each time for arrays and structs. */
export function defaultValue(field: Field): unknown {
  if (field.default !== undefined) return Array.isArray(field.default) ? [] : field.default
  switch (field.type.kind) {
    case 'bool':
      return false
    case 'string':
      return ''
    case 'uuid':
      return ZERO_UUID
    case 'bytes':
      return new Uint8Array(0)
    case 'records':
      return null
    case 'bigint64':
      return 0n
    case 'array':
      return []
    case 'struct':
      return defaultStruct(field.type.fields)
    default:
      return 0
  }
}

function defaultStruct(fields: Fields): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) value[name] = defaultValue(field)
  return value
}

/** Makes one field's default anew for each value. */
export interface DefaultFactory {
  readonly name: string
  make(): unknown
}

/** Arrays and structs are mutable, so two decoded values must not share one. Null: the default may be shared. */
export function defaultFactory(name: string, field: Field): DefaultFactory | null {
  if (field.default === null) return null
  if (field.type.kind === 'array') return { name, make: () => [] }
  if (field.type.kind !== 'struct') return null
  const { fields } = field.type
  const template = defaultStruct(fields)
  const inner = Object.entries(fields).flatMap(([key, value]) => defaultFactory(key, value) ?? [])
  return { name, make: () => fillDefaults({ ...template }, inner) }
}

export function fillDefaults(
  value: Record<string, unknown>,
  factories: readonly DefaultFactory[],
): Record<string, unknown> {
  for (let i = 0; i < factories.length; i++) value[factories[i]!.name] = factories[i]!.make()
  return value
}

/** A tagged field at its default is not written (KIP-482). */
export function isDefaultValue(field: Field, value: unknown): boolean {
  if (value === undefined || value === field.default) return true
  if (value === null || field.default === null) return false
  switch (field.type.kind) {
    case 'array':
      return (value as readonly unknown[]).length === 0
    case 'bytes':
      return (value as Uint8Array).length === 0
    case 'struct':
      return isDefaultStruct(field.type.fields, value as Record<string, unknown>)
    default:
      return value === defaultValue(field)
  }
}

function isDefaultStruct(fields: Fields, value: Record<string, unknown>): boolean {
  if (value.unknownTaggedFields !== undefined) return false
  for (const name in fields) if (!isDefaultValue(fields[name]!, value[name])) return false
  return true
}
