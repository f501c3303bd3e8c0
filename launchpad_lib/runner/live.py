"""The last minutes of the lake, for the terminal: events, completion, delivery, refused, gaps, lag, watermark."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from rich.table import Table
from rich.text import Text

from launchpad_lib.lake.refused_damage import refuse_damage


class LiveFigures(NamedTuple):
    """Events by `received_at`, refused and gaps by when they were noticed, within the last minutes.

    None: nothing to count from.

    `completion_rate`: users of the window with a quiz_completed / with a quiz_started, each within it (no maturity: a
    view, not a report). `p95_latency_ms`: telemetry observed in the window. `p95_delivery_seconds`: received_at -
    event_at. `watermark_at`: newest received_at (UTC).
    """

    events: int
    users: int
    started: int
    completed: int
    completion_rate: float | None
    p95_latency_ms: float | None
    p95_delivery_seconds: float | None
    refused: int
    gaps: int
    watermark_at: datetime | None


def live_figures(lake: Path, *, minutes: float, now: datetime) -> LiveFigures:
    """Reads only files that can hold rows of the window.

    Raises:
        ValueError: the lake has no events table, or `minutes` is not above 0.
    """
    if minutes <= 0:
        raise ValueError(f"minutes={minutes}: must be above 0; choose for example 5")
    refuse_damage(lake, logs_only=True)
    if not DeltaTable.is_deltatable(str(lake / "events")):
        raise ValueError(
            f"lake={str(lake)!r}: there is no events table; run `launchpad stream` or `launchpad ingest` "
            "first, or correct the path"
        )
    since = now.astimezone(UTC).replace(tzinfo=None) - timedelta(minutes=minutes)
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET TimeZone = 'UTC'")
    row = _query(
        con,
        lake / "events",
        "received_at",
        since,
        """count(*), count(DISTINCT user_id), count(DISTINCT user_id) FILTER (event_name = 'quiz_started'),
        count(DISTINCT user_id) FILTER (event_name = 'quiz_completed'),
        quantile_cont(epoch_us(received_at - event_at) / 1e6, 0.95),
        max(received_at)""",
    ) or (0, 0, 0, 0, None, None)
    latency = _query(con, lake / "telemetry", "observed_at", since, "quantile_cont(latency_ms, 0.95)") or (None,)
    refused = _query(con, lake / "rejected", "rejected_at", since, "count(*)") or (0,)
    gaps = _query(con, lake / "gaps", "noticed_at", since, "count(*)") or (0,)
    con.close()
    events, users, started, completed, arrival, last = row
    rate = completed / started if started else None
    return LiveFigures(events, users, started, completed, rate, latency[0], arrival, refused[0], gaps[0], last)


def _query(con: duckdb.DuckDBPyConnection, place: Path, column: str, since: datetime, select: str) -> tuple | None:
    """The aggregate over rows since then; None when no file can have one."""
    if not DeltaTable.is_deltatable(str(place)):
        return None
    actions = pa.table(DeltaTable(str(place)).get_add_actions(flatten=True))
    names = actions["path"].to_pylist()
    newest = actions[f"max.{column}"].to_pylist() if f"max.{column}" in actions.column_names else [None] * len(names)
    files = [
        str(place / unquote(n))
        for n, m in zip(names, newest, strict=True)
        if m is None or m.replace(tzinfo=None) >= since
    ]
    if not files:
        return None
    query = (
        f"SELECT {select} FROM read_parquet($files, union_by_name = true, hive_partitioning = false) WHERE "
        f"{column} >= $since"
    )
    return con.execute(query, {"files": files, "since": since}).fetchall()[0]


def worker_figures(url: str) -> dict[str, float]:
    """Sums of the worker's metrics by name, from its /metrics address; empty when it does not answer."""
    from prometheus_client.parser import text_string_to_metric_families

    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"metrics={url!r}: write http://host:port/metrics, as `launchpad stream --metrics-port` prints it"
        )
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def live_table(
    figures: LiveFigures, worker: dict[str, float] | None, *, minutes: float, now: datetime, alerts: str | None = None
) -> Table:
    """The figures as a table for the terminal."""

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else form.format(value)

    age = (
        None
        if figures.watermark_at is None
        else (now.astimezone(UTC).replace(tzinfo=None) - figures.watermark_at).total_seconds()
    )
    table = Table(title=f"The last {minutes:g} minutes at {now:%H:%M:%S} UTC", show_header=False, title_justify="left")
    rows = [
        ("events", f"{figures.events:,} ({figures.events / minutes / 60:,.1f} a second) of {figures.users:,} users"),
        (
            "completion",
            f"{shown(figures.completion_rate, '{:.1%}')} ({figures.completed:,} of {figures.started:,} users)",
        ),
        ("p95 latency of features", shown(figures.p95_latency_ms, "{:,.0f} ms")),
        ("p95 from event to received", shown(figures.p95_delivery_seconds, "{:.2f} s")),
        ("refused, gaps", f"{figures.refused:,}, {figures.gaps:,}"),
        ("watermark", shown(age, "{:.1f} s ago")),
    ]
    if worker is not None:
        lag = worker.get("launchpad_stream_lag")
        rows.append(("lag", shown(lag, "{:,.0f}") if worker else "the worker does not answer"))
    if alerts is not None:
        rows.append(("alerts", alerts))
    for name, value in rows:
        table.add_row(name, Text(value))  # Text: brackets of a name are no markup
    return table


def show_live(
    lake: Path,
    *,
    minutes: float,
    metrics: str | None,
    every_seconds: float,
    rounds: int | None,
    look: Callable[..., str] | None = None,
) -> int:
    """Redraws until interrupted, or `rounds` times; `look` judges the alert rules on the figures, once a look."""
    from rich.console import Console
    from rich.live import Live

    def table() -> Table:
        now = datetime.now(UTC)
        figures = live_figures(lake, minutes=minutes, now=now)
        return live_table(
            figures,
            worker_figures(metrics) if metrics else None,
            minutes=minutes,
            now=now,
            alerts=look(figures, now=now) if look is not None else None,
        )

    if rounds == 1:
        Console().print(table())
        return 0
    with Live(table(), refresh_per_second=4) as view:
        done = 1
        try:
            while rounds is None or done < rounds:
                time.sleep(every_seconds)
                view.update(table())
                done += 1
        except KeyboardInterrupt:
            pass
    return 0
