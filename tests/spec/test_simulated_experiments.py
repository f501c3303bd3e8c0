"""The experiments of the simulated product against their declared truth (`simulation.truth`), through files, lake and page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from launchpad_lib.findings.experiment_page import experiments_page
from launchpad_lib.findings.experiment_plans import ask_experiments
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.simulation import simulate
from launchpad_lib.simulation.truth import TRUTH


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("experiments")
    simulate(root / "raw", users=800, days=14, telemetry_days=14, telemetry_per_day=5)
    for table, path in (
        ("events", "events"),
        ("events", "experiment_events.jsonl.gz"),
        ("experiments", "experiments.csv"),
    ):
        ingest(SourceSpec(table=table, path=f"raw/{path}"), lake=root / "lake", ingested_at=datetime(2026, 6, 1, tzinfo=UTC), root=root)  # fmt: skip
    lake = open_lake(root / "lake")
    plans = ask_experiments(lake.events, [], table=lake.experiments, observed_through=lake.observed_through)
    return experiments_page(lake.events, plans)


def test_every_experiment_is_decided_as_its_truth_says(page):
    decided = page.overview.set_index("experiment_id")["decision"].to_dict()
    expected = {
        "works": "ship",
        "does nothing": "keep running",
        "hurts a guardrail": "do not ship: harm shown",
        "broken assignment": "refused",
        "too early": "keep running",
    }
    assert decided == {t.experiment_id: expected[t.finding] for t in TRUTH.experiments}
    early = next(one for one in page.each if one.plan.experiment_id == "dark_mode")
    assert early.not_yet and early.rows["lift"].isna().all()


def test_the_intervals_hold_the_declared_effects(page):
    for truth in TRUTH.experiments[:3]:
        one = next(one for one in page.each if one.plan.experiment_id == truth.experiment_id)
        rows = one.rows[one.rows["variant"] == "treatment"].set_index("role")
        for role, (control, treated) in (("success", truth.success), ("guardrail", truth.guardrail)):
            assert rows.loc[role, "ci_low"] <= treated - control <= rows.loc[role, "ci_high"]
