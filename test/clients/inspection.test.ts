import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import * as grpc from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceDefinition } from '../../src/adapters/grpc-service.js'
import { cleanEnvironment, kogge, LAUNCHER, startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, GRPCURL, runTool } from '../support/toolchain.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startCluster({ restartAfter: '4s' })
})
afterAll(() => cluster?.stop())

const addressOf = (id: number): string => `127.0.0.1:${cluster.nodes[id - 1]!.grpcPort}`

interface Status {
  quorum: {
    nodeId: number
    role: string
    leader: number
    term: string
    clusterId: string
    hasQuorum: boolean
  }
  broker: { state: string }
}

interface Replica {
  topic: string
  role: string
  isr: { committed: number[] }
}

// A stock client: it has none of our files and asks the node itself what there is (server reflection).
describeWith('grpcurl', () => {
  const grpcurl = async (id: number, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runTool(GRPCURL, ['-plaintext', ...args])
    expect(code, `node ${id}: ${stderr}`).toBe(0)
    return stdout
  }

  it('lists and describes the services', async () => {
    const services = (await grpcurl(1, addressOf(1), 'list')).trimEnd().split('\n')
    expect(services).toEqual(
      expect.arrayContaining([
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
        'kogge.inspect.v1.Inspect',
      ]),
    )
    const described = await grpcurl(1, addressOf(1), 'describe', 'kogge.inspect.v1.Inspect')
    for (const method of ['GetStatus', 'WatchEvents', 'ReadLog', 'ListPartitions'])
      expect(described).toContain(`rpc ${method} (`)
  })

  it('every node tells its part in the quorum, and they agree', async () => {
    const statuses = await Promise.all(
      [1, 2, 3].map(
        async (id) =>
          JSON.parse(await grpcurl(id, addressOf(id), 'kogge.inspect.v1.Inspect/GetStatus')) as Status,
      ),
    )
    expect(statuses.map(({ quorum }) => quorum.nodeId)).toEqual([1, 2, 3])
    expect(statuses.map(({ quorum }) => quorum.role).sort()).toEqual(['follower', 'follower', 'leader'])
    const leader = statuses.find(({ quorum }) => quorum.role === 'leader')!.quorum
    for (const { quorum, broker } of statuses) {
      expect(quorum).toMatchObject({
        leader: leader.nodeId,
        term: leader.term,
        clusterId: leader.clusterId,
        hasQuorum: true,
      })
      expect(broker.state).toBe('running')
    }
  })

  it('reads the metadata log and the partitions', async () => {
    const made = await kogge(['topic', 'create', 'seen', '--bootstrap-server', cluster.bootstrap])
    expect(made.code, made.stderr).toBe(0)
    const log = await grpcurl(2, addressOf(2), 'kogge.inspect.v1.Inspect/ReadLog')
    expect(log).toContain('"registerBrokerRecord"')
    expect(log).toMatch(/"topicRecord": \{\s+"name": "seen"/)
    const replicas = await Promise.all(
      [1, 2, 3].map(async (id) => {
        const answer = await grpcurl(id, addressOf(id), 'kogge.inspect.v1.Inspect/ListPartitions')
        const { partitions } = JSON.parse(answer) as { partitions: Replica[] }
        return partitions.find(({ topic }) => topic === 'seen')!
      }),
    )
    expect(replicas.map(({ role }) => role).sort()).toEqual(['follower', 'follower', 'leader'])
    const leader = replicas.find(({ role }) => role === 'leader')!
    expect([...leader.isr.committed].sort()).toEqual([1, 2, 3])
  })

  it('is told of health', async () => {
    expect(JSON.parse(await grpcurl(3, addressOf(3), 'grpc.health.v1.Health/Check'))).toEqual({
      status: 'SERVING',
    })
  })
})

it.each(['v1', 'v1alpha'])('reflection %s answers a node that is asked with bytes alone', async (version) => {
  const client = new grpc.Client(addressOf(1), grpc.credentials.createInsecure())
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (bytes) => bytes,
    (bytes) => bytes,
  )
  const answer = await new Promise<Buffer>((resolve, reject) => {
    call.on('data', resolve)
    call.on('error', reject)
    call.end(Buffer.from([(7 << 3) | 2, 1, 0x2a])) // list_services: '*'
  })
  expect(answer.toString('latin1')).toContain('kogge.inspect.v1.Inspect')
  client.close()
})

/** `kogge raft watch -o json`: its events so far, and a wait for one. */
function watchRaft(addresses: readonly string[]) {
  const child = spawn(
    process.execPath,
    [LAUNCHER, 'raft', 'watch', '-o', 'json', '--inspect', addresses.join(',')],
    {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const events: WatchLine[] = []
  let stderr = ''
  let look = () => {}
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as WatchLine)
    look()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return {
    events,
    stderr: () => stderr,
    until: (seen: (event: WatchLine) => boolean) =>
      new Promise<WatchLine>((resolve) => {
        look = () => {
          const found = events.find(seen)
          if (found !== undefined) resolve(found)
        }
        look()
      }),
    stop: () =>
      new Promise<number | null>((resolve) => {
        child.once('close', resolve)
        child.kill('SIGTERM')
      }),
  }
}

interface WatchLine {
  node: number
  address: string
  type: 'status' | 'event' | 'missed'
  status?: { quorum: { role: string; leader?: number; term: number } }
  event?: { type: string; role?: string; leader?: number; term?: number }
}

it('kogge raft watch outlives the leader that it watches, and sees the next one', async () => {
  // Three partitions: each broker leads one.
  await kogge(['topic', 'create', 'moved', '--partitions', '3', '--bootstrap-server', cluster.bootstrap])
  const { stdout } = await kogge(['raft', 'status', '-o', 'json', '--bootstrap-server', cluster.bootstrap])
  const leader = leaderOf(stdout)
  const others = [1, 2, 3].filter((id) => id !== leader)
  const watch = watchRaft([leader, ...others].map(addressOf))
  const first = await watch.until(({ type }) => type === 'status')
  expect(first).toMatchObject({ node: leader, status: { quorum: { role: 'leader', leader } } })
  const { term } = first.status!.quorum
  cluster.kill(leader)
  const next = await watch.until(({ type, node }) => type === 'status' && node !== leader)
  expect(others).toContain(next.node)
  const isNewLeader = (candidate?: number): boolean => candidate !== undefined && others.includes(candidate)
  const elected = await watch.until(
    ({ status, event }) =>
      isNewLeader(status?.quorum.leader) || (event?.type === 'role' && isNewLeader(event.leader)),
  )
  expect(elected.status?.quorum.term ?? elected.event?.term).toBeGreaterThan(term)
  expect(await watch.stop()).toBe(0)
  expect(watch.stderr()).toContain(`kogge: lost ${addressOf(leader)} (`)

  // What it cost is known with its first commit, and on every survivor when that has applied it.
  const isWhole = (elections: readonly Election[]): boolean => {
    const ofRaft = elections.findLast(({ type }) => type === 'raft')
    const ofPartitions = elections.some((each) => each.type === 'partitions' && each.formerLeader === leader)
    return ofPartitions && ofRaft?.costMs != null && ofRaft.seenBy.length === others.length
  }
  let elections: Election[] = []
  while (!isWhole(elections)) {
    const asked = ['raft', 'elections', '-o', 'json', '--inspect', others.map(addressOf).join(',')]
    elections = JSON.parse((await kogge(asked)).stdout) as Election[]
  }
  const ofRaft = elections.findLast(({ type }) => type === 'raft')!
  expect(ofRaft).toMatchObject({ formerLeader: leader, seenBy: others })
  // A refused dial tells of the death within milliseconds; on a busy machine the silence may end first.
  expect(ofRaft.cause).toMatch(/^(leaderDead|electionTimeout)$/)
  expect(ofRaft.costMs).toBeGreaterThan(0)
  expect(elections).toContainEqual(
    expect.objectContaining({
      type: 'partitions',
      formerLeader: leader,
      cause: expect.stringMatching(/^broker(Fenced|Restarted)$/),
    }),
  )
  const text = await kogge(['raft', 'elections', '--limit', '3', '--inspect', addressOf(others[0]!)])
  expect(text.stdout).toMatch(/^TIME +WHAT +CAUSE +FROM +TO +COST +COURSE\n/)
  expect(text.stdout).toMatch(/Raft, term \d+ .* ms +noticed at \d+, elected at \d+, committing at \d+ ms/)
})

interface Election {
  type: string
  cause: string
  costMs: number | null
  formerLeader: number | null
  seenBy: number[]
}

describe('health without a quorum', () => {
  it('turns NOT_SERVING on the survivor of three, and SERVING when the others are back', async () => {
    // The test before left one node on its way back.
    await Promise.all([1, 2, 3].map((id) => untilHealth(id, 'serving')))
    const survivor = watchHealth(addressOf(1))
    await survivor.until('serving')
    cluster.kill(2)
    cluster.kill(3)
    await survivor.until('notServing')
    await survivor.until('serving')
    expect(survivor.seen).toEqual(['serving', 'notServing', 'serving'])
    survivor.close()
  })
})

const HEALTH = serviceDefinition('grpc.health.v1.Health')

/** The health of the quorum as one node tells it, from now on. */
function watchHealth(address: string) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure())
  const { path, requestSerialize, responseDeserialize } = HEALTH.watch!
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
    service: 'quorum',
  })
  const seen: string[] = []
  let taken = 0
  let look = () => {}
  let failure: Error | undefined
  call.on('data', ({ status }: { status: string }) => {
    seen.push(status)
    look()
  })
  call.on('error', (error) => {
    failure = error
    look()
  })
  return {
    seen,
    /** The next one that was not waited for yet must be this. */
    until: (status: string) =>
      new Promise<void>((resolve, reject) => {
        look = () => {
          if (taken < seen.length) {
            if (seen[taken] === status) resolve()
            else reject(new Error(`${seen[taken]}, not ${status}`))
            taken++
            look = () => {}
          } else if (failure !== undefined) reject(failure)
        }
        look()
      }),
    close: () => {
      call.on('error', () => {})
      call.cancel()
      client.close()
    },
  }
}

/** Asks again while the node is away. */
async function untilHealth(id: number, wanted: string): Promise<void> {
  const client = new grpc.Client(addressOf(id), grpc.credentials.createInsecure(), {
    'grpc.max_reconnect_backoff_ms': 200,
  })
  const { path, requestSerialize, responseDeserialize } = HEALTH.check!
  const check = () =>
    new Promise<string>((resolve) =>
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service: 'quorum' },
        (error, answer) => resolve(error === null ? (answer as { status: string }).status : 'away'),
      ),
    )
  while ((await check()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 100))
  client.close()
}

function leaderOf(raftStatus: string): number {
  const found = raftStatus.match(/"leader":\s*(\d)/)
  if (found === null) throw new Error(`no leader in ${raftStatus}`)
  return Number(found[1])
}
