"""The same load by librdkafka: `librdkafka.py '<job as JSON>'` prints one result as JSON; see load.ts for both."""
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

job = json.loads(sys.argv[1])


def produce():
    """acks=all, its defaults but for the size of batches; values only, until the time is over."""
    producer = Producer({
        'bootstrap.servers': job['bootstrap'],
        'acks': 'all',
        'batch.size': job['batchBytes'],
        'linger.ms': 5,
        'message.max.bytes': 2_000_000,
        'queue.buffering.max.kbytes': 65_536,
    })
    value = b'k' * (job['recordBytes'] - 12)
    done = 0

    def delivered(error, _message):
        nonlocal done
        if error is not None:
            raise SystemExit(error.str())
        done += 1

    start = time.monotonic()
    while time.monotonic() < start + job['seconds']:
        for _ in range(500):
            try:
                producer.produce(job['topic'], value, on_delivery=delivered)
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush()
    return done, done * job['recordBytes'], time.monotonic() - start


def consume():
    """Every partition from its beginning to its end."""
    consumer = Consumer({
        'bootstrap.servers': job['bootstrap'],
        'group.id': 'kogge-bench',
        'enable.auto.commit': False,
        'auto.offset.reset': 'earliest',
    })
    partitions = consumer.list_topics(job['topic']).topics[job['topic']].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(job['topic'], p))[1] for p in partitions}
    wanted = sum(ends.values())
    consumer.assign([TopicPartition(job['topic'], p, 0) for p in partitions])
    start = time.monotonic()
    done = 0
    size = 0
    while done < wanted and time.monotonic() < start + job['seconds']:
        messages = consumer.consume(10_000, 0.05)
        done += len(messages)
        size += sum(len(message) for message in messages)
    seconds = time.monotonic() - start
    consumer.close()
    return done, size, seconds


records, size, seconds = produce() if job['kind'] == 'produce' else consume()
print(json.dumps({'seconds': seconds, 'records': records, 'bytes': size}))
