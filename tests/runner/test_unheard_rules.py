"""A rule of which no page of the run can tell anything is named before the run."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_alerts import params, rule

from launchpad_lib.contract.catalogue import METRICS, RESULT_TABLES
from launchpad_lib.runner.notebook_parameters import NOTEBOOKS
from launchpad_lib.runner.parameters import load_run
from launchpad_lib.runner.progress import PlainProgress
from launchpad_lib.runner.run import run_report
from launchpad_lib.runner.unheard_rules import unheard_rules

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "notebooks"


def told(*rules, sequence=("funnels",), notebooks: Path = SHIPPED) -> list[str]:
    return unheard_rules(params(*rules, sequence=[list(sequence)]), notebooks=notebooks)


def test_the_rule_the_page_that_is_missing_and_the_remedy_stand_in_one_sentence():
    said = told(
        rule("share_rate", "worse"),
        rule("funnel_conversion", "worse"),
        rule("scorecard.health", "degraded now"),
        rule("funnel_changes.is_changed", "true"),
        rule("finding", "act"),
        rule("finding.experiments", "act"),
        rule("live.gaps", "> 0"),
    )
    assert said == [
        "alerts[0]: no page of `sequence` (funnels) has share_rate; add engagement, or take the rule out",
        "alerts[2]: no page of `sequence` (funnels) has scorecard.health; add scorecard, or take the rule out",
        "alerts[5]: no page of `sequence` (funnels) has finding.experiments; add experiments, or take the rule out",
    ]
    assert told(rule("share_rate", "worse"), sequence=("funnels", "engagement")) == []


def test_every_metric_and_table_is_found_in_a_notebook_that_is_brought_along():
    rules = [rule(name, "> 0.5") for name in METRICS]
    rules += [
        rule(f"{t.name}.{c.name}", "> 0.5")
        for t in RESULT_TABLES.values()
        for c in [next((c for c in t.columns if c.type in ("float64", "int64")), None)]
        if c is not None
    ]
    assert len(rules) > len(METRICS) and told(*rules, sequence=NOTEBOOKS) == []
    assert unheard_rules(load_run(ROOT / "params" / "weekly.yaml"), notebooks=SHIPPED) == []


@pytest.mark.parametrize(
    "source", ["from catalogue.product import SHARE_RATE as mine\nmetric(mine, x)", "p.SHARE_RATE"]
)
def test_an_own_notebook_may_compute_it(tmp_path, source):
    cells = [new_code_cell("%broken here"), new_code_cell(source)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "own.ipynb")
    (tmp_path / "torn.ipynb").write_text("{")
    assert told(rule("share_rate", "worse"), sequence=("own", "torn"), notebooks=tmp_path) == []
    said = told(rule("share_rate", "worse"), sequence=("torn",), notebooks=tmp_path)
    assert said == ["alerts[0]: no page of `sequence` (torn) has share_rate; add own, or take the rule out"]


def test_the_run_says_it_before_it_reads_anything(tmp_path):
    run = params(rule("share_rate", "worse"), reports=tmp_path / "reports", lake=str(tmp_path / "none"))
    run = run.model_copy(update={"lake_versions": {"events": 3}})
    said = io.StringIO()
    with pytest.raises(Exception):  # noqa: B017  # there is no lake: whatever comes, comes after
        run_report(
            run, now=datetime(2026, 1, 1, tzinfo=UTC), run_id="r", progress=PlainProgress(said), notebooks=SHIPPED
        )
    assert said.getvalue().startswith("alerts[0]: no page of `sequence` (funnels) has share_rate;")
