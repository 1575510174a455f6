import type { NodeId, Uuid } from '../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../metadata/commands.js'
import type { Configuration, RaftMessage, Voter } from '../raft/types.js'

/**
 * All that one node says to another outside the Kafka protocol. `type` names the field in `proto/peer.proto`.
 * Lanes: heartbeats and votes on `heartbeat`, the rest of Raft on `raft`, everything else on `controller`.
 */
export type PeerMessage =
  /** `clusterId`: the sender's. A stream may have been opened before either side had one, so that no greeting told. */
  | { type: 'raft'; clusterId: string; message: RaftMessage }
  | FoundingMessage
  /** `timeoutMs`: how long the sender will still wait; nobody works for an answer that comes later. */
  | {
      type: 'command'
      requestId: number
      command: ControllerCommand
      context: CommandContext
      timeoutMs: number
    }
  | { type: 'commandReply'; requestId: number; reply: ControllerReply }
  /**
   * Who is not among the receiver's configured voters names itself, so that the receiver dials back: a leader
   * replicates to it then. `host` and `port`: its control listener. Only a controller can become a voter.
   */
  | { type: 'introduction'; self: Voter; host: string; port: number; isController: boolean }
  /** The answer to it, and again when they change: where the sender reaches the voters. */
  | { type: 'voterAddresses'; voters: PeerAddress[] }

export interface PeerAddress {
  nodeId: NodeId
  host: string
  port: number
}

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
