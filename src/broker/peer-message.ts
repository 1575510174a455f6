import type { NodeId, Uuid } from '../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../metadata/commands.js'
import type { SupportedFeature } from '../metadata/records.js'
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
  /** Whoever asked for it is gone: what has not been done yet is called off. */
  | { type: 'commandAbandoned'; requestId: number }
  | { type: 'commandReply'; requestId: number; reply: ControllerReply }
  | Introduction
  /** The answer to it, and again when they change: where the sender reaches the voters. */
  | { type: 'voterAddresses'; voters: PeerAddress[] }

/**
 * Said on each connection. Whom the receiver's configuration does not name it dials back: a leader replicates to it then.
 */
export interface Introduction {
  type: 'introduction'
  self: Voter
  /** Of its control listener. */
  host: string
  port: number
  /** Only a controller can become a voter. */
  isController: boolean
  /** The sender's own `controller.quorum.voters` name both: where the receiver's do as well, they say enough of the address. */
  isConfigured: boolean
  /** Empty: the sender belongs to none yet. */
  clusterId: string
  /** The levels that a controller can read (KIP-1022); it has no registration that would say so. */
  features: SupportedFeature[]
}

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
