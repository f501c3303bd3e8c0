"""The names that occur in a lake: what a parameter can name.

One query per kind, at given table versions, without opening the lake.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from launchpad_lib.contract.sql import file_list, identifier, literal
from launchpad_lib.contract.tables import EVENTS, EXPOSURE_EVENT, TABLES, TELEMETRY

JSON = "TRY_CAST(properties AS JSON)"  # another writer may have put text there that is none; it names nothing


class KnownNames:
    """The names of one lake at one version of each table. A table that has no version here is empty."""

    def __init__(self, lake: str | Path, *, versions: Mapping[str, int]) -> None:
        self._lake, self._versions = Path(lake), dict(versions)
        self._con = duckdb.connect()
        self._con.execute("SET enable_progress_bar = false")

    def __enter__(self) -> KnownNames:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def events(self) -> set[str]:
        """Names of events that occur."""
        return self._texts(f"SELECT DISTINCT event_name FROM {self._table('events')}")

    def properties(self) -> set[str]:
        """Columns of events, and every key of `properties` that occurs."""
        keys = f"SELECT DISTINCT unnest(json_keys({JSON})) FROM {self._table('events')}"
        return {c.name for c in EVENTS.columns} | self._texts(keys)

    def columns(self) -> set[str]:
        """Columns of telemetry, and what an event can be split by."""
        return {c.name for c in TELEMETRY.columns} | self.properties()

    def features(self) -> set[str]:
        """Ids of features in the table `features`, in telemetry and in events."""
        places = ("features", "telemetry", "events")
        return self._texts(" UNION ".join(f"SELECT feature_id FROM {self._table(t)}" for t in places))

    def variants(self) -> set[tuple[str, str]]:
        """(experiment, variant) of every exposure that occurs."""
        query = f"""SELECT DISTINCT {JSON}->>'$.experiment_id', {JSON}->>'$.variant'
            FROM {self._table("events")} WHERE event_name = {literal(EXPOSURE_EVENT)}"""
        return {(e, v) for e, v in self._con.execute(query).fetchall() if e is not None and v is not None}

    def _texts(self, query: str) -> set[str]:
        return {name for (name,) in self._con.execute(query).fetchall() if name is not None}

    def _table(self, name: str) -> str:
        """What stands behind FROM: the files of the table's version, or no row."""
        uris: list[str] = []
        if name in self._versions:
            uris = sorted(DeltaTable(str(self._lake / name), version=self._versions[name]).file_uris())
        if uris:
            return f"read_parquet({file_list(uris)}, union_by_name = true)"
        return (
            f"(SELECT {', '.join(f'NULL::VARCHAR AS {identifier(c.name)}' for c in TABLES[name].columns)} WHERE false)"
        )
