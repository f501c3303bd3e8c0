"""Pages of charts whose tables hold what data can hold, in Chromium: nothing complains, asks, overflows or runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.page.exporter import LaunchpadExporter
from launchpad_lib.page.output import SPEC_MIME
from launchpad_lib.page.rendering import sayable
from tests.browser.test_pages import PHONE, opened
from tests.charts.test_every_chart_stands import CASES, KINDS


def page_of(case: str, path):
    """A page with every public chart of one kind of table."""
    cells = [new_markdown_cell(f"# {case}")]
    for name, kind in KINDS.items():
        spec = sayable(kind.call(CASES[case](kind)).to_dict())
        shown = new_output("display_data", data={SPEC_MIME: spec})
        cells += [new_markdown_cell(f"## {name}"), new_code_cell("draw()", execution_count=1, outputs=[shown])]
    page, _ = LaunchpadExporter().from_notebook_node(new_notebook(cells=cells))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "case", ["hostile names", "80-character names", "one row", "names missing", "infinite", "negative"]
)
def test_every_chart_is_drawn_in_the_browser_too_without_a_complaint(browser, tmp_path, case):
    page, asked, complaints = opened(browser, page_of(case, tmp_path / "p.html"))
    assert (asked, complaints) == ([], [])
    charts = page.locator("figure.chart").count()
    assert charts >= 18 and page.locator("figure.chart.drawn").count() == charts
    page.context.close()


@pytest.mark.parametrize("case", ["hostile names", "80-character names"])
def test_no_name_makes_a_page_wider_than_a_phone(browser, tmp_path, case):
    page, _, _ = opened(browser, page_of(case, tmp_path / "p.html"), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.context.close()


def test_a_page_without_anything_to_draw_says_so_in_words(browser, tmp_path):
    page, _, complaints = opened(browser, page_of("no row", tmp_path / "p.html"))
    assert complaints == [] and page.locator("figure.chart").count() == 0
    assert page.locator(".instead").count() == len(KINDS)
    assert "There are no rows." in page.locator(".instead").first.inner_text()
    page.context.close()


NAMES = ["=cmd|' /C calc'!A0", 'say "hi", now', "two\nlines", "+1", "-3.5", "@sum", "<b>bold</b>", "plain"]


def test_the_rows_of_a_chart_are_a_table_and_a_csv_file_that_no_spreadsheet_runs(browser, tmp_path):
    """By hand: text that begins like a formula gets an apostrophe, a number does not; quotes are doubled."""
    rows = [{"name": name, "value": -0.25 if k else None, "at": "2026-01-05T00:00:00"} for k, name in enumerate(NAMES)]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "title": "Who, =1+1?", "data": {"values": rows},
        "mark": "bar", "encoding": {
            "y": {"field": "name", "type": "nominal", "title": "=head"}, "x": {"field": "value", "type": "quantitative"},
            "tooltip": [{"field": "at", "type": "temporal", "title": "day"}, {"field": "value", "format": ".1%", "title": "share"}],
        },
    }  # fmt: skip
    shown = new_output("display_data", data={SPEC_MIME: spec})
    page, _ = LaunchpadExporter().from_notebook_node(
        new_notebook(cells=[new_code_cell("draw()", execution_count=1, outputs=[shown])])
    )
    (tmp_path / "p.html").write_text(page, encoding="utf-8")
    page, asked, complaints = opened(browser, tmp_path / "p.html", accept_downloads=True)
    page.locator("details.rows summary").click()
    page.wait_for_selector("details.rows a[download]")
    cells = page.locator("details.rows tbody tr").evaluate_all("r => r.map(t => [...t.cells].map(c => c.textContent))")
    assert cells == [[name, "2026-01-05", "−25.0 %" if k else "–"] for k, name in enumerate(NAMES)]
    with page.expect_download() as download:
        page.locator("details.rows a[download]").click()
    assert download.value.suggested_filename == "who-1-1.csv"
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        read = list(csv.reader(file))
    safe = [f"'{name}" if name in (NAMES[0], "+1", "@sum") else name for name in NAMES]
    expected = [[name, "2026-01-05", "-0.25" if k else ""] for k, name in enumerate(safe)]
    assert read == [["'=head", "day", "share"], *expected]
    assert (asked, complaints) == ([], [])
    page.context.close()
