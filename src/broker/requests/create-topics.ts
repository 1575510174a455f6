import { ZERO_UUID } from '../../lib/ids.js'
import type { CreateTopicResult, NewTopic } from '../../metadata/commands.js'
import type { MetadataImage } from '../../metadata/image.js'
import { isInternalTopic } from '../../metadata/topic-names.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  CreateTopics,
  type CreateTopicsRequest,
  type CreateTopicsResponse,
} from '../../wire/messages/create-topics.js'
import type { ApiHandler, RequestContext, Responder } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { clampTimeoutMs, forward, messageOrNull, whenKnown } from './admin.js'
import { configSourceCode } from './describe-configs.js'

/**
 * CreateTopics, versions 2 to 7. Forwarded to the active controller.
 *
 * - Answered once this broker knows the new topics, so that Metadata, asked next, names them.
 * - While brokers that the default replication factor needs are still on their way, the request waits within its
 *   time-out and asks again; then REQUEST_TIMED_OUT. (No client retries a per-topic error of this API by itself, but
 *   Java's admin NOT_CONTROLLER.)
 */
export function createTopicsHandler(
  services: BrokerServices,
): ApiHandler<CreateTopicsRequest, CreateTopicsResponse> {
  return {
    api: CreateTopics,
    handle(request, context, responder) {
      new TopicCreation(services, request, context, responder).submit(request.topics.map(newTopic))
    },
  }
}

type ResponseTopic = CreateTopicsResponse['topics'][number]

/** How long to wait for news of brokers before the controller is asked again. */
const RETRY_MS = 200

class TopicCreation {
  private readonly deadlineMs: number
  private readonly results: CreateTopicResult[] = []

  constructor(
    private readonly services: BrokerServices,
    private readonly request: CreateTopicsRequest,
    private readonly context: RequestContext,
    private readonly responder: Responder<CreateTopicsResponse>,
  ) {
    this.deadlineMs = services.clock.monotonicMs() + clampTimeoutMs(request.timeoutMs)
  }

  private leftMs(): number {
    return this.deadlineMs - this.services.clock.monotonicMs()
  }

  submit(topics: NewTopic[]): void {
    if (topics.length === 0) {
      this.finish()
      return
    }
    const command = { type: 'createTopics' as const, validateOnly: this.request.validateOnly, topics }
    forward(this.services, command, this.context, this.leftMs(), (reply) => {
      if (reply.type === 'failed') {
        const { errorCode, errorMessage } = reply
        for (const { name } of topics) this.results.push(failure(name, errorCode, errorMessage))
        return this.finish()
      }
      const waiting = new Set<string>()
      for (const result of reply.topics) {
        if (result.errorCode !== ErrorCode.BROKER_NOT_AVAILABLE) this.results.push(result)
        else if (this.leftMs() > RETRY_MS) waiting.add(result.name)
        else this.results.push(failure(result.name, ErrorCode.REQUEST_TIMED_OUT, result.errorMessage))
      }
      if (waiting.size === 0) return this.finish()
      const again = topics.filter(({ name }) => waiting.has(name))
      this.services.clock.after(RETRY_MS, () => this.submit(again))
    })
  }

  private finish(): void {
    const created = this.results.filter(
      ({ errorCode, topicId }) => errorCode === ErrorCode.NONE && topicId !== ZERO_UUID,
    )
    const isKnown = (image: MetadataImage): boolean =>
      created.every(({ topicId }) => image.topicsById.has(topicId))
    whenKnown(this.services, isKnown, () => {
      this.responder.send({ topics: this.results.map((result) => this.answer(result)) })
    })
  }

  private answer(result: CreateTopicResult): ResponseTopic {
    const { name, topicId, errorCode, errorMessage } = result
    if (errorCode !== ErrorCode.NONE)
      return { name, errorCode, errorMessage: messageOrNull(errorMessage), configs: [] }
    return {
      name,
      topicId,
      errorCode,
      errorMessage: null,
      numPartitions: result.numPartitions,
      replicationFactor: result.replicationFactor,
      configs: this.effectiveConfigs(name),
    }
  }

  private effectiveConfigs(name: string): NonNullable<ResponseTopic['configs']> {
    const asked = this.request.topics.find((topic) => topic.name === name)?.configs ?? []
    const overrides = new Map(asked.map((config) => [config.name, config.value]))
    return this.services.configs.describeTopic(name).map((config) => {
      const override = overrides.get(config.name)
      return {
        name: config.name,
        value: override ?? config.value,
        readOnly: config.readOnly,
        configSource: configSourceCode(override === undefined ? config.source : 'topic'),
        isSensitive: config.sensitive,
      }
    })
  }
}

function newTopic(topic: CreateTopicsRequest['topics'][number]): NewTopic {
  return {
    name: topic.name,
    numPartitions: topic.numPartitions,
    replicationFactor: topic.replicationFactor,
    assignments: topic.assignments.map(({ partitionIndex, brokerIds }) => ({
      partitionId: partitionIndex,
      replicas: brokerIds,
    })),
    configs: topic.configs.map(({ name, value }) => ({ name, value: value ?? undefined })),
    internal: isInternalTopic(topic.name),
  }
}

function failure(name: string, errorCode: number, errorMessage: string): CreateTopicResult {
  return { name, errorCode, errorMessage, topicId: ZERO_UUID, numPartitions: -1, replicationFactor: -1 }
}
