"""Refused rows of a lake by the rule they broke; needs no index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.sql import file_list, literal

NAMES = ["table_name", "reason", "rows", "sources", "first_rejected_at", "last_rejected_at", "source", "line", "raw"]


def refused_by_reason(
    lake: str | Path, *, reason: str | None = None, source: str | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and one row per table and reason, most frequent first, with the first refused row as its example
    (`source`, `line`, `raw`).

    `reason` and `source` keep what contains this text, taken literally.

    Raises:
        ValueError: there is no such lake, or its table of refused rows is damaged.
    """
    lake = Path(lake)
    if not (lake / "rejected" / "_delta_log").is_dir():
        if not any(lake.glob("*/_delta_log")):
            raise ValueError(f"lake={str(lake)!r}: has no table; name the folder that launchpad ingest wrote")
        return NAMES, []
    try:
        files = DeltaTable(str(lake / "rejected")).file_uris()
        if not files:
            return NAMES, []
        kept = " AND ".join(
            f"contains({column}, {literal(text)})"
            for column, text in (("reason", reason), ("source", source))
            if text is not None
        )
        first = ", ".join(f"first({name} ORDER BY source, line, raw)" for name in ("source", "line", "raw"))
        with duckdb.connect() as con:
            rows = con.execute(
                f"SELECT table_name, reason, count(*) AS n, count(DISTINCT source), min(rejected_at), max(rejected_at),"
                f" {first} FROM read_parquet({file_list(files)}) WHERE {kept or 'true'}"
                " GROUP BY table_name, reason ORDER BY n DESC, table_name, reason"
            ).fetchall()
    except (DeltaError, duckdb.Error) as error:
        damaged = f"{str(lake / 'rejected')!r}: cannot be read ({str(error).splitlines()[0]})"
        raise ValueError(f"{damaged}; restore this folder from a copy of the lake") from error
    return NAMES, rows
