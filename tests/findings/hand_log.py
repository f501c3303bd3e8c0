"""Logs made by hand, small enough to be counted."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

START = datetime(2026, 1, 5, 9)


def log(rows: list[tuple]) -> ir.Table:
    """Rows of (user, event, hours after Monday 5 January 2026 9:00[, more columns]) as an event log of one session a user."""
    return ibis.memtable(
        [
            {
                "user_id": user,
                "session_key": f"s-{user}",
                "event_name": event,
                "event_at": START + timedelta(hours=hours),
                "platform": "web",
                "feature_id": None,
                **(more[0] if more else {}),
            }
            for user, event, hours, *more in rows
        ],
        schema={
            "user_id": "string",
            "session_key": "string",
            "event_name": "string",
            "event_at": "timestamp",
            "platform": "string",
            "feature_id": "string",
        },
    )
