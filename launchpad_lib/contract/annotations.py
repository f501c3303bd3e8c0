"""A mark on the time: a deployment, an incident, a campaign; judged the same by every door.

Its content is its id: the same instant, kind, feature and label twice are one mark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from launchpad_lib.contract.event.instants import NotAnInstantError, instant
from launchpad_lib.contract.event.rules import NAME_CHARACTERS
from launchpad_lib.contract.names import nearest

KINDS = ("deployment", "incident", "experiment", "campaign", "other")
LABEL_CHARACTERS = 200
FIELDS = ("at", "kind", "feature_id", "label")
EARLIEST, AHEAD = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=366)


class AnnotationError(ValueError):
    """What is no annotation: one sentence with field, value, rule, remedy."""


class Annotation(NamedTuple):
    """One row of the table `annotations`; `at` in UTC."""

    at: datetime
    kind: str
    feature_id: str | None
    label: str

    def line(self) -> str:
        """As a line of JSON, as ingestion reads it."""
        told = {"at": self.at.isoformat().replace("+00:00", "Z"), "kind": self.kind, "label": self.label}
        return json.dumps(told | ({} if self.feature_id is None else {"feature_id": self.feature_id}))


def annotation(said: Mapping[str, Any], *, now: datetime) -> Annotation:
    """An annotation from its fields; without `at` it is of now.

    Raises:
        AnnotationError: a field is unknown, missing or not what it must be.

    >>> annotation({"label": "v2 ", "kind": "deployment"}, now=datetime(2026, 1, 1, tzinfo=UTC)).line()
    '{"at": "2026-01-01T00:00:00Z", "kind": "deployment", "label": "v2"}'
    """
    unknown = next((name for name in said if name not in FIELDS), None)
    if unknown is not None:
        raise AnnotationError(f"{str(unknown)[:60]!r} is no field of an annotation; {nearest(unknown, FIELDS)}")
    kind = said.get("kind")
    if kind not in KINDS:
        raise AnnotationError(
            f"kind={str(kind)[:60]!r}: must be one of {', '.join(KINDS)}; write for example deployment"
        )
    label = _text("label", said.get("label"), most=LABEL_CHARACTERS)
    feature = said.get("feature_id")
    return Annotation(
        _instant(said.get("at"), now),
        str(kind),
        None if feature is None else _text("feature_id", feature, most=NAME_CHARACTERS),
        label,
    )


def _text(field: str, value: Any, *, most: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"{field}: must be text of 1 to {most} characters; write it")
    text = value.strip()
    if len(text) > most:
        raise AnnotationError(f"{field}: has {len(text):,} characters, at most {most} are taken; shorten it")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise AnnotationError(f"{field}: holds half a character; write it again")
    return text


def _instant(value: Any, now: datetime) -> datetime:
    if value is None:
        return now.astimezone(UTC).replace(microsecond=0)
    try:
        at = instant("at", value)
    except NotAnInstantError as error:
        raise AnnotationError(str(error)) from None
    if not EARLIEST <= at <= now + AHEAD:
        raise AnnotationError(f"at={str(value)[:40]!r}: must lie between 1970 and a year from now; correct it")
    return at
