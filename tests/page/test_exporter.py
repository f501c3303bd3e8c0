"""The page of any notebook: our own, somebody's own, one that failed, one that nobody ran. Expected values are by hand.

Outputs are written down as the kernel sends them, so that no kernel is needed; the command line and Lab's way are tried for real.
"""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from nbconvert.exporters import get_export_names, get_exporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.page.exporter import LaunchpadExporter
from launchpad_lib.page.output import APART_MIME, FINDINGS_MIME, METRIC_MIME, SPEC_MIME, TABLE_MIME
from launchpad_lib.page.tables import html_table
from launchpad_lib.page.whole_page import PageFacts, page_of

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "title": "How many?", "mark": "bar", "data": {"values": [{"a": "x", "b": 1}]},
    "encoding": {"y": {"field": "a", "type": "nominal"}, "x": {"field": "b", "type": "quantitative"}},
}  # fmt: skip
ALTAIR = """<style>#v {}</style><div id="v"></div><script>(function(spec, embedOpt){ maybeLoadScript("vega-embed", "7") })(%s, {"mode": "vega-lite"});</script>"""
HOSTILE = [
    "<b>x</b>", "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "[click](https://evil.example)", "**bold** `code` # h",
    "\" onmouseover=alert(1) x=\"", "{{ 7 * 7 }}", "&lt;b&gt;",
]  # fmt: skip


def data(**by_kind) -> nbformat.NotebookNode:
    return new_output("display_data", data={kind.replace("__", "/"): value for kind, value in by_kind.items()})


def typed(kind: str, record: object) -> nbformat.NotebookNode:
    return new_output("display_data", data={kind: record, "text/plain": "-"})


def error(name: str, sentence: str) -> nbformat.NotebookNode:
    red = f"\x1b[0;31m{name}\x1b[0m: {sentence}"
    return new_output("error", ename=name, evalue=sentence, traceback=["\x1b[1;32m----> 2\x1b[0m f(x)", red])


def code(
    *outputs: nbformat.NotebookNode, source: str = "f(x)", count: int | None = 1, tags=()
) -> nbformat.NotebookNode:
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)})


def exported(*cells, facts: PageFacts | None = None) -> str:
    notebook = new_notebook(cells=list(cells))
    if facts:
        return page_of(notebook, facts)
    page, _ = LaunchpadExporter().from_notebook_node(notebook, {"metadata": {"name": "mine"}})
    return page


def main_of(page: str) -> str:
    return page.partition("<main>")[2].partition("</main>")[0]


def words(fragment: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", fragment)).split())


def headings(page: str) -> list[str]:
    return [html.unescape(h) for h in re.findall(r"<h[2-6][^>]*>(.*?)</h[2-6]>", main_of(page))]


def test_nbconvert_knows_the_exporter_and_lab_lists_it():
    assert "launchpad" in get_export_names()
    exporter = get_exporter("launchpad")
    # What the server's handler asks for before it names a format to Lab.
    assert exporter.export_from_notebook == "Launchpad page" and exporter.output_mimetype == "text/html"
    _, resources = exporter().from_notebook_node(new_notebook())
    assert resources["output_extension"] == ".html"


def test_the_command_line_makes_one_file_that_asks_for_nothing(tmp_path):
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Mine"), code(typed(SPEC_MIME, SPEC))]), tmp_path / "mine.ipynb"
    )
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "launchpad", "mine.ipynb"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.html", "mine.ipynb"]
    assert "<h1>Mine</h1>" in page and '<figure class="chart"' in page
    assert re.findall(r"""(?:src|href)=(?!["']?(?:data:|#))""", page) == []


def test_a_notebook_that_nobody_ran_says_so_and_shows_its_code():
    page = exported(new_markdown_cell("# Mine\n\n## First"), code(count=None, source="1 + 1"))
    assert "This notebook has not been run." in page
    assert headings(page) == ["First"]
    assert 'id="show_code" checked' in page and '<pre class="code">1 + 1</pre>' in page


def test_every_usual_output_of_somebodys_own_notebook_is_shown():
    page = main_of(
        exported(
            code(new_output("stream", name="stdout", text="printed \x1b[31mred\x1b[0m\n1 %\r99 %\n")),
            code(new_output("stream", name="stderr", text="a warning <b>\n")),
            code(
                data(text__html="<div><style scoped>.x{}</style><table border=1><tr><td>cell</td></tr></table></div>")
            ),
            code(data(image__png=PIXEL, text__plain="<Figure>")),
            code(data(**{"image__svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"})),
            code(
                data(
                    text__html=ALTAIR % json.dumps(SPEC | {"title": "Altair's <own>?"}),
                    text__plain="alt.Chart(...)",
                )
            ),
            code(data(text__markdown="*stressed*")),
            code(new_output("execute_result", data={"text/plain": "{'a': 1}"}, execution_count=1)),
        )
    )
    assert "printed red\n99 %" in page
    assert re.search(r"<details><summary>Messages</summary><pre[^>]*>a warning &lt;b&gt;</pre>", page)
    assert "<td>cell</td>" in page and "<style scoped" not in page
    assert f'src="data:image/png;base64,{PIXEL}"' in page and "&lt;Figure&gt;" not in page
    assert (
        f'src="data:image/svg+xml;base64,{base64.b64encode(b"<svg xmlns=" + bytes([39]) + b"http://www.w3.org/2000/svg" + bytes([39]) + b"/>").decode()}"'
        in page
    )
    assert 'aria-label="chart: Altair&#39;s &lt;own&gt;?"' in page and "vega-embed" not in page
    assert "<em>stressed</em>" in page
    assert "{&#39;a&#39;: 1}" in page


def test_html_of_another_library_can_run_load_restyle_or_leave_nothing():
    page = main_of(
        exported(
            code(
                data(
                    text__html='<meta http-equiv="refresh" content="0;url=https://evil.example"><base href="https://evil.example"><iframe src="https://evil.example"></iframe>'
                    '<link rel="preconnect" href="https://evil.example">'
                    '<img src="https://evil.example/p.png"><form action="https://evil.example"></form><style>body{display:none}</style>'
                    '<p class="code" id="page_library" style="position:fixed" onclick="alert(1)">kept</p>'
                    '<a href="javascript:alert(1)">a</a><a href="data:text/html,x">b</a><svg onload=alert(1)></svg>'
                )
            )
        )
    )
    assert "evil.example" not in page and "alert" not in page and "display:none" not in page
    for mark in (
        "<meta",
        "<base",
        "<iframe",
        "<link",
        "<form",
        "<style",
        "style=",
        "javascript:",
        "data:text",
        'class="code" ',
        'id="page_library"',
    ):
        assert mark not in page, mark
    assert '<p class="">kept</p>' in page


def test_what_only_a_script_of_another_library_could_draw_leaves_one_sentence():
    page = exported(code(data(text__html="<div id=p></div><script>draw()</script>")))
    assert "Not drawn. It is drawn by a script of another library, and a page runs none but its own." in page


def test_a_flood_of_printed_lines_keeps_its_beginning_and_its_end():
    page = main_of(exported(code(new_output("stream", name="stdout", text="".join(f"{n}\n" for n in range(10_000))))))
    assert "199\n… 9,600 lines are left out …\n9800\n" in page
    assert len(page) < 10_000


def test_an_author_may_link_and_show_pictures_that_lie_in_the_notebook():
    cell = new_markdown_cell(
        "[docs](https://example.org) ![p](attachment:p.png) ![no](https://evil.example/p.png) <b>b</b><script>x</script>"
    )
    cell["attachments"] = {"p.png": {"image/png": PIXEL}}
    page = main_of(exported(cell, code(count=1)))
    assert '<a href="https://example.org"' in page and f'src="data:image/png;base64,{PIXEL}"' in page
    assert "evil.example" not in page and "<script" not in page and "<b>b</b>" in page


def test_the_verdict_stands_first_then_the_findings_with_glyph_and_word():
    found = [
        {"severity": "act", "verb": "fix", "sentence": "Checkout is slow.", "anchor": "where"},
        {"severity": "fine", "verb": "nothing", "sentence": "Sharing is fine.", "anchor": "nowhere"},
    ]
    page = main_of(
        exported(
            new_markdown_cell("# T\n\nIntroduction."),
            new_markdown_cell("## Where?"),
            code(data(text__plain="shown")),
            new_markdown_cell("## Answer"),
            code(typed(FINDINGS_MIME, {"verdict": "Checkout got slower.", "findings": found}), tags=["answer"]),
        )  # fmt: skip
    )
    assert words(page).startswith(
        "T Checkout got slower. ▲ act Checkout is slow. ✓ fine Sharing is fine. Introduction. Where?"
    )
    assert '<a href="#where">Checkout is slow.</a>' in page and "#nowhere" not in page
    assert '<h2 id="where">' in page
    assert "Answer" not in words(page).replace("aria-label", ""), "the heading of what moved to the top is empty"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_the_data_is_text_wherever_it_stands(name):
    finding = {"severity": "watch", "verb": "look", "sentence": f"Look at {name}.", "anchor": None}
    record = {
        "name": "m",
        "label": name,
        "value": 0.5,
        "ci_low": None,
        "ci_high": None,
        "n": 1,
        "unit": "fraction",
        "segment": f"s {name}",
        "definition": name,
        "refused_because": None,
    }
    page = exported(
        code(typed(FINDINGS_MIME, {"verdict": name, "findings": [finding]})), code(typed(METRIC_MIME, record)),
        code(typed(METRIC_MIME, record | {"refused_because": name})), code(error("KeyError", name)),
        code(typed(SPEC_MIME, SPEC | {"title": name, "data": {"values": [{"a": name, "b": 1}]}})), code(typed(SPEC_MIME, {"title": name})),
        facts=PageFacts(name, "refused", name),
    )  # fmt: skip
    body = main_of(page)
    for mark in ("<b>", "<img", "<script>alert", "<a href", "<em>", 'onmouseover=alert(1) x=""', "7 * 7 }}</script"):
        assert mark not in body.replace("<code>", "")
    assert words(body).count(name) >= 7
    assert page.count("<script>") == 1, "the page's own"


def test_controls_and_directions_in_any_text_are_written_out():
    finding = {"severity": "watch", "verb": "look", "sentence": "a\x00b \ud83d \u202egnp.exe", "anchor": None}
    page = exported(
        code(typed(FINDINGS_MIME, {"verdict": "v\x1b", "findings": [finding]})),
        code(new_output("stream", name="stdout", text="\x00 \u2066")),
    )
    page.encode("utf-8")
    assert r"a\x00b \ud83d \u202egnp.exe" in page and r"v\x1b" in page and r"\x00 \u2066" in page


def test_a_failed_page_names_error_cell_and_sentence_without_colours_and_without_empty_headings():
    page = exported(
        new_markdown_cell('<span style="color:red">An Exception was encountered at <a href="#e">In [3]</a>.</span>', metadata={"tags": ["papermill-error-cell-tag"]}),
        new_markdown_cell("# T\n\n## Before"), code(data(text__plain="7")),
        new_markdown_cell("## Fails"), code(error("KeyError", "'<b>'"), count=3),
        new_markdown_cell("## After\n\nThe chart below shows it."), code(count=None),
        facts=PageFacts("T", "failed", "KeyError: '<b>'", {"run_id": "r", "started_at": "2026-01-01T00:00:00", "inputs": {}}, "../r0/t.html"),
    )  # fmt: skip
    told = words(main_of(page))
    assert told.startswith(
        "T This page failed; do not use its numbers. KeyError: '<b>' It stopped in cell 5, In [3]. The 2 cells behind it were not run. The last good page"
    )
    assert headings(page) == ["Before", "Fails"]
    assert "An Exception was encountered" not in page
    assert "\x1b" not in page and "[0;31m" not in page and "color:red" not in page and "The chart below" not in page
    assert '<a href="../r0/t.html">' in page


def test_what_failed_outside_of_a_cell_is_told_too():
    page = exported(
        new_markdown_cell("# T"),
        code(count=1),
        facts=PageFacts("T", "failed", "the kernel died (often: out of memory)"),
    )
    assert (
        words(main_of(page))
        == "T This page failed; do not use its numbers. The kernel died (often: out of memory). f(x)"
    )


def test_a_refused_page_is_quiet_and_says_why_once():
    raised = exported(new_markdown_cell("# T"), code(error("Refused", "no telemetry; map some")))
    assert (
        "These data cannot answer this page&#39;s question." in raised
        or "These data cannot answer this page's question." in raised
    )
    assert main_of(raised).count("no telemetry; map some") + main_of(raised).count("No telemetry; map some") == 1
    assert 'class="failed"' not in raised and 'role="alert"' not in raised
    said = {
        "verdict": "These data cannot answer the question.",
        "findings": [{"severity": "unknown", "verb": "find out", "sentence": "no telemetry", "anchor": None}],
        "refused_because": "no telemetry",
    }
    concluded = main_of(exported(new_markdown_cell("# T"), code(typed(FINDINGS_MIME, said))))
    assert concluded.count("no telemetry") == 1 and 'class="answer quietly"' in concluded


def test_a_page_made_by_hand_says_that_no_run_made_it_and_links_to_none():
    by_hand = exported(new_markdown_cell("# T"))
    assert "made from a notebook by hand" in by_hand and "index.html" not in by_hand
    run = {
        "run_id": "weekly-1",
        "started_at": "2026-01-05T06:00:00+00:00",
        "inputs": {"events": {"version": 3, "rows": 1234}},
    }
    of_run = exported(new_markdown_cell("# T"), facts=PageFacts("T", "ok", run=run))
    assert (
        "Run weekly-1, 2026-01-05 06:00 UTC." in of_run
        and "events version 3 (1,234 rows)" in of_run
        and 'href="index.html"' in of_run
    )


def test_headings_of_one_name_have_ids_of_their_own_and_none_is_one_of_the_pages_own():
    page = exported(
        new_markdown_cell("## Library\n\na\n\n## Library\n\nb\n\n## page_library\n\nc"), code(typed(SPEC_MIME, SPEC))
    )
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert {"library", "library-2", "page-library", "page_library"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_a_heading_stays_where_something_stands_under_one_of_its_subheadings():
    page = exported(new_markdown_cell("# T\n## A\n### B\n### C\n\ntext\n## D\n### E"), code(count=1))
    assert headings(page) == ["A", "C"]


def test_a_cell_that_is_meant_to_raise_fails_nothing():
    page = exported(
        new_markdown_cell("# T"),
        code(error("ValueError", "meant"), tags=["raises-exception"]),
        new_markdown_cell("## After\n\ntext"),
    )
    assert "This page failed" not in page and "meant" in page and headings(page) == ["After"]


def test_numbers_that_follow_each_other_stand_beside_each_other():
    record = {
        "name": "m", "label": "L", "value": 0.5, "ci_low": None, "ci_high": None, "n": 1, "unit": "fraction", "segment": None, "definition": "d",
        "refused_because": None,
    }  # fmt: skip
    text = data(text__plain="between")
    page = main_of(
        exported(
            code(
                typed(METRIC_MIME, record), typed(METRIC_MIME, record | {"name": "k"}), text, typed(METRIC_MIME, record)
            )
        )
    )
    assert [part.count('<div class="metric">') for part in page.split('<div class="metrics">')] == [0, 2, 1]


def test_a_cell_behind_an_error_that_was_run_all_the_same_is_shown():
    """Somebody went on by hand: outputs without a number, or a number without outputs, are a run."""
    failed = code(error("KeyError", "x"))
    for behind in (code(data(text__plain="shown"), count=None), code(count=2, source="shown")):
        assert "shown" in exported(failed, behind, facts=PageFacts("T", "failed", "x"))
    assert "shown" not in exported(failed, code(count=None, source="shown"), facts=PageFacts("T", "failed", "x"))


def test_only_what_a_run_left_makes_a_notebook_one_that_was_run():
    for cell in (code(count=3), code(data(text__plain="x"), count=None)):
        assert "has not been run" not in exported(cell)
    assert "has not been run" in exported(code(count=None))


def test_a_page_without_charts_has_no_script_and_may_run_none():
    plain, charts = exported(code(data(text__plain="x"))), exported(code(typed(SPEC_MIME, SPEC)))
    assert "<script" not in plain and "script-src" not in plain and "script-src" in charts
    assert charts.count("<script") == 3 and 'id="page_library" data-padding=' in charts


def test_what_a_cell_of_the_answer_shows_stands_on_top_once_but_for_its_error():
    page = main_of(
        exported(
            new_markdown_cell("Words"), code(data(text__plain="first")), code(data(text__plain="told"), error("KeyError", "own"), tags=["answer"]),
            facts=PageFacts("T", "failed", "x"),
        )
    )  # fmt: skip
    answer = page.partition('aria-label="Answer"')[2].partition("</section>")[0]
    assert "told" in answer and "first" not in answer and "KeyError" not in answer and page.count("told") == 1


RECORD = {
    "name": "m", "label": "Lift", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 12, "unit": "points", "segment": "a",
    "definition": "x over y.", "refused_because": None,
}  # fmt: skip


def test_numbers_of_one_metric_stand_in_one_table_with_their_definition_once():
    refused = RECORD | {"segment": "<c>", "value": None, "ci_low": None, "ci_high": None, "refused_because": "needs 30"}
    page = main_of(exported(code(*(typed(METRIC_MIME, r) for r in (RECORD, RECORD | {"segment": "b"}, refused)))))
    assert page.count('<div class="metric several">') == 1 and page.count("x over y.") == 1
    assert page.count("<strong>+50.0\u00a0points</strong>") == 2 and "+40.0\u00a0to\u00a0+60.0</td>" in page
    assert '<bdi>&lt;c&gt;</bdi></th><td colspan="3" class="quiet">refused: needs 30</td>' in page
    other = main_of(
        exported(code(*(typed(METRIC_MIME, r) for r in (RECORD, RECORD | {"segment": "b", "definition": "z."}))))
    )
    assert "<strong>a</strong>: x over y." in other and "<strong>b</strong>: z." in other


def test_the_answer_shows_what_asks_for_something_and_folds_the_rest():
    def findings(**many: int) -> list[dict]:
        found = [(s, n) for s, times in many.items() for n in range(times)]
        return [{"severity": s, "sentence": f"{s} {n}.", "anchor": None} for s, n in found]

    def top(**many: int) -> tuple[int, int]:
        said = {"verdict": "So it is, 90.8 %.", "findings": findings(**many)}
        page = main_of(exported(code(typed(FINDINGS_MIME, said))))
        assert "So it is, 90.8\u00a0%." in page
        shown, _, folded = page.partition('<details class="more">')
        return shown.count("<li>"), folded.count("<li>")

    assert top(act=1, watch=1, fine=9) == (2, 9)
    assert top(unknown=20) == (2, 18) and top(watch=5, fine=1) == (2, 4) and top(fine=3) == (2, 1)


def test_a_large_table_is_folded_under_what_its_rows_are_and_a_small_one_stands_open():
    def table_of(rows: int, columns: int = 2) -> str:
        frame = pd.DataFrame({f"c{k}": range(rows) for k in range(columns)})
        shown = html_table(frame, most=20, caption="one row per <day>")
        return main_of(
            exported(
                code(new_output("display_data", data={TABLE_MIME: {"name": "silence", "rows": []}, "text/html": shown}))
            )
        )

    assert "<details" not in table_of(12) and "<caption>one row per &lt;day&gt;" in table_of(12)
    for large in (table_of(13), table_of(2, columns=8)):
        assert '<details class="data"><summary>Table: one row per &lt;day&gt;' in large and "<caption>" not in large


def test_what_is_found_of_each_thing_stands_under_a_heading_with_its_own_id():
    parts = [{"heading": h, "anchor": f"thing-{n}", "findings": [{"severity": "fine", "sentence": "Good.", "anchor": None}]}
             for n, h in enumerate(["*a*", "*a*"], 1)]  # fmt: skip
    said = {"verdict": "V.", "findings": [{"severity": "fine", "sentence": "One.", "anchor": "thing-2"}]}
    page = main_of(exported(code(typed(FINDINGS_MIME, said)), code(typed(APART_MIME, parts))))
    assert (
        '<h3 id="thing-1">*a*</h3>' in page
        and '<h3 id="thing-2">*a*</h3>' in page
        and '<a href="#thing-2">One.</a>' in page
    )
