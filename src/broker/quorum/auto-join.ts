import type { NodeId } from '../../lib/ids.js'
import type { ControllerReply } from '../../metadata/commands.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Voter } from '../../raft/types.js'
import { ErrorCode } from '../../wire/errors.js'
import type { MembershipCommand } from './membership.js'

export interface AutoJoinOptions {
  /** `controller.quorum.auto.join.enable`. */
  readonly isEnabled: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly retryMs: number
  readonly timeoutMs: number
  submit(command: MembershipCommand, timeoutMs: number, done: (reply: ControllerReply) => void): void
}

/** What this node knows of itself and of the voters. */
export interface JoinSituation {
  self: Voter
  /** It follows a leader, without a vote. */
  isObserver: boolean
  leader: NodeId | undefined
  voters: readonly Voter[]
  /** Everything known to be committed is applied here. */
  isCaughtUp: boolean
}

export const NOT_AN_OBSERVER = {
  isObserver: false,
  leader: undefined,
  voters: [],
  isCaughtUp: false,
} satisfies Omit<JoinSituation, 'self'>

/**
 * A controller without a vote: it joins by itself where that is configured (KIP-853's auto join), and else says what
 * to do. A node whose disk was wiped or whose Raft log was set aside is still named by its old directory: that
 * identity, which nobody can have any more, is removed first; not while somebody has it, under whose node id this
 * process was started by mistake.
 */
export class AutoJoin {
  private timer: Timer | undefined
  private isAsking = false
  private closed = false
  private notBeforeMs = 0
  private told = ''
  private text: string | undefined

  constructor(
    private readonly options: AutoJoinOptions,
    private readonly situation: () => JoinSituation,
  ) {}

  /** For the log and for inspection; undefined: nothing is to be done. */
  get advice(): string | undefined {
    return this.text
  }

  /** The role, the leader, the voters or what is applied changed. */
  check(): void {
    const situation = this.situation()
    if (!situation.isObserver || situation.voters.length === 0) {
      this.text = undefined
      return
    }
    const { self, voters, leader, isCaughtUp } = situation
    const former = voters.find((voter) => voter.nodeId === self.nodeId)
    // It is a voter, and its role is about to say so.
    if (former?.directoryId === self.directoryId) {
      this.text = undefined
      return
    }
    if (!this.options.isEnabled) {
      this.advise(self, former)
      return
    }
    this.text = `node ${self.nodeId} joins the voters by itself as soon as it has caught up`
    if (leader === undefined || !isCaughtUp || this.isAsking || this.timer !== undefined) return
    this.ask(
      former === undefined
        ? { type: 'addVoter', nodeId: self.nodeId, directoryId: self.directoryId }
        : { type: 'removeVoter', nodeId: former.nodeId, directoryId: former.directoryId, onlyIfSilent: true },
    )
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
  }

  private advise(self: Voter, former: Voter | undefined): void {
    const { nodeId, directoryId } = self
    const first =
      former === undefined
        ? ''
        : `kogge raft members remove ${nodeId} --directory ${former.directoryId}, then `
    this.text =
      `node ${nodeId} follows without a vote (directory ${directoryId}): ` +
      `${first}kogge raft members add ${nodeId} --directory ${directoryId} makes it a voter, ` +
      `controller.quorum.auto.join.enable=true does so by itself`
    if (this.told === this.text) return
    this.told = this.text
    this.options.logger.warn({ directoryId }, this.text)
  }

  private ask(command: MembershipCommand): void {
    const { clock, logger, timeoutMs } = this.options
    const waitMs = this.notBeforeMs - clock.monotonicMs()
    if (waitMs > 0) {
      this.retryIn(waitMs)
      return
    }
    this.isAsking = true
    this.notBeforeMs = clock.monotonicMs() + this.options.retryMs
    logger.info({ ...command }, 'joining the voters')
    this.options.submit(command, timeoutMs, (reply) => {
      this.isAsking = false
      if (this.closed) return
      const { errorCode, errorMessage } = reply as { errorCode: number; errorMessage: string }
      if (errorCode !== ErrorCode.NONE) {
        logger.info({ errorCode, ...command }, `not yet: ${errorMessage}`)
        this.retryIn(Math.max(0, this.notBeforeMs - clock.monotonicMs()))
      } else this.check()
    })
  }

  private retryIn(delayMs: number): void {
    this.timer = this.options.clock.after(delayMs, () => {
      this.timer = undefined
      this.check()
    })
  }
}
