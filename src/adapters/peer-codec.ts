import type { PeerMessage } from '../broker/peer-message.js'
import type { RecordCodec } from '../ports/record-codec.js'
import { messageCodec } from './protobuf.js'

/** What travels between nodes on the peer streams: `kogge.peer.v1.PeerMessage`. */
export function createPeerMessageCodec(): RecordCodec<PeerMessage> {
  return messageCodec<PeerMessage>('kogge.peer.v1.PeerMessage')
}
