"""One function, two engines: the events table and the day files of the same real lake give the same answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_event_log, open_lake
from launchpad_lib.metrics import Step, funnel, retention_curve
from launchpad_lib.simulation import simulate

STEPS = ["quiz_started", "quiz_completed", "result_shared"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    simulate(folder / "raw", users=40, days=4)
    ingest(
        SourceSpec(table="events", path=str(folder / "raw" / "events")),
        lake=folder / "lake",
        ingested_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    return folder / "lake"


@pytest.mark.parametrize("entry", ["any", "first"])
def test_a_funnel_is_the_same_on_both_engines(lake, entry):
    opened = open_lake(lake)
    asked = {"steps": STEPS, "window": "1d", "observed_through": opened.observed_through, "entry": entry}
    expression = funnel(opened.events, **asked).order_by("step").to_pandas()
    for _ in range(2):  # the second time from the saved state
        compiled = funnel(open_event_log(lake), **asked).order_by("step").to_pandas()
        columns = [
            "step_name",
            "users",
            "conversion_rate",
            "step_conversion_rate",
            "users_at_risk",
            "entrants_immature",
        ]
        assert compiled[columns].to_dict("list") == expression[columns].to_dict("list")
        assert set(compiled.columns) == set(expression.columns)


def test_a_retention_curve_is_the_same_on_both_engines(lake):
    opened = open_lake(lake)
    asked = {"days": [0, 1, 2], "observed_through": opened.observed_through}
    columns = ["day", "users", "retained", "users_immature"]
    tables = [
        retention_curve(log, **asked).order_by("day").to_pandas()[columns].to_dict("list")
        for log in (opened.events, open_event_log(lake))
    ]
    assert tables[0] == tables[1]


def test_what_the_compiled_form_cannot_answer_is_refused_in_one_sentence(lake):
    log = open_event_log(lake)
    asked = {"window": "1d", "observed_through": datetime(2026, 2, 1)}
    with pytest.raises(ValueError, match="mode: day files answer the plain ordered funnel"):
        funnel(log, steps=STEPS, mode="strict", **asked)
    with pytest.raises(ValueError, match="pass the events table instead"):
        funnel(log, steps=[Step("quiz_started", (("quiz_id", "laptop"),)), "quiz_completed"], **asked)
