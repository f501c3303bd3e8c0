"""Addresses of topics, and the client's TLS and SASL settings from the environment.

LAUNCHPAD_KAFKA_SECURITY_PROTOCOL, _SASL_MECHANISM, _SASL_PLAIN_USERNAME, _SASL_PLAIN_PASSWORD, _SSL_CAFILE,
_SSL_CERTFILE, _SSL_KEYFILE, _SSL_PASSWORD, _SSL_CHECK_HOSTNAME. They are handed to the client and appear in no message.

A record's value is one event as JSON, or several joined by newlines with the header `content-type:
application/x-ndjson`; its key is the user_id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from launchpad_lib.contract.names import nearest

PREFIX = "LAUNCHPAD_KAFKA_"
OF_THE_BROKER = ("libs", "heap")  # of scripts/kafka.sh
SETTINGS = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_check_hostname",
)
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_ADDRESS = re.compile(rf"kafka://(?P<servers>[^/\s@]+)/(?P<topic>{TOPIC.pattern})")


class KafkaSettingsError(ValueError):
    """An address or a setting that cannot be used; one sentence without its value where that may be secret."""


class Address(NamedTuple):
    """Where a topic is."""

    servers: list[str]
    topic: str


def address_of(text: str, *, argument: str) -> Address:
    """The parts of kafka://host:port[,host:port]/topic.

    Raises:
        KafkaSettingsError: it has another form; what stands before an @ is never shown.

    >>> address_of("kafka://a:9092,b:9092/events", argument="to")
    Address(servers=['a:9092', 'b:9092'], topic='events')
    """
    if "@" in text:
        raise KafkaSettingsError(
            f"{argument}: write kafka://host:port/topic; user and password belong into "
            f"{PREFIX}SASL_PLAIN_USERNAME and {PREFIX}SASL_PLAIN_PASSWORD"
        )
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise KafkaSettingsError(
            f"{argument}={text!r}: must be kafka://host:port/topic, several hosts with commas; mend it"
        )
    return Address(match["servers"].split(","), match["topic"])


def settings_from(environment: Mapping[str, str]) -> dict[str, str | bool]:
    """The client's TLS and SASL settings. Values are never shown.

    Raises:
        KafkaSettingsError: a variable with our prefix that is none of them.
    """
    found: dict[str, str | bool] = {}
    for name, value in environment.items():
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or key in OF_THE_BROKER:
            continue
        if key not in SETTINGS:
            known = [PREFIX + s.upper() for s in SETTINGS]
            raise KafkaSettingsError(f"{name}: there is no such Kafka setting; {nearest(name, known)}")
        found[key] = value.lower() not in ("0", "false", "no") if key == "ssl_check_hostname" else value
    return found


_CLIENT = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
    "ssl_check_hostname": "ssl.endpoint.identification.algorithm",
}


def client_settings(servers: str, settings: Mapping[str, str | bool]) -> dict[str, Any]:
    """The same settings in the words of librdkafka, which says nothing by itself then.

    >>> client_settings("a:9092", {"ssl_check_hostname": False})["ssl.endpoint.identification.algorithm"]
    'none'
    """
    said = {_CLIENT[name]: value for name, value in settings.items()}
    if "ssl_check_hostname" in settings:
        said[_CLIENT["ssl_check_hostname"]] = "https" if settings["ssl_check_hostname"] else "none"
    return said | {"bootstrap.servers": servers, "log_level": 0, "reconnect.backoff.max.ms": 1000}


def producer(servers: str | list[str], *, settings: Mapping[str, Any], **options: Any) -> Any:
    """A producer whose records are acknowledged by every replica in sync, each once; `options` are kafka-python's."""
    from kafka import KafkaProducer

    ours = {"acks": "all", "enable_idempotence": True, "linger_ms": 2}
    return KafkaProducer(**(ours | options | dict(settings) | {"bootstrap_servers": servers}))
