import * as grpc from '@grpc/grpc-js'
import type { NodeId, Term } from '../lib/ids.js'
import type { Lane, PeerIdentity, PeerRefusal } from '../ports/peers.js'
import { target } from './grpc-peer-lane.js'

export const NO_IDENTITY = 'the headers do not say which process this is: it is no kogge of this version'

/** The headers with which a stream between two nodes begins: who calls whom, and which process each of them is. */
export interface Hello {
  from: NodeId
  to: NodeId
  lane: Lane
  clusterId: string | undefined
  identity: PeerIdentity | undefined
  ledTerm: Term | undefined
}

function setIdentity(metadata: grpc.Metadata, { directoryId, incarnationId, address }: PeerIdentity): void {
  metadata.set('kogge-directory', directoryId)
  metadata.set('kogge-incarnation', incarnationId)
  metadata.set('kogge-address', target(address))
}

/** undefined: it does not say. */
export function readIdentity(metadata: grpc.Metadata): PeerIdentity | undefined {
  const text = textOf(metadata)
  const directoryId = text('kogge-directory')
  const incarnationId = text('kogge-incarnation')
  const [, host, port] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(text('kogge-address') ?? '') ?? []
  if (!directoryId || !incarnationId || host === undefined) return undefined
  return { directoryId, incarnationId, address: { host, port: Number(port) } }
}

function textOf(metadata: grpc.Metadata): (key: string) => string | undefined {
  return (key) => metadata.get(key)[0]?.toString()
}

function naturalOf(text: string | undefined): number | undefined {
  const number = /^\d{1,16}$/.test(text ?? '') ? Number(text) : undefined
  return Number.isSafeInteger(number) ? number : undefined
}

/** Beside the reason, which is the status' text. */
export function refusalTrailers({ isLed, holdMs }: PeerRefusal): grpc.Metadata {
  const metadata = new grpc.Metadata()
  if (isLed) metadata.set('kogge-is-led', '1')
  metadata.set('kogge-hold-ms', String(Math.ceil(holdMs)))
  return metadata
}

export function readRefusal(reason: string, trailers: grpc.Metadata): PeerRefusal {
  const text = textOf(trailers)
  return { reason, isLed: text('kogge-is-led') === '1', holdMs: naturalOf(text('kogge-hold-ms')) ?? 0 }
}

export function readHello(metadata: grpc.Metadata): Hello {
  const text = textOf(metadata)
  return {
    from: Number(text('kogge-node') || Number.NaN),
    to: Number(text('kogge-to') || Number.NaN),
    lane: text('kogge-lane') as Lane,
    clusterId: text('kogge-cluster'),
    identity: readIdentity(metadata),
    ledTerm: naturalOf(text('kogge-led-term')),
  }
}

export function helloHeaders({ from, to, lane, clusterId, identity, ledTerm }: Hello): grpc.Metadata {
  const metadata = new grpc.Metadata({ waitForReady: true })
  metadata.set('kogge-node', String(from))
  metadata.set('kogge-to', String(to))
  metadata.set('kogge-lane', lane)
  if (identity !== undefined) setIdentity(metadata, identity)
  if (clusterId !== undefined) metadata.set('kogge-cluster', clusterId)
  if (ledTerm !== undefined) metadata.set('kogge-led-term', String(ledTerm))
  return metadata
}

/** Of the answer. */
export function identityHeaders(identity: PeerIdentity): grpc.Metadata {
  const metadata = new grpc.Metadata()
  setIdentity(metadata, identity)
  return metadata
}
