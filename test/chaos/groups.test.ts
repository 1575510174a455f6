import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { throwIfError } from '../../src/adapters/kafka-client/index.js'
import { badAnomalies, checkHistory } from '../../src/checker/checker.js'
import type { Operation } from '../../src/checker/history.js'
import { FindCoordinator } from '../../src/wire/messages/find-coordinator.js'
import { OffsetFetch } from '../../src/wire/messages/offset-fetch.js'
import { acknowledged, LoadClient, monotonicNowMs } from '../support/load-client.js'
import { Figures, longestGapOf, operation, ROUNDS } from './harness.js'
import { ProcessCluster, until } from './nodes.js'

const TOPIC = 'orders'
const PARTITIONS = [0, 1, 2]
const OFFSETS_TOPIC = '__consumer_offsets'
/** The offset of a group for a partition that it has not committed yet. */
const NO_OFFSET = -1
const OFFSET_FETCH_VERSION = 7
const GENEROUS_MS = 8_000
const figures = new Figures('groups')

describe('consumer groups', () => {
  let cluster: ProcessCluster
  let clients: LoadClient[] = []

  beforeEach(async () => {
    cluster = await ProcessCluster.start()
    await cluster.createTopic(TOPIC, PARTITIONS.length)
  })
  afterEach(async () => {
    for (const client of clients) client.kill()
    clients = []
    await cluster?.close()
  })
  afterAll(() => figures.print())

  function spawnClient(...args: string[]): LoadClient {
    const [mode, ...rest] = args
    const client = new LoadClient('librdkafka', [mode!, cluster.bootstrap, ...rest])
    clients.push(client)
    return client
  }

  const startProducers = () =>
    PARTITIONS.map((partition) => spawnClient('produce', TOPIC, String(partition), '20'))
  const member = (group: string, instance = '-') => spawnClient('group', TOPIC, group, instance)

  const assigned = (client: LoadClient): number[] | undefined =>
    client.events.findLast((e) => e.assigned !== undefined || e.revoked !== undefined)?.assigned

  /** Every partition is with exactly one of the members. */
  async function waitForAssignment(members: readonly LoadClient[]): Promise<void> {
    for (const client of members) {
      await client.until('all partitions are assigned', () => {
        const all = members.flatMap((one) => assigned(one) ?? []).sort()
        return all.join() === PARTITIONS.join()
      })
    }
  }

  async function coordinatorOf(group: string): Promise<number> {
    return cluster.client.retrying(async () => {
      const found = await cluster.client.request(FindCoordinator, {
        key: group,
        keyType: 0,
        coordinatorKeys: [group],
      })
      const coordinator = found.coordinators[0]!
      throwIfError(coordinator.errorCode, coordinator.errorMessage)
      return coordinator.nodeId
    })
  }

  /** What the group has committed, as an operation for the checker. */
  async function fetchCommitted(group: string): Promise<Operation> {
    const tStart = monotonicNowMs()
    const topics = [{ name: TOPIC, partitionIndexes: PARTITIONS }]
    const answer = await cluster.client.requestCoordinator(
      group,
      OffsetFetch,
      { groupId: group, topics, requireStable: false },
      (reply) => throwIfError(reply.errorCode),
      OFFSET_FETCH_VERSION,
    )
    const ops = answer.topics[0]!.partitions.map((p): Operation['ops'][number] => [
      'committed',
      group,
      `${TOPIC}-${p.partitionIndex}`,
      p.committedOffset === -1 ? NO_OFFSET : p.committedOffset,
    ])
    return { process: 100, type: 'ok', f: 'fetchCommitted', tStart, tEnd: monotonicNowMs(), ops }
  }

  function commitsOf(group: string, members: readonly LoadClient[]): Operation[] {
    return members.flatMap((client, i) =>
      client.events.flatMap((e) =>
        e.committed === undefined
          ? []
          : [
              operation(i, 'ok', 'commit', e.at!, [
                ['commit', group, `${TOPIC}-${e.partition}`, e.committed],
              ]),
            ],
      ),
    )
  }

  const committedTimes = (members: readonly LoadClient[]) =>
    members
      .flatMap((client) => client.events.flatMap((e) => (e.committed === undefined ? [] : [{ at: e.at! }])))
      .sort((a, b) => a.at - b.at)

  /** Acknowledged records that no member has seen. */
  function missed(members: readonly LoadClient[], producers: readonly LoadClient[]): string[] {
    const seen = new Set(members.flatMap((m) => m.events.map((e) => `${e.partition}: ${e.value}`)))
    return producers.flatMap((producer, partition) =>
      acknowledged(producer.events)
        .map((a) => `${partition}: ${a.value}`)
        .filter((name) => !seen.has(name)),
    )
  }

  async function finishProducers(producers: readonly LoadClient[]): Promise<void> {
    await Promise.all(producers.map((producer) => producer.finish()))
    expect(producers.flatMap((p) => p.events.filter((e) => e.failed !== undefined))).toEqual([])
  }

  async function waitUntilNoneIsMissed(
    members: readonly LoadClient[],
    producers: readonly LoadClient[],
  ): Promise<void> {
    await until('every record was seen', () => missed(members, producers).length === 0).catch(() => {})
    expect(missed(members, producers)).toEqual([])
  }

  it('no commit is lost when the coordinator is killed', { timeout: 60_000 + ROUNDS * 40_000 }, async () => {
    const group = 'coordinated'
    const producers = startProducers()
    const members = [member(group), member(group)]
    await waitForAssignment(members)
    const history: Operation[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await cluster.waitForFullIsr(OFFSETS_TOPIC)
      await cluster.waitForFullIsr(TOPIC)
      await sleep(1_100)
      const node = cluster.node(await coordinatorOf(group))
      const killedMs = node.signal('SIGKILL')
      await node.waitForExit()
      const untilMs = killedMs + 1_500
      while (monotonicNowMs() < untilMs) history.push(await fetchCommitted(group))
      await members[0]!.until('a commit after the kill', () =>
        committedTimes(members).some(({ at }) => at > killedMs + 1_000),
      )
      node.start()
      await cluster.waitForBrokers(3)
      history.push(await fetchCommitted(group))
      const gapMs = longestGapOf(committedTimes(members), killedMs - 1_000)
      figures.add('group coordinator', 'librdkafka', { commit: gapMs })
      figures.say(`group coordinator (node ${node.id})`, 'librdkafka', killedMs, { gapMs })
      expect(gapMs).toBeLessThan(GENEROUS_MS)
    }
    await finishProducers(producers)
    await waitUntilNoneIsMissed(members, producers)
    await Promise.all(members.map((client) => client.finish()))
    history.push(await fetchCommitted(group))
    expect(badAnomalies(checkHistory([...commitsOf(group, members), ...history]))).toEqual([])
    // A coordinator that came back knows its members: nobody had to join again.
    for (const client of members)
      expect(client.events.filter((e) => e.assigned).length).toBeLessThanOrEqual(2)
  })

  it('members that join, leave and are killed together miss no record', { timeout: 90_000 }, async () => {
    const group = 'busy'
    const producers = startProducers()
    const [killed, leaving, staying] = [member(group), member(group), member(group)]
    await waitForAssignment([killed, leaving, staying])
    await sleep(500)
    killed.kill()
    const left = leaving.finish()
    const joining = member(group)
    const members = [killed, leaving, staying, joining]
    await left
    await waitForAssignment([staying, joining])
    await sleep(500)
    await finishProducers(producers)
    await waitUntilNoneIsMissed(members, producers)
    const history = [...commitsOf(group, members), await fetchCommitted(group)]
    expect(badAnomalies(checkHistory(history))).toEqual([])
  })

  it('a static member restarts without a rebalance', { timeout: 90_000 }, async () => {
    const group = 'static'
    const producers = startProducers()
    const [first, second] = [member(group, 'one'), member(group, 'two')]
    await waitForAssignment([first, second])
    const had = [...assigned(first)!].sort()
    const before = second.events.filter((e) => e.assigned ?? e.revoked).length
    first.kill()
    const again = member(group, 'one')
    await again.until('it is assigned again', () => assigned(again) !== undefined)
    expect([...assigned(again)!].sort()).toEqual(had)
    await finishProducers(producers)
    await waitUntilNoneIsMissed([first, second, again], producers)
    expect(second.events.filter((e) => e.assigned ?? e.revoked).length).toBe(before)
  })
})
