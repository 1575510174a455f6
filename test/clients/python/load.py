"""librdkafka under the tests' command: one line of JSON for each thing that happened.

  load.py produce  BOOTSTRAP TOPIC PARTITION RATE [key=value ...]   until standard input ends; then flushes
  load.py consume  BOOTSTRAP TOPIC PARTITION EXPECTED               assigned, from the beginning, each record once
  load.py follow   BOOTSTRAP TOPIC PARTITION [key=value ...]        assigned, until standard input ends
  load.py group    BOOTSTRAP TOPIC GROUP INSTANCE|-                 subscribed, commits each poll, until standard input ends

Times are milliseconds of CLOCK_MONOTONIC, which every process of one machine shares.
"""
import json
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition


def now_ms():
    return time.clock_gettime(time.CLOCK_MONOTONIC) * 1000


def say(**event):
    sys.stdout.write(json.dumps(event) + '\n')
    sys.stdout.flush()


def ended():
    event = threading.Event()

    def wait():
        sys.stdin.read()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def produce(bootstrap, topic, partition, rate, *extra):
    """acks=all, idempotent, linger 0, else librdkafka's defaults."""
    config = {'bootstrap.servers': bootstrap, 'acks': 'all', 'enable.idempotence': True, 'linger.ms': 0}
    config.update(pair.split('=', 1) for pair in extra)
    producer = Producer(config)
    stop = ended()
    interval = 1.0 / float(rate)
    sent = 0

    def delivered(error, message, value):
        if error is None:
            say(ack=value, offset=message.offset(), at=now_ms())
        else:
            say(failed=value, code=error.code(), reason=error.str(), at=now_ms())

    due = time.monotonic()
    while not stop.is_set():
        value = sent
        try:
            producer.produce(topic, str(value).encode(), partition=int(partition),
                             callback=lambda e, m, v=value: delivered(e, m, v))
            sent += 1
        except BufferError:
            producer.poll(0.05)
            continue
        due += interval
        while True:
            left = due - time.monotonic()
            producer.poll(max(0, min(left, 0.05)))
            if due <= time.monotonic() or stop.is_set():
                break
    left = producer.flush(60)
    say(done=sent, unflushed=left, at=now_ms())


def consumer(bootstrap, **extra):
    config = {'bootstrap.servers': bootstrap, 'group.id': 'assigned', 'enable.auto.commit': False,
              'auto.offset.reset': 'error', 'enable.partition.eof': True}
    config.update(extra)
    return Consumer(config)


def report(message):
    if message.error() is None:
        say(value=int(message.value()), offset=message.offset(), partition=message.partition(), at=now_ms())
    elif message.error().code() != KafkaError._PARTITION_EOF:
        say(error=message.error().name(), reason=message.error().str(), at=now_ms())


def consume(bootstrap, topic, partition, expected):
    """Reads to the end of the partition, and on until EXPECTED records were seen."""
    client = consumer(bootstrap)
    client.assign([TopicPartition(topic, int(partition), 0)])
    seen = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = client.poll(0.5)
        if message is None:
            continue
        if message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF:
            if seen >= int(expected):
                break
            continue
        report(message)
        if message.error() is None:
            seen += 1
    say(done=seen)
    client.close()


def follow(bootstrap, topic, partition, *extra):
    client = consumer(bootstrap, **dict(pair.split('=', 1) for pair in extra))
    client.assign([TopicPartition(topic, int(partition), 0)])
    stop = ended()
    while not stop.is_set():
        message = client.poll(0.2)
        if message is not None:
            report(message)
    client.close()
    say(done=True)


def group(bootstrap, topic, name, instance):
    extra = {'group.id': name, 'auto.offset.reset': 'earliest', 'session.timeout.ms': 6000}
    if instance != '-':
        extra['group.instance.id'] = instance
    client = consumer(bootstrap, **extra)
    stop = ended()
    client.subscribe([topic],
                     on_assign=lambda c, p: say(assigned=[x.partition for x in p], at=now_ms()),
                     on_revoke=lambda c, p: say(revoked=[x.partition for x in p], at=now_ms()))
    while not stop.is_set():
        message = client.poll(0.2)
        if message is None:
            continue
        report(message)
        if message.error() is None:
            try:
                client.commit(message=message, asynchronous=False)
                say(committed=message.offset() + 1, partition=message.partition(), at=now_ms())
            except Exception as error:
                say(commitFailed=str(error), partition=message.partition(), at=now_ms())
    client.close()
    say(done=True)


if __name__ == '__main__':
    {'produce': produce, 'consume': consume, 'follow': follow, 'group': group}[sys.argv[1]](*sys.argv[2:])
