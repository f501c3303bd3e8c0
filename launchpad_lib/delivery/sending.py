"""Hands messages to channels: each is written down before it leaves and after, and tried again with longer waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from launchpad_lib.contract.sentences import counted
from launchpad_lib.delivery.channels import (
    Channel,
    ChannelError,
    MailChannel,
    PagerDutyChannel,
    SlackChannel,
    address_of,
    secret_of,
)
from launchpad_lib.delivery.mail import send_mail
from launchpad_lib.delivery.message import Message
from launchpad_lib.delivery.payloads import (
    PAGERDUTY,
    json_body,
    pagerduty_payload,
    signature_headers,
    slack_payload,
    webhook_payload,
)
from launchpad_lib.delivery.posting import Answer, post
from launchpad_lib.delivery.sent_log import SentLog

LONGEST_WAIT_SECONDS = 60.0
JSON = {"content-type": "application/json", "user-agent": "feature-launchpad"}


class Delivery(NamedTuple):
    """What came of one message to one channel: sent, failed, or sent before; why; after how many tries."""

    channel: str
    message: Message
    outcome: str
    fault: str | None
    attempts: int

    def says(self) -> str:
        """In one line."""
        told = f"{self.channel}: {self.outcome} {self.message.kind} {self.message.title!r}"
        return f"{told}: {self.fault} ({counted(self.attempts, 'try', 'tries')})" if self.fault else told


def deliver(
    messages: Iterable[tuple[str, Message]],
    channels: Mapping[str, Channel],
    log: SentLog,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> list[Delivery]:
    """Sends each message to its channel, one after the other; a failed one does not stop the next.

    A message that the log says was taken is not sent again. One that was begun and whose end nobody wrote down (a kill
    in between) is sent again under the same id: a receiver that knows keys shows it once, Slack and mail may show it
    twice.
    """
    return [_deliver(message, name, channels[name], log, wait) for name, message in messages]


def _deliver(message: Message, name: str, channel: Channel, log: SentLog, wait: Callable[[float], None]) -> Delivery:
    if log.was_taken(name, message.message_id):
        return Delivery(name, message, "was sent before:", None, 0)
    again = {"again": True} if log.is_in_doubt(name, message.message_id) else {}
    log.write(message, name, outcome="sending", now=datetime.now(UTC), **again)
    tries = 0
    while True:
        tries += 1
        try:
            answer = send(message, channel)
        except ChannelError as error:
            answer = Answer(str(error), True)
        if answer.fault is None or answer.is_final or tries >= channel.attempts:
            break
        # Twice as long each time, and never at the same instant as others who wait for the same receiver.
        pause = (
            answer.wait_seconds if answer.wait_seconds is not None else 2.0 ** (tries - 1) * random.uniform(0.8, 1.2)
        )  # noqa: S311
        wait(min(pause, LONGEST_WAIT_SECONDS))
    outcome = "sent" if answer.fault is None else "failed"
    told = {"fault": answer.fault} if answer.fault else {}
    log.write(message, name, outcome=outcome, now=datetime.now(UTC), attempts=tries, **told)
    return Delivery(name, message, outcome, answer.fault, tries)


def send(message: Message, channel: Channel) -> Answer:
    """One try.

    Raises:
        ChannelError: a secret is not set, or is no address.
    """
    if isinstance(channel, MailChannel):
        return send_mail(message, channel)
    if isinstance(channel, SlackChannel):
        url, body, headers = address_of(channel.url_env), json_body(slack_payload(message)), JSON
    elif isinstance(channel, PagerDutyChannel):
        if message.kind == "digest":
            return Answer("PagerDuty takes alerts, no digest; send it to another channel", True)
        url = address_of(channel.url_env) if channel.url_env else PAGERDUTY[channel.region]
        body, headers = json_body(pagerduty_payload(message, routing_key=secret_of(channel.key_env))), JSON
    else:
        url, body = address_of(channel.url_env), json_body(webhook_payload(message))
        try:
            signed = signature_headers(
                body,
                message_id=message.message_id,
                secret=secret_of(channel.secret_env),
                now_seconds=int(datetime.now(UTC).timestamp()),
            )
        except ValueError as error:
            if isinstance(error, ChannelError):
                raise
            raise ChannelError(f"{channel.secret_env}: begins with whsec_ and is no base64; set it again") from None
        headers = JSON | signed
    return post(url, body, headers=headers, timeout_seconds=channel.timeout_seconds)
