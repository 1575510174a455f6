import type { NodeId } from '../../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import type { BrokerImage, MetadataImage } from '../../metadata/image.js'
import type { BrokerEndpoint } from '../../metadata/records.js'
import { ErrorCode } from '../../wire/errors.js'
import type { RequestContext } from '../handler.js'
import type { BrokerServices } from '../services.js'

/** What the administrative requests share: forwarding to the controller, and waiting for what it did. */

const MAX_TIMEOUT_MS = 120_000
/** How long a success waits until this broker knows of it, so that whoever asks next sees it. */
const READ_YOUR_WRITE_MS = 1_000
/** KIP-430, without an authoriser: everything that there is. One bit for each operation's code. */
const TOPIC_OPERATIONS = operationBits([3, 4, 5, 6, 7, 8, 10, 11])
const CLUSTER_OPERATIONS = operationBits([5, 7, 8, 9, 10, 11, 12])
const NOT_ASKED_FOR = -0x80000000

function operationBits(codes: readonly number[]): number {
  return codes.reduce((bits, code) => bits | (1 << code), 0)
}

export function topicOperations(included: boolean): number {
  return included ? TOPIC_OPERATIONS : NOT_ASKED_FOR
}

export function clusterOperations(included: boolean): number {
  return included ? CLUSTER_OPERATIONS : NOT_ASKED_FOR
}

export function commandContext(context: RequestContext): CommandContext {
  const { principal, clientId, clientAddress, listener } = context
  return { principal, clientId: clientId ?? '', clientAddress, listener }
}

type Failed = Extract<ControllerReply, { type: 'failed' }>
export type ReplyTo<C extends ControllerCommand> = Extract<ControllerReply, { type: C['type'] }>

/** Forwards a client's command; the reply is the command's own or 'failed'. timeoutMs: as the client says, within limits. Returns what calls it off. */
export function forward<C extends ControllerCommand>(
  services: BrokerServices,
  command: C,
  context: RequestContext,
  timeoutMs: number,
  done: (reply: ReplyTo<C> | Failed) => void,
): () => void {
  return services.quorum.submit(command, commandContext(context), clampTimeoutMs(timeoutMs), (reply) => {
    if (reply.type === command.type || reply.type === 'failed') return done(reply as ReplyTo<C> | Failed)
    const errorMessage = `the controller answered ${reply.type} to ${command.type}`
    done({ type: 'failed', errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, errorMessage })
  })
}

export function clampTimeoutMs(timeoutMs: number): number {
  return Math.min(Math.max(timeoutMs, 1), MAX_TIMEOUT_MS)
}

/** Runs `input` once `isKnown`, or after a second: what the controller did holds anyway. */
export function whenKnown(
  services: BrokerServices,
  isKnown: (image: MetadataImage) => boolean,
  input: () => void,
): void {
  const deadlineMs = services.clock.monotonicMs() + READ_YOUR_WRITE_MS
  const check = (): void => {
    const leftMs = deadlineMs - services.clock.monotonicMs()
    if (leftMs <= 0 || isKnown(services.metadata.image)) input()
    else services.metadata.afterChange(leftMs, check)
  }
  check()
}

/** null instead of an empty message. */
export function messageOrNull(message: string): string | null {
  return message === '' ? null : message
}

/** What clients of this listener are told to connect to. */
export function endpointOf(broker: BrokerImage, listener: string): BrokerEndpoint | undefined {
  return broker.endpoints.find((endpoint) => endpoint.name === listener)
}

/** A live broker that takes administrative requests: the active controller's where it is one, else always the same. */
export function advertisedController(services: BrokerServices, listener: string): NodeId {
  const { image, controller } = services.metadata
  const live = [...image.brokers.values()]
    .filter((broker) => !broker.fenced && endpointOf(broker, listener) !== undefined)
    .map((broker) => broker.id)
  if (controller !== undefined && live.includes(controller)) return controller
  return live.length === 0 ? -1 : Math.min(...live)
}

/** Replicas that cannot serve at the moment. */
export function offlineReplicas(image: MetadataImage, replicas: readonly NodeId[]): NodeId[] {
  return replicas.filter((id) => image.brokers.get(id)?.fenced ?? true)
}
