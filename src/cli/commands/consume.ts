import { loadCompression } from '../../adapters/compression.js'
import { type ConsumedRecord, consume } from '../../adapters/kafka-client/index.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { withClient } from '../connect.js'
import { ExitCode } from '../errors.js'
import { writeAll } from '../output.js'

export const command: Command = {
  name: 'consume',
  summary: 'Prints the value of each record of a topic, one a line, from all partitions.',
  synopsis: '<topic> [options]',
  positionals: [1, 1],
  options: {
    'from-beginning': { type: 'boolean', help: 'From the oldest record on; else from the end.' },
    'max-messages': { type: 'string', placeholder: 'number', help: 'Stop after so many.' },
    'exit-at-end': { type: 'boolean', help: 'Stop where the topic ended when the command began.' },
    ...CLIENT_OPTIONS,
  },
  example: 'kogge consume orders --from-beginning --exit-at-end > orders.txt',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const topic = invocation.positionals[0]!
  const limit = invocation.wholeNumber('max-messages', 0, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY
  const encode = invocation.wantsJson() ? jsonLine(topic) : valueLine
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(ExitCode.done))
  await withClient(invocation, async (client) => {
    const options = {
      topic,
      fromBeginning: invocation.flag('from-beginning'),
      exitAtEnd: invocation.flag('exit-at-end'),
      compression: await loadCompression(),
    }
    let left = limit
    if (left === 0) return
    for await (const records of consume(client, options)) {
      const taken = records.slice(0, Math.min(left, records.length))
      await writeAll(Buffer.concat(taken.map(encode)))
      left -= taken.length
      if (left === 0) return
    }
  })
}

const LINE_END = Buffer.from('\n')

function valueLine({ value }: ConsumedRecord): Buffer {
  return Buffer.concat([value ?? Buffer.alloc(0), LINE_END])
}

function jsonLine(topic: string) {
  return ({ partition, offset, timestamp, key, value, headers }: ConsumedRecord): Buffer => {
    const event = {
      topic,
      partition,
      offset,
      timestamp,
      key: text(key),
      value: text(value),
      headers: headers.map((header) => ({ key: header.key, value: text(header.value) })),
    }
    return Buffer.from(`${JSON.stringify(event)}\n`)
  }
}

function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}
