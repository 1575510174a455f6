/**
 * What clients did and saw, one entry an operation, after the Kafka workload of Jepsen. Values are unique per
 * partition, and clients do not retry above their library.
 */
export type Value = number | string

/**
 * ok: it happened. fail: an error that proves that nothing was appended. info: unknown (a time-out, a disconnect,
 * NOT_ENOUGH_REPLICAS_AFTER_APPEND). invoke: still open at the end of the test, so unknown as well.
 */
export type Outcome = 'invoke' | 'ok' | 'fail' | 'info'

export interface Operation {
  readonly process: number
  readonly type: Outcome
  readonly f: 'send' | 'poll' | 'txn' | 'assign' | 'subscribe' | 'listOffsets' | 'commit' | 'fetchCommitted'
  /** Milliseconds on one clock for all processes. */
  readonly tStart: number
  readonly tEnd: number
  readonly ops: readonly MicroOp[]
}

export type MicroOp =
  /** A record sent; offset null: never told. */
  | readonly ['send', string, readonly [number | null, Value]]
  /** What a poll returned, by partition, in order. */
  | readonly ['poll', Readonly<Record<string, readonly (readonly [number, Value])[]>>]
  /** ListOffsets(latest) of a partition. */
  | readonly ['latest', string, number]
  /** OffsetCommit: group, partition, offset. */
  | readonly ['commit', string, string, number]
  /** OffsetFetch: group, partition, offset (-1: none). */
  | readonly ['committed', string, string, number]

export type History = readonly Operation[]

/** A send, with where it came from. */
export interface Send {
  /** Its operation's place in the history. */
  readonly op: number
  readonly partition: string
  readonly offset: number | null
  readonly value: Value
}

export function* sendsOf(operation: Operation, op: number): Generator<Send> {
  for (const micro of operation.ops) {
    if (micro[0] === 'send') yield { op, partition: micro[1], offset: micro[2][0], value: micro[2][1] }
  }
}

/** What an operation polled of each partition, in order; several polls of it in a row. */
export function pollsOf(operation: Operation): Map<string, (readonly [number, Value])[]> {
  const byPartition = new Map<string, (readonly [number, Value])[]>()
  for (const micro of operation.ops) {
    if (micro[0] !== 'poll') continue
    for (const [partition, records] of Object.entries(micro[1])) {
      const known = byPartition.get(partition)
      if (known === undefined) byPartition.set(partition, [...records])
      else for (const record of records) known.push(record)
    }
  }
  return byPartition
}
