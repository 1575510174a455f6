import type { ProduceRequest } from '../../wire/messages/produce.js'
import type { RequestContext } from '../handler.js'

/**
 * The stage that every produce passes before anything is appended. It may hold a request back for as long as it
 * needs (authorisation, quotas, the verification of a transaction by KIP-890) without losing the order of its
 * connection: whoever comes later on the same connection waits behind it.
 */
export type AdmissionCheck = (request: ProduceRequest, context: RequestContext, admit: () => void) => void

interface Held {
  isAdmitted: boolean
  readonly run: () => void
}

export class Admission {
  private readonly queues = new Map<number, Held[]>()

  constructor(private readonly checks: readonly AdmissionCheck[]) {}

  /** Runs `admitted` once all checks let the request pass and those before it on its connection have run. */
  admit(request: ProduceRequest, context: RequestContext, admitted: () => void): void {
    if (this.checks.length === 0) {
      admitted()
      return
    }
    const { connectionId } = context
    const held: Held = { isAdmitted: false, run: admitted }
    const queue = this.queues.get(connectionId)
    if (queue === undefined) {
      this.queues.set(connectionId, [held])
      context.onClose(() => this.queues.delete(connectionId))
    } else {
      queue.push(held)
    }
    this.check(0, request, context, () => {
      held.isAdmitted = true
      this.release(connectionId)
    })
  }

  private check(index: number, request: ProduceRequest, context: RequestContext, done: () => void): void {
    const check = this.checks[index]
    if (check === undefined) done()
    else check(request, context, () => this.check(index + 1, request, context, done))
  }

  private release(connectionId: number): void {
    const queue = this.queues.get(connectionId)
    if (queue === undefined) return
    while (queue[0]?.isAdmitted === true) queue.shift()!.run()
    if (queue.length === 0) this.queues.delete(connectionId)
  }
}
