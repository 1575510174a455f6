import type { Uuid } from '../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../metadata/commands.js'
import type { Configuration, RaftMessage, Voter } from '../raft/types.js'

/**
 * All that one node says to another outside the Kafka protocol. `type` names the field in `proto/peer.proto`.
 * Lanes: heartbeats and votes on `heartbeat`, the rest of Raft on `raft`, everything else on `controller`.
 */
export type PeerMessage =
  | { type: 'raft'; message: RaftMessage }
  | FoundingMessage
  | { type: 'command'; requestId: number; command: ControllerCommand; context: CommandContext }
  | { type: 'commandReply'; requestId: number; reply: ControllerReply }

/**
 * First boot without a format step. A node founds only when every configured voter says `empty` and names the very
 * same view of all voters' directories; whoever hears `founded` joins that cluster instead.
 */
export type FoundingMessage =
  | { type: 'foundingEmpty'; self: Voter; view: Voter[] }
  | {
      type: 'foundingFounded'
      self: Voter
      clusterId: string
      configuration: Configuration
      directoryIdOfReceiver?: Uuid
    }
