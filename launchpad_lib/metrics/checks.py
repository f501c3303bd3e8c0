"""What cannot be computed is said in one sentence: unknown names, and rates that have nobody to count.

A metric builds an expression and reads nothing, so a misspelt event is to it an event nobody did. These functions read
the log and say so; a report prints the sentence in place of the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.names import nearest


@ibis.udf.scalar.builtin(name="json_keys", signature=(("json",), "array<string>"))
def _json_keys(text): ...


def unknown_names(events: ir.Table, *, event_names: Iterable[str], properties: Iterable[str] = ()) -> str | None:
    """None where every event name occurs in the log and every property is a column or a JSON key; else one sentence.

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable([{"user_id": "u", "event_name": "quiz_started", "event_at": datetime(2026, 1, 1)}])
    >>> unknown_names(events, event_names=["quiz_start"])
    "event 'quiz_start': does not occur in the log; did you mean 'quiz_started'?"
    """
    wanted = list(dict.fromkeys(event_names))
    known = set(events.select("event_name").distinct().to_pandas()["event_name"].dropna())
    for name in wanted:
        if name not in known:
            return f"event {name!r}: does not occur in the log; {nearest(name, known)}"
    missing = [p for p in properties if p is not None and p not in events.columns]
    if missing:
        keys: set[str] = set()
        if "properties" in events.columns:
            found = events.select(key=_json_keys(events.properties.cast("string").try_cast("json")).unnest()).distinct()
            keys = set(found.to_pandas()["key"].dropna())
        for name in missing:
            if name not in keys:
                return f"property {name!r}: is neither a column nor a key of `properties` in the log; {nearest(name, {*events.columns, *keys})}"
    return None


def require_known(events: ir.Table, *, event_names: Iterable[str], properties: Iterable[str] = ()) -> None:
    """Raises ValueError with the sentence of `unknown_names`."""
    sentence = unknown_names(events, event_names=event_names, properties=properties)
    if sentence:
        raise ValueError(sentence)


def nobody_mature(
    users: int | None, *, immature: int | None, what: str, observed_through: datetime | None = None
) -> str | None:
    """None where somebody can be counted; else why a rate has no number.

    >>> nobody_mature(0, immature=12, what="day 30")
    'day 30: no user has been observed to the end (12 still open), so there is no rate yet; wait or ask for a shorter time'
    """
    if users:
        return None
    seen = f" by {observed_through:%Y-%m-%d %H:%M} UTC" if observed_through else ""
    if immature:
        return f"{what}: no user has been observed to the end{seen} ({int(immature):,} still open), so there is no rate yet; wait or ask for a shorter time"
    return f"{what}: nobody entered{seen}, so there is no rate; check the event names and the period"
