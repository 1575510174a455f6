import protobuf from 'protobufjs'
import type { MetadataRecord } from '../metadata/records.js'
import type { BatchCodec } from '../ports/record-codec.js'
import { messageCodec } from './protobuf.js'

/** A field's tag holds its wire type in the lowest bits. */
const WIRE_TYPE_MASK = 7

/** What one Raft entry carries: a batch of metadata records, `kogge.metadata.v1.MetadataRecordBatch`. */
export function createMetadataRecordCodec(): BatchCodec<MetadataRecord> {
  const codec = messageCodec<{ records: MetadataRecord[] }>('kogge.metadata.v1.MetadataRecordBatch')
  return {
    encode: (records) => codec.encode({ records: [...records] }),
    decode: (bytes) => codec.decode(bytes).records,
    split,
  }
}

/** Between two fields of the batch: fields that follow each other are a batch, however many they are. */
function split(bytes: Uint8Array, partBytes: number): Uint8Array[] {
  const parts: Uint8Array[] = []
  const reader = protobuf.Reader.create(bytes)
  let from = 0
  while (reader.pos < bytes.length) {
    const fieldAt = reader.pos
    reader.skipType(reader.uint32() & WIRE_TYPE_MASK)
    if (reader.pos - from <= partBytes || fieldAt === from) continue
    parts.push(bytes.subarray(from, fieldAt))
    from = fieldAt
  }
  if (from < bytes.length) parts.push(bytes.subarray(from))
  return parts
}
