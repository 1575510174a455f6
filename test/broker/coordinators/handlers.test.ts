import { describe, expect, it } from 'vitest'
import type { GroupCoordinatorRuntime } from '../../../src/broker/coordinators/group-runtime.js'
import type { AnyApiHandler, RequestContext } from '../../../src/broker/handler.js'
import { deleteGroupsHandler } from '../../../src/broker/requests/delete-groups.js'
import { describeGroupsHandler } from '../../../src/broker/requests/describe-groups.js'
import { findCoordinatorHandler } from '../../../src/broker/requests/find-coordinator.js'
import { heartbeatHandler } from '../../../src/broker/requests/heartbeat.js'
import { joinGroupHandler } from '../../../src/broker/requests/join-group.js'
import { leaveGroupHandler } from '../../../src/broker/requests/leave-group.js'
import { listGroupsHandler } from '../../../src/broker/requests/list-groups.js'
import { offsetCommitHandler } from '../../../src/broker/requests/offset-commit.js'
import { offsetFetchHandler } from '../../../src/broker/requests/offset-fetch.js'
import { syncGroupHandler } from '../../../src/broker/requests/sync-group.js'
import type { BrokerServices } from '../../../src/broker/services.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { joinChunks } from '../../../src/wire/primitives.js'

const TOPIC_ID = 'topicIdOfTopicT00000AA'
const topic = { name: 't', id: TOPIC_ID, partitions: [{}, {}] }

/** A runtime that refuses everything with this error: what handlers make of it must fit the wire. */
function services(groups: Partial<GroupCoordinatorRuntime>): BrokerServices {
  const image = { topicsByName: new Map([['t', topic]]), topicsById: new Map([[TOPIC_ID, topic]]) }
  const metadata = { image, isSuspect: () => false }
  return { groups, metadata, config: { nodeId: 2 } } as unknown as BrokerServices
}

/** Through the codecs of this version, both ways: the answer as a client decodes it. */
function ask(handler: AnyApiHandler, apiVersion: number, request: object) {
  const { api } = handler
  const context = { apiVersion, clientId: 'c', clientAddress: 'h', listener: 'CLIENT' } as RequestContext
  const decoded = api.request.decode(joinChunks(api.request.encode(apiVersion, request as never)), apiVersion)
  let response: unknown
  handler.handle(decoded, context, {
    send: (sent) => {
      response = api.response.decode(joinChunks(api.response.encode(apiVersion, sent)), apiVersion)
    },
    none: () => {},
    close: (reason) => expect.fail(reason),
  })
  // biome-ignore lint/suspicious/noExplicitAny: each test knows its own response
  return response as any
}

function versionsOf({ api }: AnyApiHandler): number[] {
  const count = api.maxVersion - api.minVersion + 1
  return Array.from({ length: count }, (_, i) => api.minVersion + i)
}

describe('the group requests in every version', () => {
  it('JoinGroup: a refusal fits every version, and v0 takes its rebalance time-out from the session', () => {
    const seen: unknown[] = []
    const handler = joinGroupHandler(
      services({
        join: (request, done) => {
          seen.push([request.rebalanceTimeoutMs, request.requireKnownMemberId])
          const none = {
            protocolType: null,
            protocolName: null,
            leader: '',
            skipAssignment: false,
            members: [],
          }
          done({ ...none, errorCode: ErrorCode.NOT_COORDINATOR, memberId: '', generationId: -1 })
        },
      }),
    )
    for (const version of versionsOf(handler)) {
      const rebalance = version >= 1 ? { rebalanceTimeoutMs: 60_000 } : {}
      const request = { groupId: 'g', sessionTimeoutMs: 10_000, memberId: '', protocolType: 'consumer' }
      const answer = ask(handler, version, { ...request, ...rebalance, protocols: [] })
      expect(answer.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
      expect(answer.protocolName).toBe(version >= 7 ? null : '')
    }
    expect(seen.slice(0, 5)).toEqual([
      [10_000, false],
      [60_000, false],
      [60_000, false],
      [60_000, false],
      [60_000, true],
    ])
  })

  it('SyncGroup, Heartbeat and LeaveGroup', () => {
    const sync = syncGroupHandler(
      services({
        sync: (_request, done) =>
          done({ errorCode: 0, protocolType: 'c', protocolName: 'range', assignment: new Uint8Array([7]) }),
      }),
    )
    const member = { groupId: 'g', generationId: 1, memberId: 'm' }
    for (const version of versionsOf(sync)) {
      const names = version >= 5 ? { protocolType: 'c', protocolName: 'range' } : {}
      expect([...ask(sync, version, { ...member, ...names, assignments: [] }).assignment]).toEqual([7])
    }
    const nameless = ask(sync, 5, { ...member, assignments: [] })
    expect(nameless.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    const beat = heartbeatHandler(services({ heartbeat: (_request, done) => done({ errorCode: 27 }) }))
    for (const version of versionsOf(beat)) expect(ask(beat, version, member).errorCode).toBe(27)

    const leave = leaveGroupHandler(
      services({
        leave: ({ members }, done) =>
          done({ errorCode: 0, members: members.map((each) => ({ ...each, errorCode: 25 })) }),
      }),
    )
    for (const version of versionsOf(leave)) {
      const who = version >= 3 ? { members: [{ memberId: 'm' }] } : { memberId: 'm' }
      const answer = ask(leave, version, { groupId: 'g', ...who })
      expect(version >= 3 ? answer.members[0].errorCode : answer.errorCode).toBe(25)
    }
  })

  it('OffsetCommit: names below v10, ids from it on; partitions that do not exist are refused alone', () => {
    const handler = offsetCommitHandler(
      services({
        commitOffsets: ({ topics }, done) =>
          done({
            topics: topics.map(({ name, partitions }) => ({
              name,
              partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0 })),
            })),
          }),
      }),
    )
    const partitions = [1, 2].map((partitionIndex) => ({
      partitionIndex,
      committedOffset: 5,
      committedMetadata: null,
    }))
    for (const version of versionsOf(handler)) {
      const topics =
        version >= 10
          ? [
              { topicId: ZERO_UUID, partitions },
              { topicId: TOPIC_ID, partitions },
            ]
          : [
              { name: 'gone', partitions },
              { name: 't', partitions },
            ]
      const answer = ask(handler, version, { groupId: 'g', topics })
      const missing = version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      const errors = answer.topics.map((each: { partitions: { errorCode: number }[] }) =>
        each.partitions.map(({ errorCode }) => errorCode),
      )
      expect(errors).toEqual([
        [missing, missing],
        [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ])
    }
  })

  it('OffsetFetch: a refusal is at the partitions (v1), the response (v2-7), or the group (v8+)', () => {
    const handler = offsetFetchHandler(
      services({ fetchOffsets: (_request, done) => done({ errorCode: 16, topics: [] }) }),
    )
    for (const version of versionsOf(handler)) {
      const named = version >= 10 ? { topicId: TOPIC_ID } : { name: 't' }
      const topics = [{ ...named, partitionIndexes: [0] }]
      const request = version >= 8 ? { groups: [{ groupId: 'g', topics }] } : { groupId: 'g', topics }
      const answer = ask(handler, version, request)
      if (version >= 8) expect(answer.groups[0].errorCode).toBe(16)
      else if (version >= 2) expect(answer.errorCode).toBe(16)
      else expect(answer.topics[0].partitions[0].errorCode).toBe(16)
    }
  })

  it('OffsetFetch v10: an id that is not known is refused alone', () => {
    const handler = offsetFetchHandler(
      services({
        fetchOffsets: ({ topics }, done) =>
          done({
            errorCode: 0,
            topics: topics!.map(({ name }) => ({
              name,
              partitions: [{ partitionIndex: 0, offset: 4, leaderEpoch: 2, metadata: 'm' }],
            })),
          }),
      }),
    )
    const topics = [TOPIC_ID, ZERO_UUID].map((topicId) => ({ topicId, partitionIndexes: [0] }))
    const [group] = ask(handler, 10, { groups: [{ groupId: 'g', topics }] }).groups
    expect(group.topics[0]).toMatchObject({ topicId: TOPIC_ID, partitions: [{ committedOffset: 4 }] })
    expect(group.topics[1].partitions[0].errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })

  it('FindCoordinator: groups are found, transactions are not coordinated here', () => {
    const found = { errorCode: 0, errorMessage: null, nodeId: 2, host: 'h', port: 9092 }
    const handler = findCoordinatorHandler(services({ findCoordinator: () => found }))
    for (const version of versionsOf(handler)) {
      const asked = version >= 4 ? { coordinatorKeys: ['a', 'b'] } : { key: 'a' }
      const answer = ask(handler, version, asked)
      expect(
        version >= 4 ? answer.coordinators.map((each: typeof found) => each.nodeId) : answer.nodeId,
      ).toEqual(version >= 4 ? [2, 2] : 2)
      if (version === 0) continue
      const refusal = (keyType: number) => {
        const refused = ask(handler, version, { ...asked, keyType })
        return version >= 4 ? refused.coordinators[0] : refused
      }
      expect(refusal(1)).toMatchObject({
        errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        errorMessage: 'this cluster coordinates consumer groups, not transactions',
      })
      expect(refusal(2).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    }
  })

  it('DescribeGroups: an unknown group is Dead below v6, an error from it on', () => {
    const handler = describeGroupsHandler(
      services({
        describeGroup: (groupId, done) =>
          done({
            errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
            errorMessage: `Group ${groupId} not found.`,
            groupId,
            groupState: 'Dead',
            protocolType: '',
            protocolData: '',
            members: [],
          }),
      }),
    )
    for (const version of versionsOf(handler)) {
      const [group] = ask(handler, version, { groups: ['g'], includeAuthorizedOperations: false }).groups
      expect(group.groupState).toBe('Dead')
      expect(group.errorCode).toBe(version >= 6 ? ErrorCode.GROUP_ID_NOT_FOUND : 0)
      expect(group.errorMessage).toBe(version >= 6 ? 'Group g not found.' : null)
    }
  })

  it('ListGroups filters by state and type, and DeleteGroups answers each name', () => {
    const groups = (['Empty', 'Stable'] as const).map((groupState) => ({
      groupId: groupState,
      protocolType: 'consumer',
      groupState,
      groupType: 'classic' as const,
    }))
    const list = listGroupsHandler(services({ listGroups: () => ({ errorCode: 0, groups }) }))
    for (const version of versionsOf(list)) expect(ask(list, version, {}).groups.length).toBe(2)
    expect(ask(list, 4, { statesFilter: ['stable'] }).groups).toMatchObject([{ groupId: 'Stable' }])
    expect(ask(list, 5, { typesFilter: ['Consumer'] }).groups).toEqual([])

    const remove = deleteGroupsHandler(
      services({ deleteGroup: (groupId, done) => done({ groupId, errorCode: 69, errorMessage: 'gone' }) }),
    )
    for (const version of versionsOf(remove)) {
      expect(ask(remove, version, { groupsNames: ['a', 'b'] }).results).toMatchObject([
        { groupId: 'a', errorCode: 69 },
        { groupId: 'b', errorCode: 69 },
      ])
    }
  })
})
