"""The lake's events for metrics: its day files and its blocks, as kernels read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache, cached_property
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

import duckdb
from ibis.backends.duckdb import Backend
from ibis.common.exceptions import TableNotFound
from ibis.expr.datatypes import DataType
from ibis.expr.schema import Schema

from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier, session_key
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake.blocks import Block
from launchpad_lib.lake.day_files import DayFiles
from launchpad_lib.lake.day_writing import SESSION_NUMBER
from launchpad_lib.lake.index import Indexed
from launchpad_lib.lake.telemetry_log import TelemetryLog


class NameCounts(NamedTuple):
    """How often a name occurs, first and last (UTC); NULL of properties and variants, which are not counted."""

    rows: int | None
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class IndexedEvents(DayFiles):
    """The day files of the days that have events within the window, and the blocks that have their rows.

    `observed_through` is the instant (UTC) that metrics over them take; None without events. `within` is the SQL
    condition of the window where a day has other rows too.
    """

    observed_through: datetime | None = None
    within: str | None = None
    names_query: str | None = None
    held: tuple[IO[str], ...] = ()
    blocks: tuple[Block, ...] = ()
    observed_from: datetime | None = None

    @property
    def cut_blocks(self) -> frozenset[str]:
        """The blocks, by their paths, that have rows beside the window too."""
        inside = {day.day.isoformat() for day in self.days}
        return frozenset(b.path for b in self.blocks if self.within is not None or not inside.issuperset(b.days))

    @cached_property
    def names(self) -> dict[str, dict[str, NameCounts]]:
        """What is named within the window: kind (event, feature, property, variant) to name to its rows."""
        found: dict[str, dict[str, NameCounts]] = {}
        if self.names_query is None:
            return found
        con = duckdb.connect(config={"threads": 1})
        try:
            con.execute("SET TimeZone = 'UTC'")
            for kind, name, *counts in con.execute(self.names_query).fetchall():
                found.setdefault(kind, {})[name] = NameCounts(*counts)
        finally:
            con.close()
        return found

    def fact_events(
        self, *, paths: Sequence[str] | None = None, users: tuple[int, int] | None = None, numbered: str | None = None
    ) -> str:
        """The SQL of `fact_events` over all day files, or some of them, in their order; of all users or of a range of
        user numbers, both inside. `numbered`: a further column, the number of a row in the order of the files.
        """
        chosen = self.paths if paths is None else list(paths)
        names = ", ".join(identifier(c.name) for c in EVENTS.columns)
        conditions = [
            *([self.within] if self.within else []),
            *([f"user_number BETWEEN {users[0]} AND {users[1]}"] if users else []),
        ]
        key, where = session_key("stretch_started_at"), f" WHERE {' AND '.join(conditions)}" if conditions else ""
        if not chosen:
            return (
                no_events() + f" UNION ALL BY NAME SELECT NULL::BIGINT AS {identifier(numbered)} WHERE false"
                if numbered
                else no_events()
            )
        row = f", (file_index::BIGINT << 40) | file_row_number AS {identifier(numbered)}" if numbered else ""
        return (
            f"SELECT {names}, {key} AS session_key, user_number, event_code, {SESSION_NUMBER} AS session_number{row} "
            f"FROM read_parquet({file_list(chosen)}){where}"
        )


def no_events() -> str:
    """`fact_events` of a lake without events."""
    names = ", ".join(f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}" for c in EVENTS.columns)
    more = "NULL::VARCHAR AS session_key, NULL::UINTEGER AS user_number, NULL::USMALLINT AS event_code"
    return f"SELECT {names}, {more}, NULL::BIGINT AS session_number WHERE false"


class LakeBackend(Backend):
    """DuckDB that knows the logs behind its tables `fact_events` and `telemetry`."""

    log: IndexedEvents | None = None
    telemetry: TelemetryLog | None = None
    held: list[IO[str]] = []
    spill: TemporaryDirectory[str] | None = None

    def get_schema(self, table_name: str, *, catalog: str | None = None, database: str | None = None) -> Schema:
        """As Ibis has it; each name of a type is parsed once, which is a third of the opening of tables."""
        if catalog is not None or database is not None:
            return super().get_schema(table_name, catalog=catalog, database=database)
        try:
            told = self.con.sql(f"DESCRIBE {identifier(table_name)}").fetchall()
        except duckdb.CatalogException as missing:
            raise TableNotFound(table_name) from missing
        return Schema(
            {name: named_type(kind, may_be_null=may_be_null == "YES") for name, kind, may_be_null, *_ in told}
        )


@cache
def named_type(kind: str, *, may_be_null: bool) -> DataType:
    """The type that DuckDB names so, parsed once in a process."""
    return LakeBackend.compiler.type_mapper.from_string(kind, nullable=may_be_null)


def event_log(found: Indexed) -> IndexedEvents:
    """The log of an index of events."""
    files = found.files
    if files is None:
        raise ValueError(f"table={found.table!r}: only events have day files")
    whole = {f.name: getattr(files, f.name) for f in fields(DayFiles)}
    inside = set(found.days)
    days = tuple(d for d in files.days if d.day.isoformat() in inside)
    return IndexedEvents(
        **{**whole, "days": days},
        observed_through=found.window.observed_through if found.window else None,
        within=found.inside if found.cut else None,
        names_query=found.names() if found.days else None,
        held=found.held,
        blocks=tuple(b for b in found.blocks if not inside.isdisjoint(b.days)),
        observed_from=found.window.observed_from if found.window else None,
    )
