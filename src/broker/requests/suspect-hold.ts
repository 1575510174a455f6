import { NO_NODE, type NodeId } from '../../lib/ids.js'
import type { Timer } from '../../ports/clock.js'
import type { RequestContext } from '../handler.js'
import { SUSPECT_HOLD_MS } from '../metadata-cache.js'
import type { BrokerServices } from '../services.js'

/**
 * A client that saw its connection to a leader break asks within the same millisecond: before this node has read the
 * end of its own connection, which the kernel may have delivered already.
 */
const SETTLE_MS = 20

/**
 * Answers that send clients to a node. One that would name a node whose connection to this broker has just broken is
 * held until the metadata moves, for at most 300 ms: a client that is sent to the dead node again waits far longer in
 * its own back-off.
 *
 * @param named the nodes that an answer given now would name
 * @param send builds the answer anew and sends it
 */
export function holdWhileSuspect(
  services: BrokerServices,
  context: RequestContext,
  named: () => Iterable<NodeId>,
  send: () => void,
): void {
  const { clock, metadata, config } = services
  const namesSuspect = () => [...named()].some((id) => metadata.isSuspect(id))
  const namesOther = () => [...named()].some((id) => id !== NO_NODE && id !== config.nodeId)
  if (!namesSuspect() && !namesOther()) {
    send()
    return
  }
  const deadlineMs = clock.monotonicMs() + SUSPECT_HOLD_MS
  let held: Timer
  const answer = (): void => {
    const leftMs = deadlineMs - clock.monotonicMs()
    if (leftMs > 0 && namesSuspect()) held = metadata.afterChange(leftMs, answer)
    else send()
  }
  held = clock.after(SETTLE_MS, answer)
  context.onClose(() => held.cancel())
}
