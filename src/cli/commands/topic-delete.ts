import { KafkaError } from '../../adapters/kafka-client/index.js'
import { ZERO_UUID } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import { DeleteTopics } from '../../wire/messages/delete-topics.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { failure } from '../errors.js'
import { print, printJson } from '../output.js'

export const command: Command = {
  name: 'topic delete',
  summary: 'Deletes topics with all their records.',
  synopsis: '<topic…> [options]',
  positionals: [1, 1_000],
  options: {
    'if-exists': { type: 'boolean', help: 'No error where a topic does not exist.' },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge topic delete orders',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const deleted: string[] = []
  await withClient(invocation, async (client) => {
    for (const name of invocation.positionals) {
      let isRepeated = false
      await client.retrying(async () => {
        const answer = await client.request(
          DeleteTopics,
          { topics: [{ name, topicId: ZERO_UUID }], topicNames: [name], timeoutMs: client.timeoutMs },
          { requestTimeoutMs: client.timeoutMs },
        )
        const { errorCode, errorMessage } = answer.responses[0]!
        if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) {
          // An earlier try may have deleted it, its answer lost.
          if (isRepeated || invocation.flag('if-exists')) return
          throw failure(`There is no topic ${name} (UNKNOWN_TOPIC_OR_PARTITION)`)
        }
        isRepeated = true
        if (errorCode !== 0)
          throw new KafkaError(errorCode, errorMessage || `Topic ${name} cannot be deleted`)
        deleted.push(name)
      })
    }
  })
  if (json) printJson({ deleted })
  else print(deleted.length > 0 ? `deleted ${deleted.join(', ')}` : 'nothing to delete')
}
