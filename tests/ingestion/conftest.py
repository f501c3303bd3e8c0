from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake

NOW = datetime(2027, 2, 1)


class Place:
    """A folder with input files and a lake."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, root / "lake"

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(self, path: str, *, table: str = "events", now: datetime = NOW, **spec: object):
        return ingest(SourceSpec(table=table, path=path, **spec), lake=self.lake, ingested_at=now, root=self.root)

    def events(self) -> pd.DataFrame:
        return open_lake(self.lake).events.order_by("event_id").to_pandas()

    def telemetry(self) -> pd.DataFrame:
        return open_lake(self.lake).telemetry.order_by("observation_id").to_pandas()

    def rejected(self) -> pd.DataFrame:
        return open_lake(self.lake).rejected.order_by(["source", "line"]).to_pandas()

    def snapshot(self) -> dict[str, bytes]:
        """Every file under the lake with its bytes, but for rows that wait to be committed."""
        files = [p for p in self.lake.rglob("*") if p.is_file() and "_staging" not in p.parts]
        return {str(p.relative_to(self.root)): p.read_bytes() for p in files}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def line() -> Callable[..., str]:
    """A valid event as a JSON line."""
    import json

    def make(event_id: str, **fields: object) -> str:
        return (
            json.dumps(
                {"event_id": event_id, "event_name": "a", "user_id": "u", "event_at": "2026-01-01T00:00:00Z"} | fields
            )
            + "\n"
        )

    return make
