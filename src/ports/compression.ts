/** Kafka's codecs: 1 gzip, 2 snappy (with and without xerial's framing), 3 lz4 (frame), 4 zstd. */
export interface Compression {
  /** @throws RangeError where the output would pass `maxBytes`, Error where the input is damaged or the codec unknown. */
  decompress(codec: number, bytes: Uint8Array, maxBytes: number): Uint8Array
  compress(codec: number, bytes: Uint8Array): Uint8Array
}
