"""Fixtures of the streaming tests: a real broker shared by the session, a topic of its own per test."""

from __future__ import annotations

import os
import uuid

import pytest

from tests.streaming.kafka_broker import Broker, why_not


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    reason = why_not()
    if reason:
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    running = Broker(tmp_path_factory.mktemp("kafka")).start()
    yield running
    running.stop()


@pytest.fixture
def topic(broker):
    name = f"t-{uuid.uuid4().hex[:10]}"
    broker.create_topic(name)
    return name
