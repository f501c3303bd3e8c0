"""Every result of the eight notebooks, to the last digit, whatever the threads, the files and the numbers of users.

One simulated log, ingested in mixed order of days; the notebooks' own cells run in this process, and what they hand to
`metric`, `table` and `conclude` is kept as exact values.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import newest_versions, open_lake, opening
from launchpad_lib.lake.compaction import merge_small
from launchpad_lib.lake.index import INDEX
from launchpad_lib.metrics.kernels import chains, one_reading, unit_rows
from launchpad_lib.page import output
from launchpad_lib.simulation import simulate

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    """The same rows twice: `at_once` with many small files and its index built from nothing; `in_steps` with merged
    files, its index built version by version, which gives users and names other numbers.
    """
    root = tmp_path_factory.mktemp("digits")
    simulate(root / "raw", users=120, days=14, telemetry_days=30)
    at_once, in_steps = root / "at_once", root / "in_steps"
    for table, name in (("telemetry", "telemetry"), ("features", "features.csv"), ("annotations", "annotations.csv")):
        ingest(SourceSpec(table=table, path=f"raw/{name}"), lake=at_once, ingested_at=NOW, root=root)
    days = sorted((root / "raw" / "events").iterdir())
    random.Random(7).shuffle(days)
    for number, (some, half) in enumerate([(days[:7], 0), (days[7:], 1), (days[7:], 0), (days[:7], 1)]):
        (root / "raw" / f"part{number}").mkdir()
        for path in some:
            lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
            (root / "raw" / f"part{number}" / path.stem).write_bytes(b"".join(lines[half::2]))
        ingest(SourceSpec(table="events", path=f"raw/part{number}"), lake=at_once, ingested_at=NOW, root=root)
    pinned = newest_versions(at_once)
    shutil.copytree(at_once, in_steps)
    for version in range(pinned["events"]):
        open_lake(in_steps, versions={"events": version})
    assert merge_small(in_steps, min_files=2) > 3
    open_lake(at_once), open_lake(in_steps)
    numbers = [
        dict(duckdb.sql(f"SELECT user_id, user_number FROM '{lake / INDEX}/events/users/*.parquet'").fetchall())
        for lake in (at_once, in_steps)
    ]
    assert numbers[0].keys() == numbers[1].keys() and numbers[0] != numbers[1]
    return at_once, in_steps


def said(path: Path, lake: Path, patch: pytest.MonkeyPatch) -> list[tuple]:
    """What a notebook hands over, in order: exact values."""
    found: list[tuple] = []

    def table(what, frame, **more):
        rows = frame[[c.name for c in what.columns]].itertuples(index=False, name=None)
        found.append(("table", what.name, [exact(row) for row in rows]))

    def metric(what, estimate, **more):
        found.append(("metric", what.name, exact(estimate), exact(more)))

    patch.setattr(output, "table", table)
    patch.setattr(output, "metric", metric)
    patch.setattr(output, "conclude", lambda conclusion: found.append(("said", exact(conclusion))))
    patch.setattr(output, "show", lambda frame, **more: found.append(("shown", exact(frame))))
    patch.setattr(output, "chart", lambda drawing: None)
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    names: dict = {"__name__": "notebook"}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path.name}:{number}", "exec"), names)  # noqa: S102
        if number == 0:
            names["lake"] = str(lake)
    assert found
    return found


def exact(value: object) -> object:
    """A value that equals another only where every digit is the same."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, pd.DataFrame):
        return [list(value.columns), [exact(row) for row in value.itertuples(index=False, name=None)]]
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [exact(v) for v in value]
    return value if isinstance(value, str | int | None) else repr(value)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.stem for p in NOTEBOOKS])
def test_every_result_is_the_same_to_the_last_digit(path, lakes, monkeypatch):
    at_once, in_steps = lakes
    with monkeypatch.context() as patch:
        patch.setattr(opening, "THREADS", 1)
        patch.setattr(one_reading, "THREADS", 1)
        single = said(path, at_once, patch)
    with monkeypatch.context() as patch:
        patch.setattr(chains, "ROWS_FOR_TWO", 1)
        patch.setattr(unit_rows, "MOST_ROWS", 3_000)  # many parts
        for lake in (at_once, in_steps):
            again = said(path, lake, patch)
            for one, other in zip(single, again, strict=True):
                assert one == other, (path.stem, lake.name, one[:2])
