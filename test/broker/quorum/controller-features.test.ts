import { expect, it } from 'vitest'
import { supportedFeatures } from '../../../src/metadata/features.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { TestCluster } from './cluster.js'

const DOWNGRADE = {
  type: 'updateFeatures' as const,
  validateOnly: true,
  updates: [{ name: 'kogge.version', level: 1, upgradeType: 'unsafeDowngrade' as const }],
}

/** Of a build that cannot read level 1 any more. */
const NEWER = supportedFeatures().map((feature) =>
  feature.name === 'kogge.version' ? { ...feature, minLevel: 2 } : feature,
)

function started(): TestCluster {
  const cluster = new TestCluster([1, 2, 3])
  cluster.startAll()
  cluster.untilLed()
  cluster.world.runFor(1000)
  return cluster
}

it('a level is finalised where every controller can read it, those without a registration too (KIP-1022)', () => {
  const cluster = started()
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
  const newer = cluster.add(4, { features: NEWER })
  newer.start()
  cluster.until(() => newer.leader !== undefined)
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({
    errorCode: ErrorCode.INVALID_UPDATE_VERSION,
    feature: 'kogge.version',
    errorMessage:
      'kogge.version cannot be set to level 1: controller 4 supports the levels 2 to 2: upgrade that node',
  })
  // Its registration as a broker speaks for it from then on, and for any process that comes after.
  cluster.reply(newer.register())
  cluster.until(() => cluster.leader()!.image.brokers.has(4))
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
})

it('a voter that has not been heard of since the leader started is not taken for able to read it', () => {
  const cluster = started()
  const follower = cluster.nodes.find((node) => node !== cluster.leader())!
  follower.kill()
  cluster.world.runFor(1000)
  // It was heard before.
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
  const others = cluster.nodes.filter((node) => node !== follower)
  for (const node of others) node.kill()
  for (const node of others) node.start()
  cluster.until(() => cluster.leader() !== undefined)
  cluster.world.runFor(1000)
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({
    errorCode: ErrorCode.INVALID_UPDATE_VERSION,
    errorMessage: expect.stringContaining(`controller ${follower.id} has not said yet what it supports`),
  })
  follower.start()
  cluster.world.runFor(1000)
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
})

it('who follows as a mere broker is asked by its registration alone', () => {
  const cluster = started()
  const broker = cluster.add(11, { isController: false, features: NEWER })
  broker.start()
  cluster.until(() => broker.leader !== undefined)
  expect(cluster.reply(cluster.leader()!.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
})

it('a controller that was removed while it was away objects no more', () => {
  const cluster = started()
  const removed = cluster.add(4, { features: NEWER })
  removed.start()
  cluster.until(() => removed.leader !== undefined)
  const leader = cluster.leader()!
  expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({ errorCode: 0 })
  removed.kill()
  cluster.world.runFor(1000)
  expect(cluster.reply(leader.submit(DOWNGRADE))).toMatchObject({
    errorMessage: expect.stringContaining('controller 4 supports the levels 2 to 2'),
  })
  const removal = { type: 'removeVoter' as const, nodeId: 4, directoryId: removed.directoryId }
  expect(cluster.reply(leader.submit(removal))).toMatchObject({ errorCode: 0 })
  expect(cluster.reply(leader.submit(DOWNGRADE))).toMatchObject({ errorCode: 0 })
})
