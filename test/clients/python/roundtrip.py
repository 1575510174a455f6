"""All that an application does with librdkafka, against a running cluster; the answers are one JSON document.

  roundtrip.py admin    BOOTSTRAP                 topics, configurations, cluster, offsets
  roundtrip.py records  BOOTSTRAP VALUE_BYTES     codecs, headers, null and empty, the largest record
  roundtrip.py groups   BOOTSTRAP                 join, rebalance, commit, resume, administration, a static member
"""
import json
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, ElectionType, KafkaException, Producer, TopicCollection,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec)

TIMEOUT = 15


def outcome(future):
    """'done' where there is no value, else the error's name and text."""
    try:
        value = future.result(TIMEOUT)
        return 'done' if value is None else value
    except KafkaException as error:
        return '%s: %s' % (error.args[0].name(), error.args[0].str())


def only(futures):
    (future,) = futures.values()
    return outcome(future)


def create(admin, name, partitions, replicas=3, **config):
    return only(admin.create_topics([NewTopic(name, partitions, replicas, config=config)]))


def admin(bootstrap):
    client = AdminClient({'bootstrap.servers': bootstrap})
    out = {'created': create(client, 'py-admin', 3, **{'retention.ms': '60000'})}
    out['refused'] = {
        'exists': create(client, 'py-admin', 3),
        'name': create(client, '../py', 3),
        'replicas': create(client, 'py-many', 3, 4),
        'config': create(client, 'py-config', 3, **{'retention.mx': '1'}),
        'value': create(client, 'py-value', 3, **{'retention.ms': 'long'}),
        'partitions': only(client.create_partitions([NewPartitions('py-admin', 2)])),
        'unknown': only(client.delete_topics(['py-unknown'])),
    }

    def configs(*names):
        resource = ConfigResource(ConfigResource.Type.TOPIC, 'py-admin')
        entries = only(client.describe_configs([resource]))
        return {name: [entries[name].value, entries[name].is_default] for name in names}

    def alter(name, value, operation):
        resource = ConfigResource(ConfigResource.Type.TOPIC, 'py-admin')
        resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=operation))
        return only(client.incremental_alter_configs([resource]))

    out['configs'] = configs('retention.ms', 'cleanup.policy', 'flush.messages', 'max.message.bytes')
    out['altered'] = [alter('retention.ms', '70000', AlterConfigOpType.SET),
                      alter('cleanup.policy', 'compact', AlterConfigOpType.APPEND)]
    out['configsAfter'] = configs('retention.ms', 'cleanup.policy')
    out['deletedConfig'] = alter('retention.ms', None, AlterConfigOpType.DELETE)
    out['configsAtLast'] = configs('retention.ms')
    out['refused']['alter'] = alter('segment.bytes', '-5', AlterConfigOpType.SET)
    broker = only(client.describe_configs([ConfigResource(ConfigResource.Type.BROKER, '2')]))
    out['broker'] = {name: broker[name].value for name in ('node.id', 'default.replication.factor', 'min.insync.replicas')}

    cluster = client.describe_cluster().result(TIMEOUT)
    out['cluster'] = {'controller': cluster.controller.id, 'nodes': sorted([n.id, n.host, n.port] for n in cluster.nodes)}
    out['grown'] = only(client.create_partitions([NewPartitions('py-admin', 5)]))
    topic = only(client.describe_topics(TopicCollection(['py-admin'])))
    out['topic'] = {
        'partitions': sorted(p.id for p in topic.partitions),
        'replicas': [sorted(r.id for r in p.replicas) for p in topic.partitions],
        'isr': [sorted(r.id for r in p.isr) for p in topic.partitions],
    }
    out['elected'] = {str(p): str(e) for p, e in client.elect_leaders(ElectionType.PREFERRED, None).result(TIMEOUT).items()}

    producer = Producer({'bootstrap.servers': bootstrap})
    for i in range(4):
        producer.produce('py-admin', key='k', value=b'%d' % i, partition=0, timestamp=1000 * (i + 1))
    producer.flush(TIMEOUT)

    def offset(spec):
        return only(client.list_offsets({TopicPartition('py-admin', 0): spec})).offset

    out['offsets'] = [offset(s) for s in (OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp(),
                                          OffsetSpec.for_timestamp(2500), OffsetSpec.for_timestamp(9000))]
    out['deleted'] = only(client.delete_topics(['py-admin']))
    out['left'] = [name for name in client.list_topics(timeout=TIMEOUT).topics if name.startswith('py-')]
    return out


def produce(bootstrap, topic, records, **config):
    """records: (key, value, headers). Each record's error, or the partition and offset that it got."""
    producer = Producer({'bootstrap.servers': bootstrap, 'acks': 'all', 'enable.idempotence': True,
                         'message.max.bytes': 2000000, **config})
    results = []

    def delivered(error, message):
        results.append(error.name() if error is not None else [message.partition(), message.offset()])

    for key, value, headers in records:
        producer.produce(topic, key=key, value=value, headers=headers, callback=delivered)
    producer.flush(TIMEOUT)
    return results


def text(value):
    return None if value is None else value.decode()


def read(bootstrap, topic, count, partitions=1):
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'assigned', 'auto.offset.reset': 'error',
                         'check.crcs': True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    messages = poll(consumer, count)
    consumer.close()
    return messages


def poll(consumer, count, others=()):
    messages = []
    deadline = time.monotonic() + TIMEOUT
    while len(messages) < count:
        message = consumer.poll(0.05)
        for other in others:
            other.poll(0)
        if message is not None:
            if message.error() is not None:
                raise KafkaException(message.error())
            messages.append(message)
        elif time.monotonic() > deadline:
            raise TimeoutError('%d of %d records' % (len(messages), count))
    return messages


def records(bootstrap, value_bytes):
    client = AdminClient({'bootstrap.servers': bootstrap})
    out = {'codecs': {}}
    for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
        topic = 'py-codec-' + codec
        create(client, topic, 3)
        sent = [(b'k%d' % i, b'value ' * 20 + b'%d' % i, [('codec', codec.encode())]) for i in range(300)]
        acknowledged = [r for r in produce(bootstrap, topic, sent, **{'compression.type': codec}) if isinstance(r, list)]
        got = [(m.key(), m.value(), m.headers()) for m in read(bootstrap, topic, len(sent), 3)]
        out['codecs'][codec] = {'acknowledged': len(acknowledged), 'same': sorted(got) == sorted(sent)}
    create(client, 'py-shapes', 1)
    produce(bootstrap, 'py-shapes', [
        (None, None, None), (b'', b'', []), (b'k', None, [('h', b'1'), ('h', b'2'), ('null', None), ('empty', b'')]),
        (None, b'v', None),
    ])
    out['shapes'] = [[text(m.key()), text(m.value()), [[k, text(v)] for k, v in m.headers() or []]]
                     for m in read(bootstrap, 'py-shapes', 4)]
    create(client, 'py-large', 1)
    size = int(value_bytes)
    out['large'] = [produce(bootstrap, 'py-large', [(None, b'x' * n, None)]) for n in (size, size + 1)]
    out['largeRead'] = [len(m.value()) for m in read(bootstrap, 'py-large', 1)]
    create(client, 'py-compacted', 1, **{'cleanup.policy': 'compact'})
    out['compacted'] = produce(bootstrap, 'py-compacted', [(None, b'v', None)])
    return out


class Member:
    def __init__(self, bootstrap, group, topic, **config):
        self.assigned = []
        self.rebalances = 0
        self.consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': group, 'auto.offset.reset': 'earliest',
                                  'enable.auto.commit': False, 'heartbeat.interval.ms': 200, **config})
        self.consumer.subscribe([topic], on_assign=self.on_assign)

    def on_assign(self, _consumer, partitions):
        self.assigned = sorted(p.partition for p in partitions)
        self.rebalances += 1


def until(condition, *members):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError([(m.assigned, m.rebalances) for m in members])
        for m in members:
            m.consumer.poll(0.02)


def groups(bootstrap):
    client = AdminClient({'bootstrap.servers': bootstrap})
    create(client, 'py-shared', 4)
    for partition in range(4):
        producer = Producer({'bootstrap.servers': bootstrap})
        for i in range(10):
            producer.produce('py-shared', value=b'%d' % i, partition=partition)
        producer.flush(TIMEOUT)
    out = {}

    first = Member(bootstrap, 'py-workers', 'py-shared')
    got = poll(first.consumer, 40)
    committed = first.consumer.commit(asynchronous=False)
    out['committed'] = sorted([p.partition, p.offset] for p in committed)
    second = Member(bootstrap, 'py-workers', 'py-shared')
    until(lambda: len(first.assigned) == 2 and len(second.assigned) == 2, first, second)
    out['shared'] = sorted(first.assigned + second.assigned)
    description = only(client.describe_consumer_groups(['py-workers']))
    out['described'] = {'state': description.state.name, 'assignor': description.partition_assignor,
                        'members': len(description.members), 'coordinator': description.coordinator.id in (1, 2, 3)}
    out['refused'] = only(client.delete_consumer_groups(['py-workers']))
    second.consumer.close()
    until(lambda: len(first.assigned) == 4, first)
    first.consumer.close()
    listed = client.list_consumer_groups().result(TIMEOUT).valid
    out['listed'] = [g.state.name for g in listed if g.group_id == 'py-workers']

    again = Member(bootstrap, 'py-workers', 'py-shared')
    producer = Producer({'bootstrap.servers': bootstrap})
    producer.produce('py-shared', value=b'new', partition=2)
    producer.flush(TIMEOUT)
    out['resumed'] = [[m.partition(), m.offset()] for m in poll(again.consumer, 1)]
    again.consumer.close()

    offsets = ConsumerGroupTopicPartitions('py-workers', [TopicPartition('py-shared', 0, 3)])
    out['reset'] = [[p.partition, p.offset, str(p.error)] for p in
                    only(client.alter_consumer_group_offsets([offsets])).topic_partitions]
    fetched = only(client.list_consumer_group_offsets([ConsumerGroupTopicPartitions('py-workers')]))
    out['fetched'] = sorted([p.partition, p.offset] for p in fetched.topic_partitions)
    out['deleted'] = only(client.delete_consumer_groups(['py-workers']))
    out['deletedAgain'] = only(client.delete_consumer_groups(['py-workers']))
    out['static'] = static_member(bootstrap)
    out['transactional'] = transactional(bootstrap)
    return out


def static_member(bootstrap):
    """A static member that goes and comes back within its session finds its partitions, and nobody is rebalanced."""
    stays = Member(bootstrap, 'py-static', 'py-shared', **{'group.instance.id': 'stays'})
    goes = Member(bootstrap, 'py-static', 'py-shared', **{'group.instance.id': 'goes'})
    until(lambda: len(stays.assigned) == 2 and len(goes.assigned) == 2, stays, goes)
    before = {'assigned': goes.assigned, 'rebalances': stays.rebalances}
    goes.consumer.close()
    back = Member(bootstrap, 'py-static', 'py-shared', **{'group.instance.id': 'goes'})
    until(lambda: len(back.assigned) > 0, stays, back)
    # Heartbeats of several intervals would tell the one that stayed of a rebalance.
    deadline = time.monotonic() + 1
    until(lambda: time.monotonic() > deadline, stays, back)
    out = {'sameAssignment': back.assigned == before['assigned'], 'rebalances': stays.rebalances - before['rebalances']}
    stays.consumer.close()
    back.consumer.close()
    return out


def transactional(bootstrap):
    producer = Producer({'bootstrap.servers': bootstrap, 'transactional.id': 'py'})
    try:
        producer.init_transactions(1)
        return 'done'
    except KafkaException as error:
        return error.args[0].name()


if __name__ == '__main__':
    commands = {'admin': admin, 'records': records, 'groups': groups}
    json.dump(commands[sys.argv[1]](*sys.argv[2:]), sys.stdout)
