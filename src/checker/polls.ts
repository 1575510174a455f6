import { type Anomaly, anomaly } from './anomalies.js'
import { type Operation, pollsOf, sendsOf } from './history.js'
import type { Evidence } from './version-order.js'

/** How a process consumes: with subscribe, a rebalance may lie between any two polls. */
interface Consumer {
  subscribed: boolean
  /** The last offset polled of each partition, and by which operation. */
  readonly last: Map<string, { offset: number; op: number }>
}

/** Polls must neither skip records nor go back, from one to the next and within one. */
export function checkPolls(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  const consumers = new Map<number, Consumer>()
  evidence.history.forEach((operation, op) => {
    let consumer = consumers.get(operation.process)
    if (consumer === undefined) {
      consumers.set(operation.process, (consumer = { subscribed: false, last: new Map() }))
    }
    if (operation.f === 'assign' || operation.f === 'subscribe') {
      consumer.subscribed = operation.f === 'subscribe'
      consumer.last.clear()
    } else if (operation.type === 'ok') {
      found.push(...checkOperation(evidence, operation, op, consumer))
    } else if (operation.f === 'poll' || operation.f === 'txn') {
      // Where the consumer stands after a poll that failed is not known.
      consumer.last.clear()
    }
  })
  return found
}

function checkOperation(evidence: Evidence, operation: Operation, op: number, consumer: Consumer): Anomaly[] {
  const found: Anomaly[] = []
  for (const [partition, records] of pollsOf(operation)) {
    let before = consumer.last.get(partition)
    for (const [offset] of records) {
      if (before !== undefined) {
        const order = evidence.order(partition)
        const jump = order.indexOf(offset)! - order.indexOf(before.offset)!
        const type = typeOf(jump, before.op === op, consumer.subscribed)
        if (type !== null) {
          found.push(anomaly(type, `${partition}: ${before.offset}, then ${offset}`, [before.op, op]))
        }
      }
      before = { offset, op }
    }
    if (before !== undefined) consumer.last.set(partition, before)
  }
  return found
}

function typeOf(jump: number, within: boolean, subscribed: boolean): Anomaly['type'] | null {
  if (jump === 1) return null
  if (within) return jump > 1 ? 'int-poll-skip' : 'int-nonmonotonic-poll'
  if (subscribed) return jump > 1 ? 'poll-skip-subscribed' : 'nonmonotonic-poll-subscribed'
  return jump > 1 ? 'poll-skip' : 'nonmonotonic-poll'
}

/** A transaction must not see its own sends before they are committed. */
export function checkPrecommittedReads(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  evidence.history.forEach((operation, op) => {
    const polled = pollsOf(operation)
    for (const { partition, value } of sendsOf(operation, op)) {
      if (polled.get(partition)?.some(([, seen]) => seen === value)) {
        found.push(anomaly('precommitted-read', `${partition}: ${value} was sent and polled at once`, [op]))
      }
    }
  })
  return found
}

/** read_committed shows all or none of a transaction, by the end. */
export function checkTransactions(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  evidence.history.forEach((operation, op) => {
    if (operation.f !== 'txn' || !evidence.committed[op]) return
    const sends = [...sendsOf(operation, op)]
    const missing = sends.filter(({ partition, value }) => !evidence.wasRead(partition, value))
    if (missing.length === 0 || missing.length === sends.length) return
    const names = missing.map(({ partition, value }) => `${partition}: ${value}`).join('; ')
    found.push(anomaly('partial-transaction', `never seen, unlike the rest: ${names}`, [op]))
  })
  return found
}
