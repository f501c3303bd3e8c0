"""Many alerts of one rule at once: one message to people, each by itself to machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from launchpad_lib.contract.sentences import counted
from launchpad_lib.delivery.channels import Channel, MailChannel, SlackChannel
from launchpad_lib.delivery.message import Member, Message, key_of, one_line

MOST_ALONE = 5
MOST_NAMED = 20


def grouped(messages: Iterable[tuple[str, Message]], channels: Mapping[str, Channel]) -> list[tuple[str, Message]]:
    """With more than `MOST_ALONE` alerts of one rule that begin, or are over, put into one message to a channel that
    people read (Slack, mail). PagerDuty and webhooks know alerts by their keys and get each.

    The message has the place of the first of them.
    """
    together: dict[tuple[str, str, str], list[Message]] = {}
    for name, one in messages:
        # A machine's messages are never of one group: each has a key of its own.
        apart = one.rule if isinstance(channels[name], SlackChannel | MailChannel) else one.message_id
        together.setdefault((name, one.kind, apart), []).append(one)
    told: list[tuple[str, Message]] = []
    for (name, _, _), alike in together.items():
        told += [(name, _one_of(alike))] if len(alike) > MOST_ALONE else [(name, one) for one in alike]
    return told


def _one_of(alike: list[Message]) -> Message:
    first = alike[0]
    lines = [one.title for one in alike[:MOST_NAMED]]
    if len(alike) > MOST_NAMED:
        lines.append(f"and {len(alike) - MOST_NAMED} more; the report has them")
    lines.append(first.lines[-1])  # the run and the rule
    return first._replace(
        key=key_of(*(one.key for one in alike)),
        message_id=key_of(*(one.message_id for one in alike)),
        title=one_line(f"{counted(len(alike), 'alert')} of one rule: {first.rule}"),
        lines=tuple(lines),
        feature_id=None,
        page=None,
        link=None,
        members=tuple(Member(one.key, one.title, one.feature_id, one.page) for one in alike),
    )
