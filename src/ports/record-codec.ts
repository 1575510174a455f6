/** Turns plain typed records into bytes and back, so that protobuf's classes stop at the adapters. */
export interface RecordCodec<T> {
  encode(value: T): Uint8Array
  /** @throws Error where the bytes are none of its own. */
  decode(bytes: Uint8Array): T
}
