import { crc32c as native } from '@node-rs/crc32'

/** CRC-32C (Castagnoli), unsigned. `seed`: the CRC of the bytes before these, to compute it piece by piece. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return native(bytes, seed)
}
