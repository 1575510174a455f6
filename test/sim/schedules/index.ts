import { ErrorCode } from '../../../src/wire/errors.js'
import type { Stage } from './stage.js'

export interface Schedule {
  readonly name: string
  /** The bug that it reproduces. */
  readonly about: string
  /** A planted bug that must fail it. */
  readonly mutant: string
  /** Of the cluster; true unless said otherwise. */
  readonly flushBeforeAck?: boolean
  play(stage: Stage): void
}

/** The classic bugs of replicated logs, each step by hand. */
export const SCHEDULES: readonly Schedule[] = [
  {
    name: 'stale-leader',
    about: 'a leader that was cut off goes on serving (KIP-320, KAFKA-15489)',
    mutant: 'serves-whatever-epoch-is-asked',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      acknowledged(stage, 1, 'before')
      stage.isolate(1)
      let late: number | null | undefined
      stage.send(1, 'into the void', -1, 2_000, (produced) => {
        late = produced?.errorCode ?? null
      })
      stage.wait('new leader', () => stage.leads(2) || stage.leads(3))
      const leader = stage.leads(2) ? 2 : 3
      stage.expect('the old one still believes that it leads', stage.leads(1))
      const epoch = stage.partition(leader)!.leaderEpoch
      // The new ISR is itself alone until the silent leader was fenced and the other follows.
      stage.wait('ISR of two', () => (stage.partition(leader)?.leading?.isr.isr.length ?? 0) === 2)
      acknowledged(stage, leader, 'after')
      stage.expect('the void acknowledges nothing', late !== ErrorCode.NONE)
      stage.expect('the end is told', stage.latest(leader, 'c', epoch) === 2)
      stage.expect('an old end is not told', stage.latest(1, 'c', epoch) === 'UNKNOWN_LEADER_EPOCH')
      stage.expect(
        'no old records to who knows more',
        stage.consume(1, 'c', epoch) === 'UNKNOWN_LEADER_EPOCH',
      )
      stage.runFor(3_000)
      stage.expect('the old controller resigned', stage.node(1).quorum!.status().role !== 'leader')
      stage.finish()
    },
  },
  {
    name: 'high-watermark-truncation',
    about: 'a follower that restarts cuts to its high watermark, which lags, and leads (KIP-101)',
    mutant: 'truncates-by-high-watermark',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'a')
      acknowledged(stage, 1, 'b')
      // At this moment the follower holds it, and has not heard that it is committed.
      stage.node(2).crash()
      stage.wait('shrunk ISR', () => stage.partition(1)!.leading!.isr.isr.length === 1)
      stage.expect('the end is told', stage.latest(1, 'c', -1) === 2)
      stage.expect('all of it is read', stage.consume(1, 'r', -1).length === 2)
      stage.node(2).start(0)
      stage.wait('follower that knows its leader', () => stage.partition(2)?.role.type === 'follower')
      stage.node(1).crash()
      stage.wait('leader in the place of the dead one', () => stage.leads(2))
      const end = stage.latest(2, 'c', -1)
      stage.expect(`what it does not know yet is not told: ${end}`, end === 'OFFSET_NOT_AVAILABLE')
      const read = stage.consume(2, 'r', -1)
      stage.expect(`who was further before waits: ${read}`, Array.isArray(read) && read.length === 0)
      stage.finish()
    },
  },
  {
    name: 'double-failover',
    about: 'two fast changes of the leader leave epochs that the other side never saw (KIP-279)',
    mutant: 'cuts-where-the-leader-says-alone',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'common')
      alone(stage, 2, 1)
      // An epoch that node 2 will never have heard of, and then one that node 1 will not.
      alone(stage, 1, 2)
      careless(stage, 1, 'a1')
      careless(stage, 1, 'a2')
      careless(stage, 1, 'a3')
      alone(stage, 2, 1)
      for (const value of ['b1', 'b2', 'b3', 'b4', 'b5']) careless(stage, 2, value)
      alone(stage, 1, 2)
      careless(stage, 1, 'a4')
      stage.node(2).start(0)
      stage.finish()
    },
  },
  {
    name: 'last-replica-standing',
    about: 'the last of the ISR goes on alone, and loses what it alone had (KIP-966)',
    mutant: 'advances-below-the-minimum-isr',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'on both')
      stage.node(2).crash()
      stage.wait('ISR of one', () => stage.partition(1)!.leading!.isr.isr.length === 1)
      stage.expect('the other stays eligible', stage.image(3)!.elr.join() === '2')
      const refused = stage.produce(1, 'nobody promises this', -1)
      stage.expect('acks=all is refused', refused?.errorCode === ErrorCode.NOT_ENOUGH_REPLICAS)
      careless(stage, 1, 'on one alone')
      stage.runFor(500)
      const read = stage.consume(1, 'c', -1)
      stage.expect(`nobody reads what one alone holds: ${read}`, String(read) === 'on both')
      stage.node(1).powerCut(stage.random)
      stage.node(2).start(0)
      stage.wait('eligible replica that leads', () => stage.leads(2))
      careless(stage, 2, 'another in its place')
      stage.node(1).start(0)
      stage.finish()
    },
  },
  {
    name: 'lagging-survivor',
    about: 'who is not in sync leads, since all who are happen to be away (KIP-966)',
    mutant: 'elects-whoever-is-there',
    play(stage) {
      stage.begin([1, 2, 3], 3)
      stage.cut(1, 2)
      careless(stage, 1, 'what one of them misses')
      stage.wait('ISR of two', () => stage.image(3)!.isr.join() === '1,3')
      acknowledged(stage, 1, 'on two')
      stage.node(1).crash()
      stage.node(3).crash()
      stage.heal()
      // With it there is a controller again, which must wait until it is unfenced.
      stage.node(3).start(0)
      stage.wait('leader that was in sync', () => stage.leads(3))
      stage.finish()
    },
  },
  {
    name: 'early-return',
    about: "a replica enters the ISR before it holds what its leader's epoch began with (KIP-497)",
    mutant: 'lets-in-below-the-epoch-start',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'on both')
      alone(stage, 1, 2)
      stage.wait('ISR of one', () => stage.partition(1)!.leading!.isr.isr.length === 1)
      careless(stage, 1, 'on one alone')
      careless(stage, 1, 'this as well')
      stage.node(1).crash()
      alone(stage, 1, 2)
      // Its first fetch, of what the leader's epoch does not begin with, comes when nothing else keeps it out.
      stage.cut(1, 2)
      stage.node(2).start(0)
      stage.wait('unfenced follower', () => stage.isFenced(2, 1) === false)
      stage.finish()
    },
  },
  {
    name: 'unreconciled-follower',
    about: 'a leader counts what a follower holds of another history (KAFKA-14704)',
    mutant: 'counts-offsets-of-a-diverging-log',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'on both')
      alone(stage, 2, 1)
      stage.node(1).start(0)
      stage.wait('ISR of two', () => stage.partition(2)?.leading?.isr.isr.length === 2)
      stage.runFor(500)
      // What the leader wrote last nobody has when its leadership moves, and it stays in the ISR.
      stage.cut(1, 2)
      careless(stage, 2, 'on one alone')
      let given: number | undefined
      stage.send(2, 'pending', -1, 20_000, (produced) => {
        given = produced?.errorCode
      })
      stage.electPreferred(3)
      stage.wait('preferred leader', () => stage.leads(1) && !stage.leads(2))
      stage.expect(`what waits is not known to be committed: ${given}`, given !== ErrorCode.NONE)
      let isAcknowledged = false
      stage.send(1, 'in its place', -1, 5_000, (produced) => {
        isAcknowledged = produced?.errorCode === ErrorCode.NONE
      })
      stage.runFor(100)
      stage.heal()
      stage.wait('acknowledgement', () => isAcknowledged)
      stage.finish()
    },
  },
  {
    name: 'quarantined-replica',
    about:
      'a replica whose log was damaged and set aside keeps its place among those that may lead (KIP-966)',
    mutant: 'lets-a-quarantined-replica-lead',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'a')
      acknowledged(stage, 1, 'b')
      stage.runFor(3_000)
      stage.node(2).crash()
      stage.wait('ISR of one', () => stage.image(3)!.elr.join() === '2')
      stage.damage(2)
      stage.node(2).start(0)
      stage.wait('replica that is out', () => stage.image(3)!.elr.length === 0)
      stage.finish()
    },
  },
  {
    name: 'empty-return',
    about: 'a replica keeps its place among those that may lead, and comes back with an empty disk (KIP-966)',
    mutant: 'leaves-its-place-to-an-empty-directory',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'on both')
      stage.node(1).crash()
      stage.wait('eligible replica', () => stage.image(3)!.elr.join() === '1')
      stage.wipe(1)
      stage.cut(1, 2)
      stage.node(1).start(0)
      stage.wait('unfenced broker', () => stage.isFenced(1, 3) === false)
      // It has to vote, so that the two of them are a quorum without the one that has everything.
      stage.removeVoter(3, 1)
      stage.wait('removed voter', () => stage.voters(3) === '2,3')
      stage.runFor(100)
      stage.addVoter(3, 1)
      stage.wait('new voter', () => stage.voters(3).split(',').length === 3)
      stage.isolate(2)
      stage.wait('fenced leader', () => stage.isFenced(2, 3) === true)
      stage.runFor(2_000)
      stage.expect('who holds nothing leads nothing', !stage.leads(1))
      stage.finish()
    },
  },
  {
    name: 'forgetful-return',
    about:
      'a replica keeps its place among those that may lead, and has forgotten what it had not written (KIP-966)',
    mutant: 'leaves-its-place-to-who-may-have-forgotten',
    flushBeforeAck: false,
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'in the memory of both')
      stage.forget(1)
      stage.wait('eligible replica', () => stage.image(3)!.elr.join() === '1')
      stage.isolate(2)
      stage.node(1).start(0)
      stage.wait('fenced leader', () => stage.isFenced(2, 3) === true)
      stage.wait('unfenced broker', () => stage.isFenced(1, 3) === false)
      stage.runFor(2_000)
      stage.expect('who may have forgotten leads nothing', !stage.leads(1))
      stage.finish()
    },
  },
  {
    name: 'failed-fsync',
    about: 'a process starts again after an fsync that failed, and trusts the pages that it still reads',
    mutant: 'trusts-the-pages-of-a-failed-fsync',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'synced')
      const node = stage.node(2)
      let starts = 0
      node.failNextSync(() => {
        node.crash()
        node.start(0)
        starts++
      })
      stage.send(1, 'read by all and written by one', -1, 5_000, () => {})
      stage.wait('new process', () => starts === 1)
      stage.wait('ISR of two', () => stage.image(3)!.isr.length === 2 && !stage.isFenced(2, 3))
      acknowledged(stage, 1, 'after it')
      node.powerCut(stage.random)
      node.start(0)
      stage.finish()
    },
  },
  {
    name: 'zombie-fetch',
    about: 'a replica enters the ISR for what it fetched before its restart (KIP-903)',
    mutant: 'lets-in-who-fetched-under-an-old-registration',
    play(stage) {
      stage.begin([1, 2], 3)
      acknowledged(stage, 1, 'a')
      stage.node(2).crash()
      stage.wait('ISR of one', () => stage.partition(1)!.leading!.isr.isr.length === 1)
      // It registers anew, and its leader hears nothing of its log.
      stage.cut(1, 2)
      stage.node(2).start(0)
      stage.wait('unfenced follower', () => stage.isFenced(2, 1) === false)
      stage.runFor(3_000)
      stage.expect('nobody joins who has not fetched', stage.image(3)!.isr.join() === '1')
      stage.finish()
    },
  },
  {
    name: 'delayed-alter-partition',
    about: 'a change of the ISR arrives when another was made in its place (KIP-497)',
    mutant: 'ignores-the-partition-epoch-of-a-change',
    play(stage) {
      stage.begin([1, 2, 3], 2)
      stage.cut(1, 3)
      careless(stage, 1, 'what one of them misses')
      stage.wait('shrunk ISR', () => stage.image(2)!.isr.join() === '1,2')
      // Its leader asks for it to come back: the first request is late, the second is not.
      stage.holds = (from, _to, message) =>
        from === 1 &&
        message.type === 'command' &&
        message.command.type === 'alterPartitions' &&
        stage.held.length === 0
      stage.heal()
      stage.wait('request that is late', () => stage.held.length > 0)
      stage.wait('grown ISR', () => stage.image(2)!.isr.length === 3)
      stage.holds = () => false
      stage.cut(1, 3)
      careless(stage, 1, 'what it misses again')
      stage.wait('ISR that shrank again', () => stage.image(2)!.isr.join() === '1,2')
      stage.release()
      stage.runFor(1_000)
      stage.expect('the late request changed nothing', stage.image(2)!.isr.join() === '1,2')
      acknowledged(stage, 1, 'on two')
      stage.finish()
    },
  },
  {
    name: 'pending-shrink',
    about: 'a leader acts on a change of the ISR that the controller has not made (KIP-497)',
    mutant: 'takes-a-shrink-for-granted',
    play(stage) {
      stage.begin([1, 2, 3], 2)
      stage.holds = (_from, _to, message) =>
        message.type === 'command' && message.command.type === 'alterPartitions'
      stage.cut(1, 3)
      careless(stage, 1, 'what one of them misses')
      stage.wait('request for a shrink', () => stage.held.length > 0)
      const produced = stage.produce(1, 'not on all of them', -1, 1_000)
      stage.expect(
        `the ISR is as the controller has it: ${produced?.errorCode}`,
        produced?.errorCode === ErrorCode.REQUEST_TIMED_OUT,
      )
      stage.finish()
    },
  },
  {
    name: 'vote-amnesia',
    about: 'a voter forgets its vote with its power, and votes again in the same term (Raft §5.2)',
    mutant: 'forgets-its-vote',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      const { term, voters } = stage.node(1).quorum!.status()
      const rival = voters.find(({ nodeId }) => nodeId === 1)
      let voter: number | undefined
      stage.holds = (from, _to, message) => {
        if (message.type !== 'raft' || message.message.type !== 'voteReply' || !message.message.granted)
          return false
        voter = from
        return true
      }
      stage.node(1).crash()
      stage.wait('vote', () => voter !== undefined)
      stage.node(voter!).powerCut(stage.random)
      stage.node(voter!).start(0)
      stage.holds = null
      stage.held.length = 0
      const isAwake = (): boolean => stage.node(voter!).quorum?.raft !== undefined
      stage.wait('voter that is back', isAwake)
      stage.inject(1, voter!, {
        type: 'raft',
        clusterId: stage.node(voter!).quorum!.status().clusterId!,
        message: {
          type: 'vote',
          term: term + 1,
          candidate: rival!,
          voterDirectoryId: voters.find(({ nodeId }) => nodeId === voter)!.directoryId,
          lastIndex: 1_000_000,
          lastTerm: term,
          transfer: false,
        },
      })
      stage.runFor(50)
      stage.finish()
    },
  },
  {
    name: 'dead-leader',
    about: 'a leader whose dial is refused is replaced without waiting for its silence (KIP-996)',
    mutant: 'waits-for-a-dead-leader',
    play(stage) {
      stage.begin([1, 2, 3], 3)
      stage.node(3).crash()
      const diedMs = stage.clock.nowMs
      stage.wait('new controller', () => stage.controller() !== undefined)
      const tookMs = stage.clock.nowMs - diedMs
      stage.expect(`it took ${tookMs} ms`, tookMs < 700)
      stage.finish()
    },
  },
  {
    name: 'divergent-tails',
    about: 'two leaders in a row leave entries at the same indexes that nobody else holds (Raft §5.3)',
    mutant: 'appends-without-looking-at-the-entry-before',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.isolate(1)
      for (let i = 0; i < 5; i++) stage.configure(1)
      // The next one cannot replicate even its first entry, and dies.
      stage.holds = (from, _to, message) =>
        from !== 1 && message.type === 'raft' && message.message.type === 'append'
      const successor = (): number | undefined =>
        [2, 3].find((id) => stage.node(id).quorum?.status().role === 'leader')
      stage.wait('new leader', () => successor() !== undefined)
      const next = successor()!
      const { term } = stage.node(next).quorum!.status()
      stage.runFor(100)
      stage.node(next).crash()
      // Nor does what it had sent arrive when its links are healed.
      stage.holds = (from, _to, message) =>
        from === next && message.type === 'raft' && message.message.term === term
      stage.node(next).start(0)
      stage.wait('the same leader again', () => successor() === next)
      stage.runFor(1_000)
      stage.heal()
      stage.runFor(1_000)
      stage.held.length = 0
      stage.finish()
    },
  },
  {
    name: 'stalled-disk',
    about: 'a leader that cannot write holds the place of one that can (KIP-996)',
    mutant: 'leads-on-with-a-stalled-disk',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.node(1).slowDisk(20_000)
      stage.configure(1)
      stage.wait('other controller', () => (stage.controller() ?? 1) !== 1, 6_000)
      stage.node(1).healDisk()
      stage.runFor(20_000)
      stage.finish()
    },
  },
  {
    name: 'slow-disk',
    about: 'heartbeats wait behind a slow disk, and a healthy leader is deposed (KIP-996)',
    mutant: 'heartbeats-wait-for-the-disk',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      const { term } = stage.node(1).quorum!.status()
      stage.node(1).slowDisk(1_400)
      for (let i = 0; i < 6; i++) {
        stage.configure(1)
        stage.runFor(4_000)
      }
      const now = stage.node(1).quorum!.status()
      stage.expect(`term ${term} is over: ${now.term}`, now.term === term && now.role === 'leader')
      stage.node(1).healDisk()
      stage.finish()
    },
  },
  {
    name: 'death-before-activation',
    about: 'a new controller never saw the stream of the broker that died with its predecessor',
    mutant: 'dials-nobody-at-its-activation',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.node(2).crash()
      stage.node(1).crash()
      stage.node(1).start(0)
      stage.wait('new controller', () => stage.controller() !== undefined)
      stage.wait('fencing of the dead', () => stage.isFenced(2, stage.controller() ?? 3) === true, 1_500)
      stage.finish()
    },
  },
  {
    name: 'returning-coordinator',
    about: 'a coordinator goes on with what it knew when its leadership comes back (KAFKA-20634)',
    mutant: 'completes-writes-under-any-leadership',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      const first = coordinatorWith(stage, 'g', 1)
      stage.isolate(first)
      const other = first === 1 ? 2 : 1
      stage.wait('other coordinator', () => ![first, undefined, -1].includes(stage.coordinator(other)))
      const second = stage.coordinator(other)!
      stage.retry('commit there', () => stage.commit(second, 'g', 2) === ErrorCode.NONE)
      stage.heal()
      stage.retry('return of the first', () => {
        stage.electPreferred(second, '__consumer_offsets')
        return stage.coordinator(other) === first && stage.coordinator(first) === first
      })
      stage.retry('what is committed', () => stage.committed(first, 'g') !== null)
      stage.finish()
    },
  },
  {
    name: 'unapplied-log',
    about: 'a new controller decides before it has applied what its predecessor had committed (KAFKA-17333)',
    mutant: 'acts-as-the-controller-before-it-knows-the-log',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      const known = stage.node(2).quorum!.status().commitIndex
      // The successor holds the change, and has not heard that it is committed.
      stage.holds = (from, _to, message) => {
        if (from !== 1 || message.type !== 'raft') return false
        const { message: sent } = message
        return (sent.type === 'append' || sent.type === 'heartbeat') && sent.commitIndex > known
      }
      stage.node(3).crash()
      stage.wait('ISR of two', () => stage.image(1)!.isr.length === 2)
      acknowledged(stage, 1, 'what the third lacks')
      stage.node(1).crash()
      stage.holds = (from, _to, message) =>
        from === 2 && message.type === 'raft' && message.message.type === 'append'
      stage.node(3).start(0)
      stage.wait('new leader', () => stage.node(2).quorum?.status().role === 'leader')
      stage.runFor(300)
      stage.finish()
    },
  },
  {
    name: 'early-change',
    about: 'a new leader changes the voters before it has committed anything (the single-server bug of 2015)',
    mutant: 'changes-voters-before-its-term-has-committed',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.node(1).crash()
      stage.holds = (_from, _to, message) => message.type === 'raft' && message.message.type === 'append'
      const successor = (): number | undefined =>
        [2, 3].find((id) => stage.node(id).quorum?.status().role === 'leader')
      stage.wait('new leader', () => successor() !== undefined)
      const leader = successor()!
      stage.runFor(150)
      stage.removeVoter(leader, 1)
      stage.runFor(300)
      stage.expect('the voters are the same', stage.voters(leader) === '1,2,3')
      stage.finish()
    },
  },
  {
    name: 'two-changes',
    about: 'a leader changes the voters twice before the first change has committed (Raft thesis §4.1)',
    mutant: 'changes-voters-while-they-change',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.holds = (_from, to, message) =>
        to === 1 && message.type === 'raft' && message.message.type === 'appendReply'
      stage.removeVoter(1, 2)
      stage.removeVoter(1, 3)
      stage.runFor(300)
      stage.expect('one voter has left', stage.voters(1) === '1,3')
      stage.finish()
    },
  },
  {
    name: 'reverted-change',
    about: 'a set of voters counts although its entry was cut off (Raft §6)',
    mutant: 'keeps-voters-whose-entry-was-cut',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.holds = (from, _to, message) =>
        from === 1 && message.type === 'raft' && message.message.type === 'append'
      stage.removeVoter(1, 3)
      stage.wait('appended change', () => stage.voters(1) === '1,2')
      stage.isolate(1)
      stage.wait('new controller', () => [2, 3].includes(stage.controller() ?? 1))
      stage.runFor(1_000)
      stage.holds = null
      stage.held.length = 0
      stage.heal()
      stage.runFor(3_000)
      stage.expect('the former voters are back', stage.voters(1) === '1,2,3')
      stage.finish()
    },
  },
  {
    name: 'own-removal',
    about: 'a leader that takes its own vote counts itself all the same (Raft thesis §4.2.2)',
    mutant: 'counts-itself-after-its-removal',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.holds = (from, to, message) =>
        from === 1 && to === 3 && message.type === 'raft' && message.message.type === 'append'
      stage.removeVoter(1, 1)
      stage.runFor(500)
      stage.release()
      stage.wait('new controller', () => [2, 3].includes(stage.controller() ?? 1))
      stage.expect('the voters are the others', stage.voters(2) === '2,3')
      stage.finish()
    },
  },
  {
    name: 'removed-leader',
    about: 'a leader that was removed from the voters leads on (Raft thesis §4.2.2)',
    mutant: 'leads-on-after-its-removal',
    play(stage) {
      stage.begin([1, 2, 3], 1)
      stage.removeVoter(1, 1)
      stage.runSeconds(6)
      stage.expect('the voters are the others', stage.voters(2) === '2,3')
      stage.finish()
    },
  },
  {
    name: 'two-wiped-nodes',
    about: 'two empty nodes of three found a cluster, and erase the third',
    mutant: 'founds-with-a-majority',
    play(stage) {
      stage.begin([1, 2, 3], 3)
      acknowledged(stage, 1, 'kept by one')
      const { clusterId } = stage.node(3).quorum!.status()
      for (const { id } of stage.nodes) stage.node(id).crash()
      for (const id of [1, 2]) {
        stage.wipe(id)
        stage.node(id).start(0)
      }
      stage.runFor(10_000)
      stage.node(3).start(0)
      stage.runFor(10_000)
      for (const { id, quorum } of stage.nodes) {
        const known = quorum?.status().clusterId
        stage.expect(`node ${id} belongs to ${known}`, known === undefined || known === clusterId)
      }
      const end = stage.partition(3)?.log.logEndOffset
      stage.expect(`the third holds ${end} records`, end === undefined || end === 1)
    },
  },
]

function acknowledged(stage: Stage, leader: number, value: string): void {
  const produced = stage.produce(leader, value, -1)
  stage.expect(`${value} is acknowledged: ${produced?.errorCode}`, produced?.errorCode === ErrorCode.NONE)
}

/** acks=1: the leader alone has it, perhaps for good. */
function careless(stage: Stage, leader: number, value: string): void {
  const produced = stage.produce(leader, value, 1)
  stage.expect(`${value} is taken: ${produced?.errorCode}`, produced?.errorCode === ErrorCode.NONE)
}

/** One of two replicas leads while the other is down. */
function alone(stage: Stage, leader: number, other: number): void {
  if (stage.node(other).isUp) stage.node(other).crash()
  if (!stage.node(leader).isUp) stage.node(leader).start(0)
  stage.wait(`node ${leader} that leads alone`, () => stage.leads(leader))
  stage.runFor(200)
}

/** The coordinator, after a first commit through it. */
function coordinatorWith(stage: Stage, group: string, offset: number): number {
  stage.askForCoordinator(1, group)
  stage.retry('coordinator', () => {
    const known = stage.coordinator(1) ?? -1
    return known > 0 && stage.commit(known, group, offset) === ErrorCode.NONE
  })
  stage.runFor(500)
  return stage.coordinator(1)!
}
