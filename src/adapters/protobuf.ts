import type { RecordCodec } from '../ports/record-codec.js'

/** A codec between our plain types and the named message of `proto/`. Throws where there is no such message. */
export function messageCodec<T>(_fullName: string): RecordCodec<T> {
  throw new Error('being written')
}
