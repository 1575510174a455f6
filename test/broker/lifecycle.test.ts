import { beforeEach, describe, expect, it } from 'vitest'
import { BrokerLifecycle } from '../../src/broker/lifecycle.js'
import type { ControllerCommand, ControllerReply } from '../../src/metadata/commands.js'
import type { BrokerImage } from '../../src/metadata/image.js'
import type { Logger } from '../../src/ports/logger.js'
import { SimWorldClock } from '../sim/clock.js'

const BROKER_EPOCH = 7
const DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAAQ'

let world: SimWorldClock
let warnings: string[]
let beatsAtMs: number[]
let controllersSessionTimeoutMs: number | undefined

beforeEach(() => {
  world = new SimWorldClock()
  warnings = []
  beatsAtMs = []
  controllersSessionTimeoutMs = 3_000
})

function start(timers: { heartbeatIntervalMs: number; sessionTimeoutMs: number }): BrokerLifecycle {
  const process = world.process('broker')
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (_fields, message) => warnings.push(message),
    error() {},
    child: () => logger,
  }
  const submit = (
    command: ControllerCommand,
    _context: unknown,
    _ms: number,
    done: (r: ControllerReply) => void,
  ) => {
    process.schedule(1, () => {
      const none = { errorCode: 0, errorMessage: '' }
      if (command.type === 'registerBroker')
        return done({ type: command.type, brokerEpoch: BROKER_EPOCH, clusterId: DIRECTORY, ...none })
      beatsAtMs.push(world.nowMs)
      const told =
        controllersSessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: controllersSessionTimeoutMs }
      const reply = { isFenced: false, isCaughtUp: true, shouldShutDown: false, ...none, ...told }
      done({ type: 'brokerHeartbeat', ...reply })
    })
    return { cancel() {} }
  }
  const lifecycle = new BrokerLifecycle({
    nodeId: 1,
    incarnationId: DIRECTORY,
    endpoints: [],
    controlEndpoint: { name: 'CONTROLLER', host: 'h', port: 1, securityProtocol: 'PLAINTEXT' },
    rack: null,
    heartbeatTimeoutMs: 500,
    requestTimeoutMs: 500,
    clock: process.clock,
    logger,
    quorum: { submit } as never,
    clusterId: () => DIRECTORY,
    directoryIds: [DIRECTORY],
    previousBrokerEpoch: () => undefined,
    appliedIndex: () => 1,
    ownImage: () => ({ epoch: BROKER_EPOCH, fenced: false }) as BrokerImage,
    quarantined: () => [],
    isSettled: () => true,
    ...timers,
  })
  lifecycle.markRecovered()
  lifecycle.onController()
  return lifecycle
}

const pauses = (): number[] => beatsAtMs.slice(1).map((atMs, i) => Math.round(atMs - beatsAtMs[i]!))

describe('the session that the controller goes by, which another node configures', () => {
  it('makes heartbeats come often enough, and says so once', () => {
    start({ heartbeatIntervalMs: 4_000, sessionTimeoutMs: 16_000 })
    world.runFor(5_000)
    expect(pauses().slice(1, 5)).toEqual([751, 751, 751, 751])
    expect(warnings).toEqual([
      'broker.heartbeat.interval.ms=4000 is too long for broker.session.timeout.ms=3000 of the controller: this broker tells it every 750 ms that it lives',
    ])
  })

  it('is the one after which this broker counts itself as cut off', () => {
    const lifecycle = start({ heartbeatIntervalMs: 500, sessionTimeoutMs: 16_000 })
    world.runFor(2_000)
    lifecycle.stop()
    world.runFor(2_000)
    expect(lifecycle.isCutOff()).toBe(false)
    world.runFor(1_600)
    expect(lifecycle.isCutOff()).toBe(true)
    expect(warnings).toEqual([])
  })

  it('may be longer than its own, and is not known from an older controller: its own holds', () => {
    controllersSessionTimeoutMs = undefined
    const lifecycle = start({ heartbeatIntervalMs: 500, sessionTimeoutMs: 3_000 })
    world.runFor(1_000)
    controllersSessionTimeoutMs = 60_000
    world.runFor(1_000)
    expect(pauses().slice(1, 3)).toEqual([501, 501])
    lifecycle.stop()
    world.runFor(3_600)
    expect(lifecycle.isCutOff()).toBe(true)
  })
})
