import { type KafkaClient, Producer } from '../../adapters/kafka-client/index.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { failure } from '../errors.js'
import { note, plural, printJson } from '../output.js'

export const command: Command = {
  name: 'produce',
  summary:
    'Writes each line of standard input as a record; done when every one is acknowledged by all in-sync replicas.',
  synopsis: '<topic> [options]',
  positionals: [1, 1],
  options: {
    'key-separator': {
      type: 'string',
      placeholder: 'text',
      help: 'What stands between key and value; without it, records have no key.',
    },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge produce orders < orders.txt',
  run,
}

const NEWLINE = 0x0a

async function run(invocation: Invocation): Promise<void> {
  const topic = invocation.positionals[0]!
  const separator = invocation.text('key-separator')
  if (separator === '') throw invocation.usage('--key-separator must not be empty.')
  const json = invocation.wantsJson()
  const count = await withClient(invocation, (client) => produceLines(client, topic, separator))
  if (json) printJson({ topic, acknowledged: count })
  else note(`${plural(count, 'record')} acknowledged`)
}

async function produceLines(
  client: KafkaClient,
  topic: string,
  separator: string | undefined,
): Promise<number> {
  const producer = await Producer.open(client, topic)
  try {
    for await (const line of linesOf(process.stdin)) {
      const { key, value } = split(line, separator)
      await producer.send(key, value, Date.now())
    }
    await producer.flush()
  } catch (error) {
    // How far it came is what a script that wants to go on needs.
    note(`${plural(producer.acknowledgedRecords, 'record')} acknowledged before the failure`)
    throw error
  }
  return producer.acknowledgedRecords
}

/** Without their line ends; bytes, for a value need not be text. A last line without an end counts. */
async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  for await (const chunk of input) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end)
      yield rest.length > 0 ? Buffer.concat([...rest, piece]) : piece
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}

function split(line: Buffer, separator: string | undefined): { key: Buffer | null; value: Buffer } {
  if (separator === undefined) return { key: null, value: line }
  const at = line.indexOf(separator)
  if (at < 0)
    throw failure(`A line without the key separator '${separator}': ${line.toString('utf8').slice(0, 80)}`)
  return { key: line.subarray(0, at), value: line.subarray(at + Buffer.byteLength(separator)) }
}
