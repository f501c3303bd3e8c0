"""What a report may show of single people: nothing that fewer than `min_cell` users said, were called or wrote.

180 users do the same three things; 150 of them gave the address "many", 30 gave their own. The pages that split users or show refused rows are
made, and every byte of the run is searched for ids, own addresses and values of refused rows.
"""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from launchpad_lib.contract.catalogue import RESULT_TABLES
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.progress import PlainProgress
from launchpad_lib.runner.run import run_report

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 2, 2, 6, tzinfo=UTC)
START = datetime(2026, 1, 5, 10)
OWN = re.compile(r"(?:who|session|event|mail|wrong)-\d{3}-q")


def line(user: int, name: str, hours: float, **more: object) -> dict:
    at = f"{START + timedelta(hours=hours + user / 60):%Y-%m-%dT%H:%M:%SZ}"
    mail = f"mail-{user:03}-q" if user >= 150 else "many"
    return {
        "event_id": f"event-{user:03}-q-{name}-{hours}",
        "event_name": name,
        "user_id": f"who-{user:03}-q",
        "session_id": f"session-{user:03}-q",
        "event_at": at,
        "platform": "web",
        "mail": mail,
    } | more


def written(path: Path) -> None:
    rows = []
    for user in range(180):
        shown = {"experiment_id": "trial", "variant": "new" if user % 2 else "old"}
        rows.append(line(user, "experiment_exposed", 0, **shown))
        rows.append(line(user, "begin", 1))
        rows += [line(user, "do", 2)] if user % 3 else []
        rows += [line(user, "done", 3), line(user, "begin", 26)] if user % 6 in (1, 2) else []
        rows += [line(user, "begin", 24 * 8)] if user % 2 else []
        rows += [line(user, "do", 24 * 8 + 1)] if user % 4 == 1 else []
    for user in range(20):
        rows.append(line(user, "begin", 4, event_at=f"wrong-{user:03}-q is over 3"))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("alone")
    written(place / "a.jsonl")
    done = ingest(
        SourceSpec(table="events", path=str(place / "a.jsonl")), lake=place / "lake", ingested_at=NOW, root=place
    )
    assert done.rejected == 20
    plan = {
        "experiment_id": "trial", "control": "old", "shares": {"old": 0.5, "new": 0.5}, "planned_units": 100,
        "window": "2d", "metrics": [{"event": "done"}], "segments": ["mail"],
    }  # fmt: skip
    params = RunParams.model_validate({
        "name": "alone",
        "lake": str(place / "lake"),
        "reports": str(place / "reports"),
        "features": [{"feature_id": "f", "start_event": "begin", "complete_event": "done", "view_event": "do"}],
        "notebooks": {
            "funnels": {"steps": [{"event": "begin"}, {"event": "do"}, {"event": "done"}], "window": "1d", "breakdown": "mail"},
            "cohorts": {"start_event": "begin", "cohort_property": "mail", "path_anchor": "begin"},
            "experiments": {"experiments": [plan]},
            "data_quality": {"drift_columns": ["platform"]},
        },
        "sequence": [["funnels", "cohorts", "experiments", "data_quality"]],
    })  # fmt: skip
    said = io.StringIO()
    run_report(params, now=NOW, run_id="r", progress=PlainProgress(said), notebooks=ROOT / "notebooks")
    manifest = json.loads((place / "reports/r/manifest.json").read_text())
    assert {n["name"]: n["status"] for n in manifest["notebooks"]} == dict.fromkeys(params.sequence[0], "ok"), (
        said.getvalue()
    )
    return place / "reports/r"


def test_no_byte_of_a_run_tells_what_one_user_said_or_is_called(told):
    found = {}
    for path in told.rglob("*"):
        if path.is_file():
            text = (
                pq.read_table(path).to_pandas().to_csv() if path.suffix == ".parquet" else path.read_bytes().decode("utf-8", "replace")
            )  # fmt: skip
            if OWN.search(text):
                found[path.name] = sorted(set(OWN.findall(text)))[:3]
    assert found == {}


def test_values_of_few_are_one_row_with_their_number(told):
    funnel = pq.read_table(told / "tables/funnel_segments.parquet").to_pylist()
    assert [(r["segment"], r["entrants"]) for r in funnel] == [("many", 150), ("30 values of fewer than 30 each", 30)]
    assert funnel[1]["users"] is None and funnel[1]["conversion_rate"] is None
    back = pq.read_table(told / "tables/retention_segments.parquet").to_pylist()
    assert {r["segment"] for r in back if r["split_by"] == "mail"} == {"many", "30 values of fewer than 30 each"}
    apart = pq.read_table(told / "tables/experiment_segments.parquet").to_pylist()
    assert {r["level"] for r in apart} == {"many"}
    changes = pq.read_table(told / "tables/funnel_changes.parquet").to_pylist()
    assert {r["segment"] for r in changes} <= {None, "many"}
    refused = pq.read_table(told / "tables/rejects.parquet").to_pylist()
    assert [(r["rows"], r["reason"][:33]) for r in refused] == [(20, "event_at: … is not a timestamp su")]


def test_no_table_has_a_column_of_ids_or_of_whole_rows():
    """But for placeholders, which are a closed list of texts that stand for nobody."""
    ids = {"user_id", "session_id", "event_id", "raw", "properties"}
    told = {name for name, table in RESULT_TABLES.items() if ids & {c.name for c in table.columns}}
    assert told == {"placeholders"}
