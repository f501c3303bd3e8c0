"""What a run takes out of a notebook: verdict, findings, metrics, tables, statuses. Expected values are by hand."""

from __future__ import annotations

import nbformat
import pyarrow.parquet as pq
import pytest
from test_run import notebook, run

from launchpad_lib.contract.catalogue import RESULT_TABLES
from launchpad_lib.contract.catalogue.product import COMPLETION_RATE_USER
from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import Finding, conclusion, refused_conclusion
from launchpad_lib.page import output
from launchpad_lib.page.harvest import harvest

STEPS = """
import pandas as pd
from launchpad_lib.contract.catalogue import RESULT_TABLES
from launchpad_lib.page.output import table
steps = pd.DataFrame({{"step": [1, 2], "step_name": ["start", {name!r}], "users": [10, 0], "conversion_rate": [1.0, None],
                      "ci_low": [0.7, None], "ci_high": [1.0, None], "extra": [0, 0], "refused_because": [None, "nobody"]}})
asked = RESULT_TABLES["funnel"]
table(asked, steps.reindex(columns=[*{{c.name for c in asked.columns}} | {{*steps.columns}}]))
"""
CONCLUDES = """
from launchpad_lib.contract.findings import Finding, conclusion
from launchpad_lib.page.output import conclude
conclude(conclusion("Half of them stop.", [Finding("fine", "nothing", "Step 1 is well."), Finding("act", "fix", "Step <2> is not.", anchor="steps")]))
"""


@pytest.fixture
def said(monkeypatch):
    """Shows things as a notebook would, and gives what the run harvests."""
    cell = nbformat.v4.new_code_cell("", metadata={"tags": ["answer"]})
    cells = [nbformat.v4.new_markdown_cell("# Title\n\n## Where do people stop?\ntext"), cell]

    def shown(data, raw):
        cell.outputs.append(nbformat.v4.new_output("display_data", data=data))

    monkeypatch.setattr(output, "display", shown)
    return lambda: harvest(nbformat.v4.new_notebook(cells=cells), name="page")


def test_a_conclusion_is_harvested_gravest_finding_first_with_its_page(said):
    output.conclude(
        conclusion("Good.", [Finding("fine", "nothing", "All."), Finding("act", "fix", "It.", anchor="it")])
    )
    assert said().verdict == "Good."
    assert [(f["severity"], f["sentence"], f["page"], f["anchor"]) for f in said().findings] == [
        ("act", "It.", "page", "it"),
        ("fine", "All.", "page", None),
    ]
    assert said().refused_because is None


def test_a_metric_carries_its_status_and_the_heading_above_it(said):
    output.metric(COMPLETION_RATE_USER, Estimate(0.5, 0.2, 0.8, 10))
    output.metric(COMPLETION_RATE_USER, refusal("nobody entered", n=0))
    found = said().metrics
    assert [(m["status"], m["anchor"]) for m in found] == [
        ("ok", "where-do-people-stop"),
        ("refused", "where-do-people-stop"),
    ]


def test_headings_of_one_text_are_told_apart_as_on_the_page():
    notebook_cells = []
    for _ in range(2):
        cell = nbformat.v4.new_code_cell("")
        cell.outputs.append(
            nbformat.v4.new_output("display_data", data={output.METRIC_MIME: {"refused_because": None}})
        )
        notebook_cells += [nbformat.v4.new_markdown_cell("## Since when?"), cell]
    found = harvest(nbformat.v4.new_notebook(cells=notebook_cells), name="page").metrics
    assert [m["anchor"] for m in found] == ["since-when", "since-when-2"]


def test_a_page_that_concludes_so_is_refused_with_its_reason(said):
    output.metric(COMPLETION_RATE_USER, Estimate(0.5, 0.2, 0.8, 10))
    output.conclude(refused_conclusion("There are no events."))
    assert said().refused_because == "There are no events."


def test_a_page_all_of_whose_headline_metrics_are_refused_is_refused(said):
    output.metric(COMPLETION_RATE_USER, refusal("nobody is mature"))
    output.metric(COMPLETION_RATE_USER, refusal("nobody entered"))
    assert said().refused_because == "nobody is mature"
    output.metric(COMPLETION_RATE_USER, Estimate(0.5, 0.2, 0.8, 10))
    assert said().refused_because is None


def test_a_page_without_a_number_that_found_something_is_not_refused(said):
    output.metric(COMPLETION_RATE_USER, refusal("nobody is mature"))
    output.conclude(conclusion("Look.", [Finding("watch", "look", "A feature fell silent.")]))
    assert said().refused_because is None


def test_a_page_without_headline_metrics_is_not_refused_by_that(said):
    output.conclude(conclusion("Nobody can tell.", [Finding("unknown", "wait", "Too early.")]))
    assert said().refused_because is None


@pytest.mark.parametrize(
    ("shows", "sentence"),
    [
        (lambda: [output.conclude(refused_conclusion("x")) for _ in "ab"], "conclude: called 2 times in page"),
        (lambda: output.display({output.TABLE_MIME: {"name": "funel", "rows": []}}, raw=True), "funel: .* did you mean 'funnel'"),
        (lambda: [output.display({output.TABLE_MIME: {"name": "funnel", "rows": []}}, raw=True) for _ in "ab"], "funnel: shown twice by page"),
        (
            lambda: output.display({output.TABLE_MIME: {"name": "funnel", "rows": [["x"] * len(RESULT_TABLES["funnel"].columns)]}}, raw=True),
            "funnel: column step is no int64",
        ),
    ],
)  # fmt: skip
def test_a_notebook_that_shows_what_cannot_be_taken_is_wrong(said, shows, sentence):
    shows()
    with pytest.raises(ValueError, match=sentence):
        said()


def test_a_run_writes_tables_under_declared_names_and_types_and_lists_findings(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", STEPS.format(name="$pay 🛒"), CONCLUDES)
    notebook(tmp_path / "notebooks", "engagement", STEPS.format(name="other"))
    status, manifest, folder, _ = run(tmp_path, ["funnels", "engagement"])
    assert (status, manifest["status"]) == (0, "ok")
    rows = {n["name"]: n for n in manifest["notebooks"]}
    assert (rows["funnels"]["verdict"], rows["engagement"]["verdict"]) == ("Half of them stop.", None)
    assert [f["sentence"] for f in rows["funnels"]["findings"]] == ["Step <2> is not.", "Step 1 is well."]
    declared = [c.name for c in RESULT_TABLES["funnel"].columns]
    assert [(t["name"], t["notebook"], t["path"], t["rows"], t["columns"]) for t in manifest["tables"]] == [
        ("funnel", "engagement", "tables/funnel.parquet", 2, declared),
        ("funnel", "funnels", "tables/funnel.funnels.parquet", 2, declared),
    ]
    written = pq.read_table(folder / "tables/funnel.funnels.parquet")
    assert written.column_names == declared
    assert (str(written.schema.field("step").type), str(written.schema.field("conversion_rate").type)) == (
        "int64",
        "double",
    )
    assert written.select(["step_name", "users", "conversion_rate"]).to_pylist() == [
        {"step_name": "start", "users": 10, "conversion_rate": 1.0},
        {"step_name": "$pay 🛒", "users": 0, "conversion_rate": None},
    ]
    page, index = (folder / "funnels.html").read_text(), (folder / "index.html").read_text()
    assert page.index("Half of them stop.") < page.index("Step &lt;2&gt; is not.")
    assert "Half of them stop." in index and "Step &lt;2&gt; is not" in index and "Step 1 is well." not in index


REFUSES = "from launchpad_lib.contract.estimates import Refused\nraise Refused('297 of 297 rows have no <time>')"


def test_a_refused_page_is_not_failed_and_not_green(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", REFUSES)
    notebook(tmp_path / "notebooks", "engagement", CONCLUDES)
    status, manifest, folder, said = run(tmp_path, ["funnels", "engagement"])
    assert (status, manifest["status"]) == (0, "refused")
    rows = {n["name"]: (n["status"], n["reason"]) for n in manifest["notebooks"]}
    assert rows == {"engagement": ("ok", None), "funnels": ("refused", "297 of 297 rows have no <time>")}
    assert "funnels: refused after" in said and "297 of 297 rows have no <time>" in said
    assert "refused, 1 of 2 notebooks (funnels)" in said
    page = (folder / "funnels.html").read_text()
    assert "297 of 297 rows have no &lt;time&gt;" in page and "This page failed" not in page and "Refused:" not in page
    index = (folder / "index.html").read_text()
    assert "refused: 297 of 297 rows have no &lt;time&gt;" in index and "a page is refused" in index
    assert " refused</td>" in (tmp_path / "reports/index.html").read_text()


def test_a_run_with_a_failed_and_a_refused_page_is_failed(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", REFUSES)
    notebook(tmp_path / "notebooks", "engagement", "raise ValueError('x')")
    status, manifest, _, _ = run(tmp_path, ["funnels", "engagement"])
    assert (status, manifest["status"]) == (1, "failed")
