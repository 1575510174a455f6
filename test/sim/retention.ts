import { ErrorCode } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { SendingClient } from './producers.js'
import { NOT_ANSWERED, RETRY_MS } from './sim-client.js'

export const RETAINED_TOPIC = 'brief'
/** A few segments. A replica that is away for a while finds that its leader's log begins behind the end of its own. */
const RETENTION_BYTES = 40_000
const VALUE_BYTES = 2_000

/** Writes to a topic of which only the newest bytes are kept, acks=all and without retries. */
export class SimRetentionProducer extends SendingClient {
  private isBusy = false

  start(meanIntervalMs: number): void {
    const configs = [{ name: 'retention.bytes', value: String(RETENTION_BYTES) }]
    const topic = {
      name: this.topic,
      numPartitions: this.partitions,
      replicationFactor: -1,
      assignments: [],
      configs,
    }
    const body = { topics: [topic], timeoutMs: 2_000, validateOnly: false }
    this.call(this.anyNode(), CreateTopics, 7, body, (response) => {
      const code = response?.topics[0]?.errorCode ?? NOT_ANSWERED
      if (code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS)
        this.refreshMetadata(() => this.loop(meanIntervalMs))
      else this.after(RETRY_MS, () => this.start(meanIntervalMs))
    })
  }

  protected mayQueue(): boolean {
    return !this.isBusy
  }

  protected enqueue(partition: number, names: readonly string[]): void {
    this.isBusy = true
    const values = names.map((name) => name.padEnd(VALUE_BYTES))
    this.produce(partition, -1, this.batchOf(values, {}), (errorCode, baseOffset) => {
      if (errorCode === ErrorCode.NONE) {
        this.isBusy = false
        for (const [i, name] of names.entries())
          this.world.observer.onAcknowledgedForNow(this.nameOf(partition), baseOffset + i, name)
      } else this.after(RETRY_MS, () => this.refreshMetadata(() => (this.isBusy = false)))
    })
  }
}
