import { throwIfError } from '../../adapters/kafka-client/index.js'
import { CreatePartitions } from '../../wire/messages/create-partitions.js'
import { IncrementalAlterConfigs } from '../../wire/messages/incremental-alter-configs.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { print, printJson } from '../output.js'

const TOPIC_RESOURCE = 2
const SET = 0
const DELETE = 1

export const command: Command = {
  name: 'topic alter',
  summary: 'Adds partitions to a topic, sets and deletes its configurations.',
  synopsis: '<topic> [options]',
  positionals: [1, 1],
  options: {
    partitions: { type: 'string', placeholder: 'number', help: 'How many it has afterwards; more than now.' },
    config: {
      type: 'string',
      multiple: true,
      placeholder: 'key=value',
      help: 'Sets a configuration. May be repeated.',
    },
    'delete-config': {
      type: 'string',
      multiple: true,
      placeholder: 'key',
      help: 'Back to the default. May be repeated.',
    },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge topic alter orders --partitions 6 --config retention.ms=3600000',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const name = invocation.positionals[0]!
  const count = invocation.wholeNumber('partitions', 1, 100_000)
  const configs = [
    ...invocation.pairs('config').map(([key, value]) => ({ name: key, configOperation: SET, value })),
    ...invocation.texts('delete-config').map((key) => ({ name: key, configOperation: DELETE, value: null })),
  ]
  if (count === undefined && configs.length === 0) {
    throw invocation.usage('Nothing to alter: give --partitions, --config or --delete-config.')
  }
  const json = invocation.wantsJson()
  await withClient(invocation, async (client) => {
    // Configurations first: they can be set again without harm, partitions cannot be taken back.
    if (configs.length > 0) {
      const resources = [{ resourceType: TOPIC_RESOURCE, resourceName: name, configs }]
      await client.retrying(async () => {
        const answer = await client.request(IncrementalAlterConfigs, { resources, validateOnly: false })
        for (const { errorCode, errorMessage } of answer.responses) throwIfError(errorCode, errorMessage)
      })
    }
    if (count !== undefined) {
      await client.retrying(async () => {
        const answer = await client.request(
          CreatePartitions,
          { topics: [{ name, count, assignments: null }], timeoutMs: client.timeoutMs, validateOnly: false },
          { requestTimeoutMs: client.timeoutMs },
        )
        for (const { errorCode, errorMessage } of answer.results) throwIfError(errorCode, errorMessage)
      })
    }
  })
  if (json) printJson({ name, altered: true })
  else print(`${name}: altered`)
}
