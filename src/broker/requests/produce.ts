import type { Uuid } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import { Produce, type ProduceRequest, type ProduceResponse } from '../../wire/messages/produce.js'
import type { ApiHandler, RequestContext, Responder } from '../handler.js'
import { Admission } from '../partitions/admission.js'
import { InflationBudget } from '../partitions/inflation-budget.js'
import type { AppendResult, BrokerServices } from '../services.js'
import { nodeEndpoints } from './leader-hints.js'

type TopicRequest = ProduceRequest['topicData'][number]
type PartitionResponse = ProduceResponse['responses'][number]['partitionResponses'][number]

/** Clients write here through their coordinator alone. */
const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])

/**
 * Produce v3-13. One batch of magic 2 a partition. Deviations: transactions are not offered (INVALID_TXN_STATE); a
 * topic's compression.type other than `producer` does not recompress.
 */
export function produceHandler(services: BrokerServices): ApiHandler<ProduceRequest, ProduceResponse> {
  const admission = new Admission([])
  return {
    api: Produce,
    handle(request, context, responder) {
      admission.admit(request, context, () => new ProduceTask(services, request, context, responder).start())
    },
  }
}

/** One request: appends to each partition, answers when the last of them has. */
class ProduceTask {
  private readonly responses: { name: string; topicId: Uuid; partitionResponses: PartitionResponse[] }[] = []
  private readonly leaders: number[] = []
  private readonly inflation = new InflationBudget()
  private outstanding = 1
  private firstError: { code: number; message: string | null } | null = null

  constructor(
    private readonly services: BrokerServices,
    private readonly request: ProduceRequest,
    private readonly context: RequestContext,
    private readonly responder: Responder<ProduceResponse>,
  ) {}

  start(): void {
    const { topicData } = this.request
    for (const topic of topicData) {
      const partitionResponses: PartitionResponse[] = []
      this.responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses })
      for (const partition of topic.partitionData) {
        const place = partitionResponses.length
        partitionResponses.push(failed(partition.index, ErrorCode.UNKNOWN_SERVER_ERROR))
        this.outstanding += 1
        this.append(topic, partition, (response) => {
          partitionResponses[place] = response
          this.settle()
        })
      }
    }
    this.settle()
  }

  private append(
    topic: TopicRequest,
    partition: TopicRequest['partitionData'][number],
    done: (response: PartitionResponse) => void,
  ): void {
    const { acks, timeoutMs } = this.request
    const { index } = partition
    const refusal = (code: number, message: string | null = null): void => {
      this.firstError ??= { code, message }
      done({ ...failed(index, code), errorMessage: message })
    }
    if (acks !== -1 && acks !== 0 && acks !== 1) {
      refusal(ErrorCode.INVALID_REQUIRED_ACKS, `acks=${acks}: only -1, 0 and 1 are known`)
      return
    }
    const topicId = this.topicIdOf(topic)
    const name =
      topicId === undefined ? '' : (this.services.metadata.image.topicsById.get(topicId)?.name ?? '')
    if (topicId === undefined) {
      refusal(
        this.context.apiVersion >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      )
    } else if (INTERNAL_TOPICS.has(name)) {
      refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, `${name} is internal: only its coordinator writes to it`)
    } else if (partition.records === null) {
      refusal(ErrorCode.INVALID_RECORD, 'there are no records')
    } else {
      this.services.partitions.appendAsLeader(
        topicId,
        index,
        partition.records,
        {
          requiredAcks: acks,
          timeoutMs: Math.max(0, timeoutMs),
          origin: 'client',
          apiVersion: this.context.apiVersion,
          inflation: this.inflation,
        },
        (result) => done(this.describe(index, result)),
      )
    }
  }

  private topicIdOf(topic: TopicRequest): Uuid | undefined {
    const { image } = this.services.metadata
    if (this.context.apiVersion < 13) return image.topicsByName.get(topic.name)?.id
    return image.topicsById.has(topic.topicId) ? topic.topicId : undefined
  }

  private describe(index: number, result: AppendResult): PartitionResponse {
    const response: PartitionResponse = {
      index,
      errorCode: result.errorCode,
      baseOffset: result.baseOffset,
      logAppendTimeMs: result.logAppendTimeMs,
      logStartOffset: result.logStartOffset,
      recordErrors: [],
      errorMessage: result.errorMessage,
    }
    if (result.errorCode === ErrorCode.NONE) return response
    this.firstError ??= { code: result.errorCode, message: result.errorMessage }
    if (result.errorCode !== ErrorCode.NOT_LEADER_OR_FOLLOWER || result.leaderId < 0) return response
    this.leaders.push(result.leaderId)
    return { ...response, currentLeader: { leaderId: result.leaderId, leaderEpoch: result.leaderEpoch } }
  }

  private settle(): void {
    this.outstanding -= 1
    if (this.outstanding > 0) return
    if (this.request.acks === 0) {
      this.settleWithoutAnswer()
      return
    }
    this.responder.send({
      responses: this.responses,
      throttleTimeMs: 0,
      nodeEndpoints: nodeEndpoints(this.services, this.leaders, this.context.listener),
    })
  }

  /** acks=0 hears of an error by losing its connection: it then asks for the metadata anew. */
  private settleWithoutAnswer(): void {
    if (this.firstError === null) this.responder.none()
    else
      this.responder.close(
        `a produce with acks=0 failed: error ${this.firstError.code} ${this.firstError.message ?? ''}`,
      )
  }
}

function failed(index: number, errorCode: number): PartitionResponse {
  return { index, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1, recordErrors: [] }
}
