/** Allowed: Kafka's model permits it, and it is only reported. */
export type Verdict = 'bad' | 'allowed'

/** Everything that the checker can find. */
export const ANOMALIES = {
  'inconsistent-offsets': { verdict: 'bad', meaning: 'one offset holds two or more values' },
  duplicate: { verdict: 'bad', meaning: 'one value is at two or more offsets' },
  'aborted-read': { verdict: 'bad', meaning: 'G1a: a poll returned a value whose send failed for certain' },
  'lost-write': {
    verdict: 'bad',
    meaning: 'a committed value was never read, though later ones of its partition were',
  },
  unseen: { verdict: 'bad', meaning: 'an acknowledged value was not polled by the end' },
  'poll-skip': { verdict: 'bad', meaning: 'two polls of a process in a row left out records between them' },
  'nonmonotonic-poll': { verdict: 'bad', meaning: 'a poll of a process went back behind the one before' },
  'poll-skip-subscribed': {
    verdict: 'allowed',
    meaning: 'the same with subscribe, where a rebalance may lie between',
  },
  'nonmonotonic-poll-subscribed': {
    verdict: 'allowed',
    meaning: 'the same with subscribe, where a rebalance may lie between',
  },
  'int-poll-skip': { verdict: 'bad', meaning: 'one operation’s polls left out records' },
  'int-nonmonotonic-poll': { verdict: 'bad', meaning: 'one operation’s polls went back' },
  'nonmonotonic-send': {
    verdict: 'bad',
    meaning: 'a process’s later send landed at or before an earlier one',
  },
  'int-nonmonotonic-send': {
    verdict: 'bad',
    meaning: 'a later send of one operation landed at or before an earlier one',
  },
  'int-send-skip': { verdict: 'allowed', meaning: 'a foreign value lies between two sends of one operation' },
  'precommitted-read': { verdict: 'bad', meaning: 'a transaction polled what it had sent itself' },
  G0: { verdict: 'allowed', meaning: 'a cycle of write-write edges: writes of transactions interleave' },
  G1c: { verdict: 'bad', meaning: 'a cycle of write-read edges: transactions that saw each other' },
  'G1c-ww': { verdict: 'allowed', meaning: 'a cycle of write-read and inferred write-write edges' },
  'partial-transaction': {
    verdict: 'bad',
    meaning: 'some of a committed transaction was seen, and some never',
  },
  'stale-end-offset': {
    verdict: 'bad',
    meaning: 'ListOffsets(latest) begun after an acknowledgement did not pass its offset',
  },
  'lost-commit': {
    verdict: 'bad',
    meaning: 'OffsetFetch fell below the last acknowledged commit',
  },
  'divergent-replicas': {
    verdict: 'bad',
    meaning: 'after quiescence replicas differ below the high watermark',
  },
} as const satisfies Readonly<Record<string, { verdict: Verdict; meaning: string }>>

export type AnomalyType = keyof typeof ANOMALIES

export interface Anomaly {
  readonly type: AnomalyType
  readonly verdict: Verdict
  /** What exactly, with partitions, offsets and values. */
  readonly detail: string
  /** Places in the history. */
  readonly ops: readonly number[]
}

export function anomaly(type: AnomalyType, detail: string, ops: readonly number[] = []): Anomaly {
  return { type, verdict: ANOMALIES[type].verdict, detail, ops }
}
