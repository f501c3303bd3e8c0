"""Kafka: addresses, client settings and producers, each in one place."""
