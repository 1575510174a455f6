import type { AnyApiHandler, ApiHandler } from '../../../src/broker/handler.js'
import { BrokerMetadataCache } from '../../../src/broker/metadata-cache.js'
import { describeQuorum } from '../../../src/broker/quorum/describe-quorum.js'
import type { QuorumHandle, QuorumStatus } from '../../../src/broker/quorum/handle.js'
import { isMembershipCommand } from '../../../src/broker/quorum/membership.js'
import type { BrokerServices } from '../../../src/broker/services.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import type { ControllerCommand, ControllerReply } from '../../../src/metadata/commands.js'
import { ConfigView } from '../../../src/metadata/configs.js'
import type { Clock, Timer } from '../../../src/ports/clock.js'
import { encodeResponse } from '../../../src/wire/codec.js'
import { Cluster, CONTEXT, SILENT } from '../../metadata/cluster.js'

/** Time that passes only when a test says so. */
export class ManualClock implements Clock {
  private nowMs = 1_000
  private timers: { atMs: number; input: () => void }[] = []

  monotonicMs(): number {
    return this.nowMs
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.nowMs
  }

  after(delayMs: number, input: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, input }
    this.timers.push(timer)
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer)
      },
    }
  }

  endOfTurn(input: () => void): void {
    this.after(0, input)
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms
    for (;;) {
      const due = this.timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.timers = this.timers.filter((other) => other !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.input()
    }
    this.nowMs = untilMs
  }
}

/** Broker 1's side of a cluster with a real controller: commands take 5 ms, and what commits is applied after 10 ms. */
export class Node {
  readonly clock = new ManualClock()
  readonly cache = new BrokerMetadataCache(this.clock)
  readonly commands: ControllerCommand[] = []
  /** Because whoever asked was gone. */
  readonly calledOff: ControllerCommand[] = []
  /** In place of the controller's answer. */
  outage: ControllerReply | undefined
  status: Partial<QuorumStatus> = {}
  readonly services: BrokerServices

  constructor(readonly cluster: Cluster) {
    const quorum: QuorumHandle = {
      submit: (command, _context, _timeoutMs, done) => {
        this.commands.push(command)
        const callOff = (): void => void this.calledOff.push(command)
        this.clock.after(5, () => {
          if (this.outage !== undefined) return done(this.outage)
          if (command.type === 'describeQuorum') return done(describeQuorum(quorum.status(), this.clock))
          if (isMembershipCommand(command)) throw new Error(`no quorum here to take ${command.type}`)
          const { records, reply } = cluster.controller.decide(command, CONTEXT, cluster.nowMs)
          cluster.commit(records)
          this.clock.after(5, () => this.cache.applyCommitted(records, cluster.index))
          done(reply)
        })
        return callOff
      },
      status: () => ({ addresses: [1, 2, 3].map(addressOf), ...this.status }) as QuorumStatus,
    }
    const voters = [1, 2, 3].map(addressOf)
    const { properties } = cluster.options
    const configs = new ConfigView({
      nodeId: 1,
      properties,
      configuredBrokers: 3,
      image: () => this.cache.image,
    })
    this.services = {
      config: { nodeId: 1, voters, controlListener: { name: 'CONTROLLER' }, inspectListener: {}, properties },
      clock: this.clock,
      random: new SeededRandom(1),
      logger: SILENT,
      quorum,
      metadata: this.cache,
      configs,
      brokerEpoch: () => cluster.epoch(1),
      isServing: () => true,
    } as unknown as BrokerServices
    this.sync()
  }

  static of(brokers: number, options: ConstructorParameters<typeof Cluster>[0] = {}): Node {
    return new Node(Cluster.of(brokers, options))
  }

  /** Everything that has committed is known here. */
  sync(): void {
    this.cache.applySnapshot(this.cluster.committed.toRecords(), this.cluster.index)
  }

  /** The answer is encoded in its version, so that it fits the schema. Undefined: none yet. */
  ask<Request, Response>(
    handler: ApiHandler<Request, Response>,
    request: Request,
    options: { apiVersion?: number; listener?: string; onClose?: (input: () => void) => void } = {},
  ): { response: Response | undefined } {
    const apiVersion = options.apiVersion ?? handler.api.maxVersion
    const asked: { response: Response | undefined } = { response: undefined }
    const context = {
      apiVersion,
      correlationId: 1,
      clientId: 'test',
      principal: 'User:ANONYMOUS',
      clientAddress: '127.0.0.1',
      listener: options.listener ?? 'PLAINTEXT',
      isInterBrokerListener: false,
      connectionId: 1,
      answerRoomBytes: () => Number.MAX_SAFE_INTEGER,
      onClose: options.onClose ?? (() => {}),
    }
    handler.handle(request, context, {
      send: (response) => {
        encodeResponse((handler as AnyApiHandler).api, apiVersion, 1, response as never)
        asked.response = response
      },
      none: () => {},
      close: (reason) => {
        throw new Error(reason)
      },
    })
    return asked
  }

  /** The answer once `ms` have passed. */
  answer<Request, Response>(
    handler: ApiHandler<Request, Response>,
    request: Request,
    apiVersion?: number,
    ms = 100,
  ): Response {
    const asked = this.ask(handler, request, { apiVersion })
    this.clock.pass(ms)
    if (asked.response === undefined) throw new Error('no answer yet')
    return asked.response
  }
}

function addressOf(nodeId: number): { nodeId: number; host: string; port: number } {
  return { nodeId, host: `host-${nodeId}`, port: 9093 }
}
