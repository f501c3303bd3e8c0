"""What earlier notebooks found reaches a later one whole, and nothing is found where there is no run."""

from __future__ import annotations

import nbformat
import pyarrow as pa

from launchpad_lib.contract.catalogue.scorecard import READS
from launchpad_lib.contract.findings import Finding
from launchpad_lib.contract.manifest import Cell, DaySaid, FeatureRow
from launchpad_lib.page.harvest import NOTHING_SAID, SaidTable, harvest
from launchpad_lib.page.run_results import EarlierPage, read_results, write_results
from launchpad_lib.page.scorecards import show_scorecard
from tests.findings.saying import HOSTILE


def test_what_is_written_is_read_again_and_of_one_table_of_two_pages_the_first(tmp_path):
    found = Finding("act", "fix", "Slow: <b>“x”</b> \ud83d.", "a*b", "who-fell-silent", 7, "2026-01-01")
    said = NOTHING_SAID._replace(
        findings=[found._asdict() | {"page": "latency_trends"}],
        tables=[SaidTable("health", pa.table({"feature_id": [*HOSTILE]})), SaidTable("silence", pa.table({"a": [1]}))],
    )
    other = NOTHING_SAID._replace(tables=[SaidTable("health", pa.table({"feature_id": ["other"]}))])
    pages = [("latency_trends", "ok", None, said), ("mine", "refused", "nobody", other)]
    write_results(tmp_path / "r", [*pages, ("bad", "failed", "x", NOTHING_SAID)], tables=READS)
    read = read_results(str(tmp_path / "r"))
    assert read.is_run and read.pages["latency_trends"] == EarlierPage("ok", None, (found,))
    assert read.pages["mine"] == EarlierPage("refused", "nobody", ()) and read.pages["bad"].status == "failed"
    assert set(read.tables) == {"health"} and read.tables["health"]["feature_id"].tolist() == [*HOSTILE]


def test_without_a_run_nothing_is_found(tmp_path):
    for folder in (None, str(tmp_path / "gone"), str(tmp_path)):
        read = read_results(folder)
        assert not read.is_run and not read.tables


def test_the_rows_are_typed_for_the_run_and_a_table_of_harmless_links_for_its_reader(monkeypatch):
    shown = []
    monkeypatch.setattr("launchpad_lib.page.scorecards.display", lambda data, raw: shown.append(data))
    cell = Cell(
        word="403 ms", severity="act", value=403.0123456, ci_low=1 / 3, ci_high=500.0, unit="ms", n=90, limit=300,
        page="latency_trends", anchor="who-fell-silent", series=(DaySaid(day="2026-01-01", value=1 / 3),),
    )  # fmt: skip
    refused = Cell(word="refused", severity="unknown", says="It <i>broke</i>.")
    rows = [
        FeatureRow(
            feature_id=name, feature_name=name, owner_team="<b>team</b>", severity="act", verb="fix", sentence="It is.",
            used=cell, worked=refused, health=cell, objective=cell, change=refused,
        )
        for name in HOSTILE
    ]  # fmt: skip
    show_scorecard(rows)
    (data,) = shown
    html = data["text/html"]
    assert '<a href="latency_trends.html#who-fell-silent">▲ 403 ms</a>' in html
    assert "objective 300 ms, n = 90" in html.replace("\xa0", " ")
    assert "<b>" not in html and "<i>" not in html and "It &lt;i&gt;broke&lt;/i&gt;." in html
    output = nbformat.v4.new_output("display_data", data=data)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    read = harvest(notebook, name="scorecard").scorecard
    assert [FeatureRow.model_validate(r).feature_name for r in read] == [*HOSTILE]
    assert read[0]["used"]["series"][0]["value"] == 0.333333 and read[0]["used"]["value"] == 403.012
