/** Turns plain typed records into bytes and back, so that protobuf's classes stop at the adapters. */
export interface RecordCodec<T> {
  encode(value: T): Uint8Array
  /** @throws Error where the bytes are none of its own. */
  decode(bytes: Uint8Array): T
}

/** Of values that are lists: parts of what is encoded can be read one at a time. */
export interface BatchCodec<T> extends RecordCodec<readonly T[]> {
  /** Cuts what `encode` gave: the parts, of about so many bytes, hold the list's items in their order. */
  split(bytes: Uint8Array, partBytes: number): Uint8Array[]
}
