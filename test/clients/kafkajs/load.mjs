// kafkajs under the tests' command, with the same lines as ../python/load.py:
//   load.mjs produce BOOTSTRAP TOPIC PARTITION RATE     until standard input ends
//   load.mjs consume BOOTSTRAP TOPIC PARTITION EXPECTED a group of its own, from the beginning
import { Kafka, logLevel, Partitioners } from 'kafkajs'

const nowMs = () => Number(process.hrtime.bigint()) / 1e6
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)

const [mode, bootstrap, topic, partition, argument] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'load', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })

async function produce() {
  // Idempotent, one request in flight, kafkajs's own retries and back-off.
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  let stopped = false
  process.stdin.on('end', () => {
    stopped = true
  })
  process.stdin.resume()
  const started = nowMs()
  let next = 0
  while (!stopped) {
    // What fell due while the last request was under way goes into the next one.
    const due = Math.min(Math.floor(((nowMs() - started) / 1000) * Number(argument)), next + 1000)
    if (due <= next) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      continue
    }
    const values = Array.from({ length: due - next }, (_, i) => next + i)
    next = due
    const messages = values.map((value) => ({ value: String(value), partition: Number(partition) }))
    try {
      const [result] = await producer.send({ topic, acks: -1, messages })
      for (const [i, value] of values.entries()) {
        say({ ack: value, offset: Number(result.baseOffset) + i, at: nowMs() })
      }
    } catch (error) {
      for (const value of values) say({ failed: value, reason: String(error), at: nowMs() })
    }
  }
  await producer.disconnect()
  say({ done: next, unflushed: 0, at: nowMs() })
}

async function consume() {
  const consumer = kafka.consumer({ groupId: `load-${process.pid}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let seen = 0
  await new Promise((resolve) => {
    consumer.run({
      eachMessage: async ({ partition: from, message }) => {
        say({ value: Number(message.value), offset: Number(message.offset), partition: from, at: nowMs() })
        if (++seen >= Number(argument)) resolve()
      },
    })
  })
  await consumer.disconnect()
  say({ done: seen })
}

await (mode === 'produce' ? produce() : consume())
process.exit(0)
