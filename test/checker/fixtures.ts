import type { AnomalyType } from '../../src/checker/anomalies.js'
import type { History, MicroOp, Operation, Outcome } from '../../src/checker/history.js'

/** Histories in shorthand: entries run one after the other, 10 ms each, unless they say otherwise. */

type Entry = Partial<Operation> & Pick<Operation, 'ops' | 'f'>

export function history(...entries: readonly Entry[]): History {
  return entries.map((entry, at) => ({
    process: 0,
    type: 'ok',
    tStart: at * 10,
    tEnd: at * 10 + 5,
    ...entry,
  }))
}

export function send(offset: number | null, value: number, partition = 'p'): MicroOp {
  return ['send', partition, [offset, value]]
}

export function poll(records: readonly (readonly [number, number])[], partition = 'p'): MicroOp {
  return ['poll', { [partition]: records }]
}

export function sends(process: number, ...ops: readonly MicroOp[]): Entry {
  return { process, f: 'send', ops }
}

export function polls(process: number, ...records: readonly (readonly [number, number])[]): Entry {
  return { process, f: 'poll', ops: [poll(records)] }
}

export function txn(process: number, ...ops: readonly MicroOp[]): Entry {
  return { process, f: 'txn', ops }
}

export function ended(type: Outcome, entry: Entry): Entry {
  return { ...entry, type }
}

/** Two producers, a consumer, every kind of operation, nothing wrong: gaps between offsets are legal. */
export const CLEAN: History = history(
  sends(1, send(0, 1)),
  sends(2, send(1, 2), send(4, 3)),
  ended('info', sends(1, send(null, 4))),
  ended('fail', sends(2, send(null, 5))),
  { process: 3, f: 'assign', ops: [] },
  { process: 4, f: 'listOffsets', ops: [['latest', 'p', 5]] },
  polls(3, [0, 1], [1, 2]),
  polls(3, [4, 3], [6, 4]),
  { process: 3, f: 'commit', ops: [['commit', 'g', 'p', 7]] },
  { process: 4, f: 'fetchCommitted', ops: [['committed', 'g', 'p', 7]] },
  txn(1, send(7, 6), send(0, 7, 'q')),
  { process: 5, f: 'assign', ops: [] },
  polls(5, [0, 1], [1, 2], [4, 3], [6, 4], [7, 6]),
  { process: 5, f: 'poll', ops: [poll([[0, 7]], 'q')] },
)

/** For each anomaly a history that has it. Others may come with it, where one cannot be had alone. */
export const FIXTURES: Readonly<Record<Exclude<AnomalyType, 'divergent-replicas'>, History>> = {
  'inconsistent-offsets': history(
    sends(1, send(0, 1)),
    sends(2, send(0, 2)),
    polls(3, [0, 1]),
    polls(4, [0, 2]),
  ),
  duplicate: history(sends(1, send(0, 1)), polls(3, [0, 1], [1, 1])),
  'aborted-read': history(ended('fail', sends(1, send(null, 1))), polls(3, [0, 1])),
  'lost-write': history(sends(1, send(0, 1)), sends(2, send(1, 2)), polls(3, [1, 2])),
  unseen: history(sends(1, send(0, 1)), sends(1, send(1, 2)), polls(3, [0, 1])),
  'poll-skip': history(
    sends(1, send(0, 1)),
    sends(1, send(1, 2)),
    sends(1, send(2, 3)),
    polls(4, [0, 1], [1, 2], [2, 3]),
    polls(3, [0, 1]),
    polls(3, [2, 3]),
  ),
  'nonmonotonic-poll': history(
    sends(1, send(0, 1)),
    sends(1, send(1, 2)),
    polls(3, [0, 1], [1, 2]),
    polls(3, [1, 2]),
  ),
  'poll-skip-subscribed': history(
    sends(1, send(0, 1)),
    sends(1, send(1, 2)),
    sends(1, send(2, 3)),
    polls(4, [0, 1], [1, 2], [2, 3]),
    { process: 3, f: 'subscribe', ops: [] },
    polls(3, [0, 1]),
    polls(3, [2, 3]),
  ),
  'nonmonotonic-poll-subscribed': history(
    sends(1, send(0, 1)),
    { process: 3, f: 'subscribe', ops: [] },
    polls(3, [0, 1]),
    polls(3, [0, 1]),
  ),
  'int-poll-skip': history(
    sends(1, send(0, 1)),
    sends(1, send(1, 2)),
    sends(1, send(2, 3)),
    polls(4, [0, 1], [1, 2], [2, 3]),
    polls(3, [0, 1], [2, 3]),
  ),
  'int-nonmonotonic-poll': history(
    sends(1, send(0, 1)),
    sends(1, send(1, 2)),
    polls(4, [0, 1], [1, 2]),
    polls(3, [1, 2], [0, 1]),
  ),
  'nonmonotonic-send': history(sends(1, send(1, 1)), sends(1, send(0, 2)), polls(3, [0, 2], [1, 1])),
  'int-nonmonotonic-send': history(sends(1, send(1, 1), send(0, 2)), polls(3, [0, 2], [1, 1])),
  'int-send-skip': history(
    sends(1, send(0, 1), send(2, 3)),
    sends(2, send(1, 2)),
    polls(3, [0, 1], [1, 2], [2, 3]),
  ),
  'precommitted-read': history(txn(1, send(0, 1), poll([[0, 1]])), polls(3, [0, 1])),
  G0: history(
    txn(1, send(0, 1), send(1, 11, 'q')),
    txn(2, send(1, 2), send(0, 12, 'q')),
    polls(3, [0, 1], [1, 2]),
    {
      process: 3,
      f: 'poll',
      ops: [
        poll(
          [
            [0, 12],
            [1, 11],
          ],
          'q',
        ),
      ],
    },
  ),
  G1c: history(txn(1, send(0, 1), poll([[0, 2]], 'q')), txn(2, send(0, 2, 'q'), poll([[0, 1]]))),
  'G1c-ww': history(
    // 1 before 2 in p; and 1 has read what 2 wrote to q.
    txn(1, send(0, 1), poll([[0, 12]], 'q')),
    txn(2, send(1, 2), send(0, 12, 'q')),
    polls(3, [0, 1], [1, 2]),
  ),
  'partial-transaction': history(ended('info', txn(1, send(0, 1), send(null, 2, 'q'))), polls(3, [0, 1])),
  'stale-end-offset': history(
    sends(1, send(4, 1)),
    { process: 2, f: 'listOffsets', ops: [['latest', 'p', 4]] },
    polls(3, [4, 1]),
  ),
  'lost-commit': history(
    { process: 1, f: 'commit', ops: [['commit', 'g', 'p', 5]] },
    { process: 1, f: 'commit', ops: [['commit', 'g', 'p', 9]] },
    { process: 2, f: 'fetchCommitted', ops: [['committed', 'g', 'p', 5]] },
  ),
}
