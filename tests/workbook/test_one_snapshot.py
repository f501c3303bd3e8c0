"""All pages of a run and its manifest say the same, whatever is written meanwhile; a notebook by hand says the same too. Counts by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import nbformat
import papermill
import pytest
import yaml
from test_run import NOW, notebook, run

from launchpad_lib.contract.manifest import MetricSaid
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake.compaction import compact
from launchpad_lib.page.harvest import harvest_metrics

ROOT = Path(__file__).resolve().parents[2]
MONDAY = datetime(2026, 1, 5)
SAYS = """
from launchpad_lib.contract.catalogue import Metric
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.lake import open_lake
from launchpad_lib.page.output import metric
data = open_lake(lake, versions=lake_versions, observed_through=observed_through)
rows = Metric('rows', str(data.observed_through), 'how many?', 'd', 'stretches', '', 'count', 'neither', '', 'by hand')
metric(rows, Estimate(float(data.events.count().execute()), n=len(data.outside)))
"""


def write(place: Path, name: str, day: int) -> None:
    """100 events on one day, and one of the year 2001."""
    lines = ["event_id,event_name,user_id,event_at"]
    times = [MONDAY + timedelta(days=day, minutes=14 * i) for i in range(100)] + [datetime(2001, 1, 1)]
    lines += [f"{name}{i},seen,u{i % 4},{t.isoformat()}Z" for i, t in enumerate(times)]
    (place / f"{name}.csv").write_text("\n".join(lines) + "\n")
    ingest(SourceSpec(table="events", path=str(place / f"{name}.csv")), lake=place / "lake", ingested_at=NOW)


def test_every_page_and_the_manifest_agree_while_a_writer_commits_every_second_and_the_lake_is_compacted(tmp_path):
    for day in range(4):
        write(tmp_path, f"d{day}", day)
    is_over = threading.Event()
    committed: list[int] = []

    def keep_writing() -> None:
        while not is_over.wait(1):
            write(tmp_path, f"more{len(committed)}", 4 + len(committed))
            committed.append(1)
            if list(tmp_path.glob("reports/.*.partial/manifest.json")):  # the run has pinned what it reads
                compact(tmp_path / "lake", say=lambda _: None, grace_seconds=0)

    names = [["engagement", "funnels"], ["cohorts"], ["data_quality"]]
    for name in (n for stage in names for n in stage):
        notebook(tmp_path / "notebooks", name, "import time; time.sleep(1)", SAYS)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        status, manifest, _, _ = run(tmp_path, names)
    finally:
        is_over.set()
        writer.join()
    assert status == 0 and len(committed) >= 3, "the writer was at work"
    read = manifest["inputs"]["events"]
    said = {(m["value"], m["label"], m["n"]) for m in manifest["metrics"]}
    assert len(manifest["metrics"]) == 4 and len(said) == 1
    assert said == {(read["rows"], read["observed_through"], 1)}
    assert sum(read["rows_by_date"].values()) == read["rows"]
    days = read["rows"] // 100
    assert 4 <= days < 4 + len(committed) and read["rows"] == 100 * days
    assert read["observed_through"] == str(MONDAY + timedelta(days=days - 1, minutes=14 * 99))
    assert read["outside"] == [
        {"where": "before", "rows": days, "first_at": "2001-01-01 00:00:00", "last_at": "2001-01-01 00:00:00"}
    ]
    # Rendered again from its manifest, after all those commits, it says the same.
    again = {"lake_versions": {"events": read["version"]}, "observed_through": {"events": read["observed_through"]}}
    _, repeated, _, _ = run(tmp_path, names, now=NOW + timedelta(days=1), **again)
    assert {(m["value"], m["label"], m["n"]) for m in repeated["metrics"]} == said
    _, newest, _, _ = run(tmp_path, names, now=NOW + timedelta(days=2))
    assert newest["metrics"][0]["value"] == 100 * (4 + len(committed))


@pytest.fixture(scope="module")
def weekly(tmp_path_factory) -> Path:
    """The committed engagement notebook, run by the command on a small simulated product."""
    place = tmp_path_factory.mktemp("workbook")
    (place / "notebooks").symlink_to(ROOT / "notebooks")
    (place / "params").mkdir()
    params = yaml.safe_load((ROOT / "params/weekly.yaml").read_text())
    params |= {"simulate": params["simulate"] | {"users": 150}, "sequence": [["engagement"]]}
    (place / "params/weekly.yaml").write_text(yaml.safe_dump(params))
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from launchpad_lib.cli.main import main; sys.exit(main())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, "report", "params/weekly.yaml", "--run-id", "r"],
        cwd=place, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr + shown.stdout
    return place


def test_the_file_of_views_has_the_rows_that_the_run_read(weekly):
    inputs = json.loads((weekly / "reports/r/manifest.json").read_text())["inputs"]
    with duckdb.connect(str(weekly / "data/lake/simulated/warehouse.duckdb"), read_only=True) as con:
        for table, view in {"events": "fact_events", "telemetry": "telemetry", "annotations": "annotations"}.items():
            assert con.execute(f"SELECT count(*) FROM {view}").fetchall() == [(inputs[table]["rows"],)]
        versions = dict(con.execute("SELECT table_name, version FROM lake_tables").fetchall())
    assert versions == {table: one["version"] for table, one in inputs.items() if one["version"] is not None}


def test_papermill_by_hand_says_the_numbers_of_the_run(weekly):
    """Only the lake is given; versions and end are what the parameters cell says: newest and derived."""
    papermill.execute_notebook(
        str(weekly / "notebooks/engagement.ipynb"), str(weekly / "by_hand.ipynb"), parameters={"lake": str(weekly / "data/lake/simulated")},
        cwd=str(weekly), progress_bar=False, kernel_name="python3",
    )  # fmt: skip
    by_hand = harvest_metrics(nbformat.read(weekly / "by_hand.ipynb", as_version=4), name="engagement")
    of_the_run = json.loads((weekly / "reports/r/manifest.json").read_text())["metrics"]
    assert len(of_the_run) > 3 and any(m["value"] is not None for m in of_the_run)
    # What the manifest's model fills in (no change, no course) is no difference.
    assert [MetricSaid.model_validate(m) for m in by_hand] == [MetricSaid.model_validate(m) for m in of_the_run]
