import type { MetadataRecord } from '../metadata/records.js'
import type { RecordCodec } from '../ports/record-codec.js'
import { messageCodec } from './protobuf.js'

/** What one Raft entry carries: a batch of metadata records, `kogge.metadata.v1.MetadataRecordBatch`. */
export function createMetadataRecordCodec(): RecordCodec<MetadataRecord[]> {
  const codec = messageCodec<{ records: MetadataRecord[] }>('kogge.metadata.v1.MetadataRecordBatch')
  return {
    encode: (records) => codec.encode({ records }),
    decode: (bytes) => codec.decode(bytes).records,
  }
}
