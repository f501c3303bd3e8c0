"""What nobody declared is not asked, by one rule on every page: the notebooks' own cells on a log of which nothing is declared."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.findings import Conclusion
from launchpad_lib.findings.feature_results import feature_funnels, feature_retention
from launchpad_lib.findings.funnel_question import ask_funnel
from launchpad_lib.findings.funnel_reading import read_funnel
from launchpad_lib.findings.lift_questions import ask_lift
from launchpad_lib.findings.reading import read_together
from launchpad_lib.findings.retention_results import ask_retention
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.page import output
from launchpad_lib.runner.notebook_parameters import NOTEBOOKS as MODELS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ANSWERS = {
    "cohorts",
    "data_quality",
    "engagement",
    "incidents",
    "latency_trends",
}  # of everybody, of every feature in the telemetry


def nothing_of(name: str) -> dict:
    """The parameters of a notebook that say nothing: what its model leaves out or empty."""
    defaults = {n: f.get_default(call_default_factory=True) for n, f in MODELS[name].model_fields.items()}
    return {n: default for n, default in defaults.items() if default is None or default == []}


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    """40 users on 20 days, events and telemetry; nothing says what they mean."""
    root = tmp_path_factory.mktemp("nothing")
    begin, days = datetime(2026, 1, 5), timedelta(days=1)
    seen = [(u, d) for u in range(40) for d in range(20) if (u * 7 + d * 3) % 5 < 2]
    events = [
        {
            "event_id": f"{u}-{d}",
            "event_name": "seen",
            "user_id": f"u{u}",
            "event_at": f"{begin + d * days}Z",
            "feature_id": "map",
        }
        for u, d in seen
    ]
    timed = [
        {"feature_id": "map", "user_id": f"u{u}", "observed_at": f"{begin + d * days}Z", "latency_ms": 100 + u}
        for u, d in seen
    ]
    for table, rows in (("events", events), ("telemetry", timed)):
        path = root / f"{table}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        ingest(SourceSpec(table=table, path=str(path)), lake=root / "lake", ingested_at=NOW)
    return root / "lake"


def concluded(path: Path, patch: pytest.MonkeyPatch, *, tables: dict | None = None, **given: object) -> Conclusion:
    """What a notebook concludes with these parameters; `tables` takes its result tables by name."""
    found: list[Conclusion] = []
    kept: dict = {} if tables is None else tables
    for name in ("metric", "chart", "show", "told_apart"):
        patch.setattr(output, name, lambda *args, **more: None)
    patch.setattr(output, "table", lambda what, frame, **more: kept.__setitem__(what.name, frame))
    patch.setattr(output, "conclude", found.append)
    names: dict = {"__name__": "notebook"}
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path.name}:{number}", "exec"), names)  # noqa: S102
        if number == 0:
            names |= {name: value for name, value in given.items() if name in names}
    (said,) = found
    return said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_of_which_nothing_is_declared_answers_or_is_refused_as_not_asked_in_one_sentence(
    path, lake, monkeypatch
):
    said = concluded(path, monkeypatch, lake=str(lake), **nothing_of(path.stem))
    if path.stem in ANSWERS:
        assert said.refused_because is None, said
        return
    assert str(said.refused_because).startswith("not asked: "), said
    (finding,) = said.findings
    assert (finding.severity, finding.verb) == ("unknown", "declare")
    assert finding.sentence.startswith("Not asked: ") and finding.sentence.endswith(".")


RELEASED = date(2026, 1, 22)


def test_a_feature_is_not_used_by_nobody_before_its_release(lake, monkeypatch, tmp_path):
    """Adoption of the week from 12 January is no 0 % for what comes on the 22nd; the one that nobody uses since 2025 has its 0."""
    begin = datetime(2026, 1, 5)
    rows = [(u, d, "map") for u in range(40) for d in range(18) if (u * 7 + d * 3) % 5 < 2]
    rows += [(u, d, "new") for u in range(40) for d in range(17, 18)] + [(u, 0, "old") for u in range(3)]
    lines = [
        {
            "event_id": f"{u}-{d}-{f}",
            "event_name": f"{f}_seen",
            "user_id": f"u{u}",
            "event_at": f"{begin + timedelta(days=d, hours=1)}Z",
            "feature_id": f,
        }
        for u, d, f in rows
    ]
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    ingest(SourceSpec(table="events", path=str(path)), lake=tmp_path / "lake", ingested_at=NOW)
    features = [
        {"feature_id": "map", "start_event": "map_seen"}, {"feature_id": "old", "released_on": "2025-11-01"},
        {"feature_id": "new", "released_on": str(RELEASED)},
        {"feature_id": "next", "released_on": "2026-03-01", "start_event": "next_seen", "complete_event": "next_done"},
    ]  # fmt: skip
    tables: dict = {}
    notebook = next(p for p in NOTEBOOKS if p.stem == "engagement")
    said = concluded(
        notebook, monkeypatch, tables=tables, lake=str(tmp_path / "lake"), features=features, feature_id=None
    )
    adoption = tables["adoption"].set_index("feature_id")
    assert adoption.loc["old", ["adoption_rate", "users", "refused_because"]].tolist()[:2] == [0.0, 0.0]
    assert (
        adoption.loc["new", "refused_because"] == "not released until 2026-01-22"
        and adoption.isna().loc["new", "adoption_rate"]
    )
    assert adoption.loc["next", "refused_because"] == "not released until 2026-03-01"
    changes = tables["adoption_changes"].set_index("feature_id")["refused_because"]
    assert (
        changes["new"] == "not released until 2026-01-22, so it was not there in all of both weeks"
        and changes["old"] != changes["new"]
    )
    completion = tables["completion"].set_index("feature_id")["refused_because"]
    assert completion["next"] == "not released until 2026-03-01"  # and not: does not occur, did you mean ...
    assert "0.0 % for new" not in str(said) and "from 0.0 % for old to" in str(said)
    waits = [f for f in said.findings if "not released until" in f.sentence]
    assert [(f.severity, f.verb) for f in waits] == [("unknown", "wait")]


def test_days_before_the_release_are_gaps_of_the_feature_in_detail(monkeypatch, tmp_path):
    begin = datetime(2026, 1, 5)
    rows = [(u, d, "map") for u in range(40) for d in range(18)] + [
        (u, d, "new") for u in range(20) for d in range(14, 18)
    ]
    lines = [
        {
            "event_id": f"{u}-{d}-{f}",
            "event_name": "seen",
            "user_id": f"u{u}",
            "event_at": f"{begin + timedelta(days=d, hours=1)}Z",
            "feature_id": f,
        }
        for u, d, f in rows
    ]
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    ingest(SourceSpec(table="events", path=str(path)), lake=tmp_path / "lake", ingested_at=NOW)
    tables: dict = {}
    notebook = next(p for p in NOTEBOOKS if p.stem == "engagement")
    features = [{"feature_id": "new", "released_on": "2026-01-19"}]
    concluded(notebook, monkeypatch, tables=tables, lake=str(tmp_path / "lake"), features=features, feature_id=None)
    daily = tables["adoption_daily"].set_index("active_on")["adoption_rate"]
    assert daily.isna().sum() == 14 and daily.dropna().tolist() == [0.5] * 4
    mean = tables["engagement"].set_index("quantity").loc["adoption, mean of daily rates"]
    assert (mean["value"], mean["n"]) == (0.5, 160)  # half of 40 users on each of 4 days, and nothing of the 14 before


def test_funnel_retention_and_lift_of_a_feature_to_come_say_when_it_comes(lake):
    """And not that its events do not occur in the log, which would send somebody to look for a misspelt name."""
    data = open_lake(lake)
    through = data.observed_through
    to_come = Feature(
        feature_id="next", released_on=date(2026, 3, 1), start_event="next_seen", complete_event="next_done"
    )
    lost = to_come.model_copy(update={"feature_id": "lost", "released_on": date(2025, 3, 1)})
    both = [to_come, lost]
    asked = ask_funnel(data.events, steps=["seen", "seen"], observed_through=through, window="1d")
    funnels = feature_funnels(read_funnel(data.events, asked, features=both), both)["refused_because"].tolist()
    returning = ask_retention(data.events, returns=(1,), observed_through=through)
    (told,) = read_together(data.events, [feature_retention(data.events, returning, both)])
    lifts = [q.refused_because for q in ask_lift(data.events, both, observed_through=through)]
    for first, second in (funnels, told["refused_because"].tolist(), lifts):
        assert first == "not released until 2026-03-01" and "does not occur in the log" in second
