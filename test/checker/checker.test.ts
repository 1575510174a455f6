import { describe, expect, it } from 'vitest'
import { ANOMALIES, type AnomalyType } from '../../src/checker/anomalies.js'
import { badAnomalies, checkHistory, checkReplicas } from '../../src/checker/checker.js'
import { CLEAN, ended, FIXTURES, history, poll, polls, send, sends, txn } from './fixtures.js'

const typesIn = (...args: Parameters<typeof checkHistory>): AnomalyType[] => [
  ...new Set(checkHistory(...args).map((each) => each.type)),
]

describe('the anomaly checker', () => {
  it('passes a clean history', () => {
    expect(checkHistory(CLEAN)).toEqual([])
  })

  it('passes an empty history', () => {
    expect(checkHistory([])).toEqual([])
  })

  it.each(Object.keys(FIXTURES) as (keyof typeof FIXTURES)[])('flags %s', (type) => {
    const found = checkHistory(FIXTURES[type]).filter((each) => each.type === type)
    expect(found.length).toBeGreaterThan(0)
    expect(found[0]!.verdict).toBe(ANOMALIES[type].verdict)
  })

  it('has a fixture for every anomaly that a history can show', () => {
    const all = Object.keys(ANOMALIES).filter((type) => type !== 'divergent-replicas')
    expect(Object.keys(FIXTURES).sort()).toEqual(all.sort())
  })

  it('flags nothing bad where only allowed anomalies are', () => {
    const allowed = Object.entries(ANOMALIES).filter(([, { verdict }]) => verdict === 'allowed')
    for (const [type] of allowed) {
      expect(badAnomalies(checkHistory(FIXTURES[type as keyof typeof FIXTURES])), type).toEqual([])
    }
  })

  it('names the operations', () => {
    const [found] = checkHistory(FIXTURES['aborted-read'])
    expect(found).toMatchObject({ type: 'aborted-read', ops: [0, 1] })
    expect(found!.detail).toContain('p@0')
  })
})

describe('what must raise no alarm', () => {
  it('an unknown send that was never seen', () => {
    expect(
      typesIn(history(ended('info', sends(1, send(null, 1))), sends(1, send(0, 2)), polls(3, [0, 2]))),
    ).toEqual([])
  })

  it('an unknown send that was seen, and so has committed', () => {
    expect(typesIn(history(ended('info', sends(1, send(null, 1))), polls(3, [0, 1])))).toEqual([])
  })

  it('an acknowledged value past the last poll of a test that was cut short', () => {
    expect(typesIn(FIXTURES.unseen, { isComplete: false })).toEqual([])
  })

  it('going back after assign', () => {
    const seeks = { process: 3, f: 'assign', ops: [] } as const
    expect(typesIn(history(sends(1, send(0, 1)), polls(3, [0, 1]), seeks, polls(3, [0, 1])))).toEqual([])
  })

  it('two transactions one after the other', () => {
    const first = txn(1, send(0, 1), send(0, 11, 'q'))
    const second = txn(2, poll([[0, 1]]), send(1, 2), send(1, 12, 'q'))
    const qs = [
      [0, 11],
      [1, 12],
    ] as const
    const reads = { process: 3, f: 'poll', ops: [poll(qs, 'q')] } as const
    expect(typesIn(history(first, second, polls(3, [0, 1], [1, 2]), reads))).toEqual([])
  })

  it('a fetch that overlaps a commit, or follows one that goes back', () => {
    const commit = (offset: number) =>
      ({ process: 1, f: 'commit', ops: [['commit', 'g', 'p', offset]] }) as const
    const fetched = (offset: number) =>
      ({ process: 2, f: 'fetchCommitted', ops: [['committed', 'g', 'p', offset]] }) as const
    expect(typesIn(history(commit(5), { ...commit(9), tEnd: 99 }, fetched(5)))).toEqual([])
    expect(typesIn(history(commit(9), commit(5), fetched(5)))).toEqual([])
    expect(typesIn(history(commit(9), ended('info', commit(5)), fetched(5)))).toEqual([])
  })

  it('ListOffsets that began before the acknowledgement', () => {
    const latest = { process: 2, f: 'listOffsets', ops: [['latest', 'p', 0]], tStart: 1 } as const
    expect(typesIn(history(sends(1, send(0, 1)), latest, polls(3, [0, 1])))).toEqual([])
  })
})

describe('replicas after quiescence', () => {
  const replica = (nodeId: number, digest: string, highWatermark = 10) => ({
    partition: 'p',
    nodeId,
    highWatermark,
    digest,
  })

  it('pass where they are equal', () => {
    expect(checkReplicas([replica(1, 'a'), replica(2, 'a'), { ...replica(1, 'b'), partition: 'q' }])).toEqual(
      [],
    )
  })

  it('are flagged where bytes or high watermarks differ', () => {
    expect(checkReplicas([replica(1, 'a'), replica(2, 'b')])).toMatchObject([{ type: 'divergent-replicas' }])
    expect(checkReplicas([replica(1, 'a'), replica(2, 'a', 9)])).toMatchObject([{ verdict: 'bad' }])
  })
})
