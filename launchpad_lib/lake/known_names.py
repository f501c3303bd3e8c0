"""The names that occur in a lake: what a parameter can name.

At given table versions, without opening the lake; those of events from its index, without reading an event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

from launchpad_lib.contract.sql import file_list, identifier
from launchpad_lib.contract.tables import EVENTS, TABLES, TELEMETRY
from launchpad_lib.lake.delta_log import data_files
from launchpad_lib.lake.index import indexed


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
        return set(self._of_events["event"])

    def properties(self) -> set[str]:
        """Columns of events, and every key of `properties` that occurs."""
        return {c.name for c in EVENTS.columns} | set(self._of_events["property"])

    def columns(self) -> set[str]:
        """Columns of telemetry, and what an event can be split by."""
        return {c.name for c in TELEMETRY.columns} | self.properties()

    def features(self) -> set[str]:
        """Ids of features in the table `features`, in telemetry and in events."""
        query = " UNION ".join(f"SELECT feature_id FROM {self._table(t)}" for t in ("features", "telemetry"))
        named = {name for (name,) in self._con.execute(query).fetchall() if name is not None}
        return named | set(self._of_events["feature"])

    def features_of_log(self) -> set[str]:
        """Ids of features in telemetry and in events."""
        rows = self._con.execute(f"SELECT DISTINCT feature_id FROM {self._table('telemetry')}").fetchall()
        return {name for (name,) in rows if name is not None} | set(self._of_events["feature"])

    def features_table(self) -> list[dict[str, Any]]:
        """Rows of the table `features`, in order of their ids."""
        return self._rows("features", key="feature_id")

    def experiments_table(self) -> list[dict[str, Any]]:
        """Rows of the table `experiments`, in order of their ids."""
        return self._rows("experiments", key="experiment_id")

    def variants(self) -> set[tuple[str, str]]:
        """(experiment, variant) of every exposure that occurs."""
        pairs = (json.loads(pair) for pair in self._of_events["variant"])
        return {(e, v) for e, v in pairs if e is not None and v is not None}

    @cached_property
    def _of_events(self) -> dict[str, list[str]]:
        """By kind, from the index of the lake, where they are kept day by day."""
        found: dict[str, list[str]] = {kind: [] for kind in ("event", "feature", "property", "variant")}
        if "events" not in self._versions:
            return found
        index = indexed(self._lake, "events", version=self._versions["events"], through=None)
        try:
            if index.body["days"]:
                for kind, name, *_ in self._con.execute(index.names_of_all_days()).fetchall():
                    found[kind].append(name)
        finally:
            for file in index.held:
                file.close()
        return found

    def _rows(self, table: str, *, key: str) -> list[dict[str, Any]]:
        return self._con.sql(f"SELECT * FROM {self._table(table)} ORDER BY {key}").to_arrow_table().to_pylist()

    def _table(self, name: str) -> str:
        """What stands behind FROM: the files of the table's version, or no row."""
        uris: list[str] = []
        if name in self._versions:
            uris = sorted(data_files(DeltaTable(str(self._lake / name), version=self._versions[name])))
        if uris:
            return f"read_parquet({file_list(uris)}, union_by_name = true)"
        return (
            f"(SELECT {', '.join(f'NULL::VARCHAR AS {identifier(c.name)}' for c in TABLES[name].columns)} WHERE false)"
        )
