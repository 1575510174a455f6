import { describe, expect, it } from 'vitest'
import { MAX_MESSAGE_BYTES } from '../../../src/adapters/grpc-peer-lane.js'
import { createPeerMessageCodec } from '../../../src/adapters/peer-codec.js'
import type { PeerMessage } from '../../../src/broker/peer-message.js'
import { commandBytes, MAX_COMMAND_BYTES } from '../../../src/broker/quorum/command-queue.js'
import { CommandRouter, type RouterEnvironment } from '../../../src/broker/quorum/command-router.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../../src/metadata/commands.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { SimWorldClock } from '../../sim/clock.js'

const CONTEXT: CommandContext = { principal: 'User:a', clientId: '', clientAddress: '', listener: '' }
const COMMAND: ControllerCommand = { type: 'describeQuorum' }

/** Node 1's router; what it sends to others is kept. */
function routerOf() {
  const world = new SimWorldClock()
  const { clock } = world.process('n1')
  const sent: { to: number; message: Extract<PeerMessage, { type: 'command' }> }[] = []
  const abandoned: { to: number; message: PeerMessage }[] = []
  const held: ControllerCommand[] = []
  const state = { leader: undefined as number | undefined, term: 1, isConnected: true }
  const environment: RouterEnvironment = {
    clock,
    nodeId: 1,
    firstRequestId: 100,
    limits: { commands: 10, bytes: 10_000 },
    leader: () => state.leader,
    term: () => state.term,
    isConnected: () => state.isConnected,
    canDecide: () => false,
    onHeld: (command) => held.push(command),
    decide: () => () => {},
    send: (to, message) => {
      if (message.type === 'command') sent.push({ to, message })
      else abandoned.push({ to, message })
    },
  }
  const router = new CommandRouter(environment)
  const replies: ControllerReply[] = []
  const submit = (context = CONTEXT) =>
    router.submit(COMMAND, context, 30_000, (reply) => replies.push(reply))
  return { world, router, state, sent, replies, submit, held, abandoned }
}

it('tells of a command that waits because the controller of this node cannot decide now', () => {
  const { router, state, held, replies, submit } = routerOf()
  submit()
  expect(held).toEqual([])
  state.leader = 1
  router.onChange()
  expect(held).toEqual([COMMAND])
  expect(replies).toEqual([])
  router.close()
})

describe('a command that is too large for a message between two nodes', () => {
  /** Of so many bytes as the queue counts them, in characters that take three in a message. */
  const commandOf = (bytes: number): ControllerCommand => {
    const commandWith = (value: string): ControllerCommand => ({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: [
        {
          resourceType: 'topic',
          resourceName: 't',
          operations: [{ name: 'cleanup.policy', operation: 'set', value }],
        },
      ],
    })
    return commandWith('\u20ac'.repeat(bytes - commandBytes(commandWith(''))))
  }

  it.each([
    ['here', 1],
    ['elsewhere', 2],
    ['nowhere', undefined],
  ])('is refused with what to do, where the controller is %s', (_, leader) => {
    const { world, router, state, sent, held, replies, abandoned } = routerOf()
    state.leader = leader
    const command = commandOf(MAX_COMMAND_BYTES + 1)
    router.submit(command, CONTEXT, 30_000, (reply) => replies.push(reply))
    router.onCommand(3, { type: 'command', requestId: 1, command, context: CONTEXT, timeoutMs: 30_000 })
    world.runFor(10)
    expect([sent.length, held.length]).toEqual([0, 0])
    const reply = {
      type: 'failed',
      errorCode: ErrorCode.INVALID_REQUEST,
      errorMessage:
        'alterConfigs: the request takes about 5242881 bytes, more than the 5242880 that the controller takes at once: split it into several requests',
    }
    expect(replies).toEqual([reply])
    expect(abandoned).toEqual([{ to: 3, message: { type: 'commandReply', requestId: 1, reply } }])
    router.close()
  })

  it('and the largest that is taken fits, whatever it is made of', () => {
    const codec = createPeerMessageCodec()
    const partitions = Array.from({ length: 215_000 }, () => ({ topic: '', partitionId: -1 }))
    const electLeaders: ControllerCommand = { type: 'electLeaders', unclean: true, all: false, partitions }
    const creation = {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [],
      configs: [],
      internal: true,
    }
    const topics = Array.from({ length: 92_000 }, () => ({ name: '', ...creation }))
    const createTopics: ControllerCommand = { type: 'createTopics', validateOnly: true, topics }
    const long = 'x'.repeat(32_767)
    const context = { principal: long, clientId: long, clientAddress: long, listener: long }
    for (const command of [commandOf(MAX_COMMAND_BYTES), electLeaders, createTopics]) {
      const bytes = commandBytes(command)
      expect(bytes).toBeLessThanOrEqual(MAX_COMMAND_BYTES)
      expect(bytes).toBeGreaterThan(0.75 * MAX_COMMAND_BYTES)
      const message = codec.encode({ type: 'command', requestId: 1, command, context, timeoutMs: 120_000 })
      expect(message.length).toBeLessThan(MAX_MESSAGE_BYTES)
    }
  })
})

describe('a command whose sender is gone', () => {
  it('is dropped where it waits, and called off where it was sent', () => {
    const { world, router, state, replies, submit, abandoned } = routerOf()
    submit()()
    world.runFor(10)
    expect(replies).toMatchObject([{ type: 'failed', errorMessage: 'whoever asked is gone' }])
    state.leader = 2
    const callOff = submit()
    callOff()
    expect(abandoned).toEqual([{ to: 2, message: { type: 'commandAbandoned', requestId: 100 } }])
    expect(replies).toHaveLength(1)
    router.close()
    callOff()
    expect(abandoned).toHaveLength(1)
  })
})

describe('a command that was sent', () => {
  it('is given up when its leader leads another term: that may be another process, which knows nothing of it', () => {
    const { world, router, state, sent, replies, submit } = routerOf()
    state.leader = 2
    submit()
    router.onChange()
    world.runFor(10)
    expect(sent.map(({ to }) => to)).toEqual([2])
    expect(replies).toEqual([])
    state.term = 2
    router.onChange()
    world.runFor(499)
    expect(replies).toEqual([])
    world.runFor(10)
    expect(replies).toMatchObject([
      { type: 'failed', errorMessage: expect.stringContaining('outcome is unknown') },
    ])
    expect(sent).toHaveLength(1)
    router.close()
  })

  it('has its answer from a leader that steps down, though the successor is known before it comes', () => {
    const { world, router, state, sent, replies, submit } = routerOf()
    state.leader = 2
    submit()
    submit({ ...CONTEXT, principal: 'Broker:1' })
    state.leader = 3
    state.term = 2
    router.onChange()
    world.runFor(10)
    // A broker's own cannot wait: it asks the successor.
    expect(replies).toMatchObject([{ errorMessage: expect.stringContaining('outcome is unknown') }])
    const reply: ControllerReply = { type: 'failed', errorCode: 42, errorMessage: 'the last word' }
    router.onCommandReply(2, { type: 'commandReply', requestId: sent[0]!.message.requestId, reply })
    world.runFor(1_000)
    expect(replies).toHaveLength(2)
    expect(replies[1]).toEqual(reply)
    router.close()
  })

  it('stays with a leader that goes on, and is given up with a lost connection', () => {
    const { world, router, state, sent, replies, submit } = routerOf()
    submit()
    world.runFor(10)
    expect(sent).toEqual([])
    state.leader = 2
    router.onChange()
    router.onChange()
    world.runFor(10)
    expect(sent).toHaveLength(1)
    expect(replies).toEqual([])
    state.isConnected = false
    router.onChange()
    world.runFor(10)
    expect(replies).toHaveLength(1)
    router.close()
  })
})
