"""The broker the other tests lean on is a real one."""

from __future__ import annotations

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def test_what_is_produced_to_the_real_broker_is_consumed_in_order(broker, topic):
    producer = KafkaProducer(bootstrap_servers=broker.address)
    for i in range(1000):
        producer.send(topic, b"%d" % i)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []
    while len(values) < 1000:
        for records in consumer.poll(2000).values():
            values += [r.value for r in records]
    consumer.close()
    assert values == [b"%d" % i for i in range(1000)]
