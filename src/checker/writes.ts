import { type Anomaly, anomaly } from './anomalies.js'
import { pollsOf, type Send, sendsOf } from './history.js'
import type { Evidence } from './version-order.js'

/** Offsets that hold several values, values at several offsets. */
export function checkOffsets(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  for (const [partition, order] of evidence.orders) {
    for (const offset of order.offsets()) {
      const values = [...order.values(offset)]
      if (values.length > 1) {
        found.push(anomaly('inconsistent-offsets', `${partition}@${offset} holds ${values.join(', ')}`))
      }
    }
    for (const [value, offsets] of order.allValues()) {
      if (offsets.size > 1) {
        found.push(anomaly('duplicate', `${partition}: ${value} is at ${[...offsets].join(', ')}`))
      }
    }
  }
  return found
}

/** G1a. */
export function checkAbortedReads(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  evidence.history.forEach((operation, op) => {
    if (operation.type !== 'ok') return
    for (const [partition, records] of pollsOf(operation)) {
      for (const [offset, value] of records) {
        const writer = evidence.writers.get(partition)?.get(value)
        if (writer === undefined || evidence.history[writer.op]!.type !== 'fail') continue
        const detail = `${partition}@${offset}: ${value} was read, and its send had failed`
        found.push(anomaly('aborted-read', detail, [writer.op, op]))
      }
    }
  })
  return found
}

/** @param isComplete the history ends with polls past the highest acknowledged offset of every partition */
export function checkLostWrites(evidence: Evidence, isComplete: boolean): Anomaly[] {
  const found: Anomaly[] = []
  const bounds = new Map<string, number>()
  for (const [partition, values] of evidence.readOk) {
    let bound = -1
    for (const value of values) {
      bound = Math.max(bound, evidence.order(partition).firstIndex(value) ?? -1)
    }
    bounds.set(partition, bound)
  }
  for (const { op, partition, value } of evidence.committedSends()) {
    if (evidence.wasRead(partition, value)) continue
    const index = evidence.order(partition).lastIndex(value)
    if (index !== undefined && index <= (bounds.get(partition) ?? -1)) {
      found.push(anomaly('lost-write', `${partition}: ${value} was never read, and later values were`, [op]))
    }
    if (isComplete && evidence.history[op]!.type === 'ok') {
      found.push(anomaly('unseen', `${partition}: ${value} was acknowledged and never read`, [op]))
    }
  }
  return found
}

/** The order in which a process's sends landed, between operations and within one. */
export function checkSendOrder(evidence: Evidence): Anomaly[] {
  const found: Anomaly[] = []
  const lastOf = new Map<string, Send>()
  evidence.history.forEach((operation, op) => {
    if (!evidence.committed[op]) return
    const inOp = new Map<string, Send>()
    for (const send of sendsOf(operation, op)) {
      const index = evidence.order(send.partition).firstIndex(send.value)
      if (index === undefined) continue
      const key = `${operation.process} ${send.partition}`
      const before = inOp.get(send.partition) ?? lastOf.get(key)
      if (before !== undefined) {
        const jump = index - evidence.order(send.partition).lastIndex(before.value)!
        const within = before.op === op
        const detail = `${send.partition}: ${before.value}, then ${send.value}`
        if (jump < 1) {
          const type = within ? 'int-nonmonotonic-send' : 'nonmonotonic-send'
          found.push(anomaly(type, detail, [before.op, op]))
        } else if (within && jump > 1) {
          found.push(anomaly('int-send-skip', detail, [op]))
        }
      }
      inOp.set(send.partition, send)
      lastOf.set(key, send)
    }
  })
  return found
}
