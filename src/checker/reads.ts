import { type Anomaly, anomaly } from './anomalies.js'
import { type History, sendsOf } from './history.js'

/** ListOffsets(latest) begun after the acknowledgement of offset o returns more than o. */
export function checkEndOffsets(history: History): Anomaly[] {
  const found: Anomaly[] = []
  const acked = new Map<string, { offset: number; tEnd: number; op: number }[]>()
  history.forEach((operation, op) => {
    if (operation.type !== 'ok') return
    for (const { partition, offset } of sendsOf(operation, op)) {
      if (offset === null) continue
      const known = acked.get(partition) ?? []
      acked.set(partition, known)
      known.push({ offset, tEnd: operation.tEnd, op })
    }
  })
  history.forEach((operation, op) => {
    if (operation.type !== 'ok') return
    for (const micro of operation.ops) {
      if (micro[0] !== 'latest') continue
      const [, partition, latest] = micro
      const missed = acked.get(partition)?.find((ack) => ack.tEnd < operation.tStart && ack.offset >= latest)
      if (missed === undefined) continue
      const detail = `${partition}: latest was ${latest} after ${missed.offset} was acknowledged`
      found.push(anomaly('stale-end-offset', detail, [missed.op, op]))
    }
  })
  return found
}

interface Commit {
  readonly offset: number
  readonly acked: boolean
  readonly tStart: number
  /** Infinity where its outcome is unknown: it may take effect at any time. */
  readonly tEnd: number
  readonly op: number
}

/**
 * OffsetFetch never falls below the last acknowledged commit. A commit counts as overwritten only where an
 * acknowledged one began after its end, so that commits which go back, or overlap, raise no false alarm.
 */
export function checkCommits(history: History): Anomaly[] {
  const found: Anomaly[] = []
  const commits = new Map<string, Commit[]>()
  history.forEach((operation, op) => {
    if (operation.type === 'fail') return
    for (const micro of operation.ops) {
      if (micro[0] !== 'commit') continue
      const key = `${micro[1]} ${micro[2]}`
      const acked = operation.type === 'ok'
      const known = commits.get(key) ?? []
      commits.set(key, known)
      const tEnd = acked ? operation.tEnd : Number.POSITIVE_INFINITY
      known.push({ offset: micro[3], acked, tStart: operation.tStart, tEnd, op })
    }
  })
  history.forEach((operation, op) => {
    if (operation.type !== 'ok') return
    for (const micro of operation.ops) {
      if (micro[0] !== 'committed') continue
      const key = `${micro[1]} ${micro[2]}`
      const last = lastPossible(commits.get(key) ?? [], operation.tStart, operation.tEnd)
      const lowest = last.reduce<Commit | null>((a, b) => (a === null || b.offset < a.offset ? b : a), null)
      if (lowest === null || micro[3] >= lowest.offset) continue
      const detail = `${key}: ${micro[3]} was fetched after ${lowest.offset} was committed`
      found.push(anomaly('lost-commit', detail, [lowest.op, op]))
    }
  })
  return found
}

/** The commits of which one must be in force at a read of [tStart, tEnd]; none where nothing was acknowledged before. */
function lastPossible(commits: readonly Commit[], tStart: number, tEnd: number): Commit[] {
  let newestStart = Number.NEGATIVE_INFINITY
  for (const commit of commits) {
    if (commit.acked && commit.tEnd < tStart) newestStart = Math.max(newestStart, commit.tStart)
  }
  if (newestStart === Number.NEGATIVE_INFINITY) return []
  return commits.filter((commit) => commit.tEnd >= newestStart && commit.tStart <= tEnd)
}
