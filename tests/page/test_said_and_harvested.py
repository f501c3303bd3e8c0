"""What a notebook says and what the run reads of it: typed outputs, lines, cells, harvest and facts. Expected values by hand."""

from __future__ import annotations

import re
from datetime import datetime

import altair as alt
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.contract.catalogue import RESULT_TABLES, ResultTable
from launchpad_lib.contract.catalogue.product import COMPLETION_RATE_USER
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Finding, conclusion
from launchpad_lib.contract.sentences import sentence
from launchpad_lib.contract.tables import Column
from launchpad_lib.page.blocks import blocks_of, chart_block, notebook_title, printed
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.exporter import LaunchpadExporter, facts_of
from launchpad_lib.page.harvest import NOTHING_SAID, anchor_of, harvest
from launchpad_lib.page.markup import authored, cleaned, is_blank, plain, sentences
from launchpad_lib.page.output import (
    FINDINGS_MIME,
    METRIC_MIME,
    SPEC_MIME,
    TABLE_MIME,
    chart,
    conclude,
    formatted,
    formatted_span,
    metric,
    metric_line,
    show,
    table,
    title_of,
)
from launchpad_lib.page.tables import cell, columns_of, html_table, kind_of
from launchpad_lib.page.whole_page import PageFacts

RULES = {"start_event": "begin", "window": "7d"}


def test_a_metric_is_a_typed_record_with_every_field_of_its_estimate(shown):
    metric(COMPLETION_RATE_USER, Estimate(0.123456789, 0.1, 0.15, 1200, None, RULES), segment="ios")
    record = shown[0][METRIC_MIME]
    assert record == {
        "name": COMPLETION_RATE_USER.name, "label": COMPLETION_RATE_USER.title(RULES), "value": 0.123457, "ci_low": 0.1, "ci_high": 0.15,
        "n": 1200, "unit": COMPLETION_RATE_USER.unit, "segment": "ios", "higher_is_better": True,
        "definition": COMPLETION_RATE_USER.definition(RULES), "refused_because": None,
    }  # fmt: skip
    assert shown[0]["text/plain"] == f"{record['label']}: 12.3 % (95 % interval 10.0 to 15.0 %), n = 1,200"
    assert shown[0]["text/html"].endswith(f"<br><small>{plain(record['definition'])}</small></p>")
    lower, neither = (COMPLETION_RATE_USER._replace(direction=d) for d in ("lower", "neither"))
    metric(lower, Estimate(0.5, None, None, 9, None, RULES))
    metric(neither, Estimate(0.5, None, None, 9, None, RULES))
    assert [s[METRIC_MIME]["higher_is_better"] for s in shown[1:]] == [False, None]


def test_a_refused_or_missing_metric_has_no_number_and_its_reason(shown):
    metric(COMPLETION_RATE_USER, Estimate(0.5, 0.4, 0.6, 3, "too few", RULES))
    metric(COMPLETION_RATE_USER, Estimate(None, 0.4, 0.6, 3, None, RULES))
    metric(COMPLETION_RATE_USER, {"web": Estimate(0.5, None, None, None, None, RULES), "ios": Estimate(0.1, None, None, 4, None, RULES)})  # fmt: skip
    first, second, web, ios = (s[METRIC_MIME] for s in shown)
    assert [first[k] for k in ("value", "ci_low", "ci_high", "n", "refused_because")] == [
        None,
        None,
        None,
        3,
        "too few",
    ]
    assert [second[k] for k in ("value", "ci_low", "refused_because")] == [None, None, "nothing was counted"]
    assert (web["segment"], ios["segment"], web["n"]) == ("web", "ios", None)
    assert shown[0]["text/plain"] == f"{first['label']}: refused, too few"
    assert shown[2]["text/plain"] == f"{web['label']}: 50.0 %" and shown[3]["text/plain"].endswith(": 10.0 %, n = 4")


def test_a_metrics_line_shows_an_interval_only_where_both_limits_are():
    record = {"label": "L", "value": 1.0, "unit": "count", "refused_because": None, "n": None}
    assert metric_line(record | {"ci_low": 1.0, "ci_high": None}) == "L: 1" == metric_line(record | {"ci_low": None, "ci_high": 1.0})  # fmt: skip
    assert metric_line(record | {"ci_low": 0.0, "ci_high": 2.0}) == "L: 1 (95 % interval 0 to 2)"


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "count", "no number"), (0.25, "fraction", "25.0 %"), (90.0, "seconds", "90.0 s"), (-0.0134, "points", "-1.3 points"),
        (999.4, "ms", "999 ms"), (1000, "ms", "1,000 ms"), (1234.5, "count", "1,234"), (4.256, "score", "4.26"), (-1234, "count", "-1,234"),
    ],
)  # fmt: skip
def test_a_value_is_written_in_its_unit(value, unit, words):
    assert formatted(value, unit) == words


def test_a_span_has_its_unit_once():
    assert formatted_span(431.0, 512.0, "ms") == "431 to 512 ms" and formatted_span(1, 2, "count") == "1 to 2"
    assert formatted_span(30.0, 600.0, "seconds") == "30.0 s to 10.0 min"


def test_a_conclusion_is_a_typed_record_and_a_list_of_lines(shown):
    said = conclusion("All  is\nwell.", [Finding("watch", "keep", "It  is\nslow.", "f", "a")])
    conclude(said)
    record = shown[0][FINDINGS_MIME]
    assert record["verdict"] == said.verdict and record["findings"] == [said.findings[0]._asdict()]
    assert shown[0]["text/plain"] == f"{said.verdict}\n- It is slow."
    assert "◆ watch: " in shown[0]["text/html"]


TABLE = ResultTable("t", "one row per user", (Column("a", "string", True, "an a"), Column("b", "float64", True, "a b")))


def test_a_table_hands_out_all_declared_columns_and_shows_those_with_a_value(shown):
    table(TABLE, pd.DataFrame({"b": [None, None], "extra": [1, 2], "a": ["x", "y"]}), most=1)
    assert shown[0][TABLE_MIME] == {"name": "t", "rows": [["x", None], ["y", None]]}
    assert shown[0]["text/plain"] == "t: 2 rows"
    assert "<th>a</th>" in shown[0]["text/html"] and "b</th>" not in shown[0]["text/html"]
    assert "<caption>one row per user; the first 1 of 2 rows</caption>" in shown[0]["text/html"] and "extra" not in str(shown)  # fmt: skip
    table(TABLE, pd.DataFrame({"a": [], "b": []}))
    assert (
        "a</th>" in shown[1]["text/html"] and "b</th>" in shown[1]["text/html"] and "no rows" in shown[1]["text/html"]
    )
    table(TABLE, pd.DataFrame({"a": range(41), "b": 0.1234567891234}))
    assert "the first 20 of 41 rows" in shown[2]["text/html"] and shown[2][TABLE_MIME]["rows"][40] == [40, 0.123456789]
    with pytest.raises(ValueError, match="^table t: lacks the declared columns a, b; add them$"):
        table(TABLE, pd.DataFrame({"c": [1]}))
    show(pd.DataFrame({"c": range(41)}))
    assert shown[3]["text/plain"] == "41 rows" and "the first 20 of 41 rows" in shown[3]["text/html"]
    show(pd.DataFrame({"c": [1, 2]}), most=1)
    assert "the first 1 of 2 rows" in shown[4]["text/html"]


def test_dates_and_large_and_whole_numbers_have_one_form(shown):
    frame = pd.DataFrame({"a": [datetime(2026, 1, 5, 8), 5.0, 1e16], "b": [2.5, 1e15 - 1, -3.0]}, dtype=object)
    table(TABLE, frame)
    assert shown[0][TABLE_MIME]["rows"] == [["2026-01-05T08:00:00", 2.5], [5, 999_999_999_999_999], [1e16, -3]]
    assert isinstance(shown[0][TABLE_MIME]["rows"][1][0], int) and isinstance(shown[0][TABLE_MIME]["rows"][2][0], float)


def test_a_chart_has_six_digits_gaps_and_data_named_by_their_content(shown):
    def drawn(values, title):
        return alt.Chart(pd.DataFrame({"a": values})).mark_point().encode(x="a:Q").properties(title=title)

    chart(drawn([1 / 3, float("inf")], ["Two", "lines"]))
    chart(drawn([1 / 3, float("inf")], "other"))
    chart(drawn([0.5, 1.0], "other"))
    specs = [s[SPEC_MIME] for s in shown]
    (name,), (same,), (other,) = (s["datasets"].keys() for s in specs)
    assert specs[0]["datasets"][name] == [{"a": 0.333333}, {"a": None}] and specs[0]["data"] == {"name": name}
    assert name == same != other and name.startswith("data-") and len(name) == 37
    assert shown[0]["text/plain"] == "chart: Two lines"
    assert (
        title_of({"title": "x"}) == "x"
        and title_of({"title": {"subtitle": "y"}}) == ""
        and title_of({"title": None}) == ""
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rate_low", "percent"), ("share", "percent"), ("p_degrade", "percent"), ("recall_at_top", "percent"), ("p", "p"), ("change_q", "p"),
        ("p_adjusted", "p"), ("seconds_total", "seconds"), ("absolute_lift", "points"), ("relative_lift", "relative"), ("operate", "plain"), ("up", "plain"),
    ],
)  # fmt: skip
def test_the_kind_of_a_column_is_read_from_its_name(name, kind):
    assert kind_of(name) == kind


def test_a_cell_is_written_by_its_kind():
    assert [cell(v, "relative") for v in (0.1234, -0.5)] == ["+12.3 %", "-50.0 %"] and cell(0.001, "p") == "0.001"
    assert cell(0.000999, "p") == "< 0.001" and cell(1234.5) == "1,234" and cell(999.56) == "999.6" and cell(3.0) == "3"
    assert cell(-1000.4) == "-1,000" and cell(0.12345, digits=3) == "0.123" and cell(True, "percent") == "yes"
    assert (
        cell(1, "percent") == "100.0 %"
        and cell(12345) == "12,345"
        and cell("12:00 on 2026-01-05") == "12:00 on 2026-01-05"
    )
    assert (
        cell(pd.Timestamp("2026-01-05")) == "2026-01-05"
        and cell(pd.Timestamp("2026-01-05 00:00:01")) == "2026-01-05 00:00:01"
    )
    assert cell("2026-01-05 00:00:00") == "2026-01-05 00:00:00" and cell("2026-01-05T01:02:03") == "2026-01-05 01:02:03"


def test_columns_know_whether_they_are_numbers_and_limits_alone_are_a_column():
    frame = pd.DataFrame(
        {"low": [1.0], "flag": [True], "median_seconds": [30.0], "seconds_low": [10.0], "seconds_high": [600.0]}
    )
    frame = frame.assign(on="x", mixed=pd.Series([True], dtype=object))
    found = {c.head: (c.cells, c.is_number) for c in columns_of(frame)}
    assert found == {
        "low": (["1"], True), "flag": (["yes"], False), "median time": (["30.0 s"], True), "seconds 95 % interval": (["10.0 s to 10.0 min"], True),
        "on": (["x"], False), "mixed": (["yes"], False),
    }  # fmt: skip
    one_sided = columns_of(pd.DataFrame({"x": [1.0], "ci_low": [None], "ci_high": [2.0]}))[1]
    assert one_sided == ("95 % interval", ["– to 2"], True)


def test_a_table_marks_numbers_dates_and_long_texts_and_says_what_is_left_out():
    frame = pd.DataFrame({"n": [1], "on": ["2026-01-05"], "why": ["x" * 35], "id": ["x" * 34], "no": [None]})
    text = html_table(frame, most=1)
    assert text.startswith(
        '<table><thead><tr><th class="num">n</th><th class="span">on</th><th class="text">why</th><th>id</th>'
    )
    assert '<th class="span">no</th></tr></thead><tbody><tr><td class="num">1</td>' in text and text.endswith(
        "</td></tr></tbody></table>"
    )
    assert "<caption>" not in text and "<caption>the first 1 of 2 rows</caption>" in html_table(
        pd.concat([frame] * 2), most=1
    )
    assert "<caption>what; no rows</caption>" in html_table(frame.head(0), most=1, caption="what")


def shows(**data) -> nbformat.NotebookNode:
    kinds = {"metric": METRIC_MIME, "findings": FINDINGS_MIME, "table": TABLE_MIME}
    return new_output("display_data", {kinds[k]: v for k, v in data.items()})


def book(*cells) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_markdown_cell(c) if isinstance(c, str) else new_code_cell("x", outputs=c, execution_count=1) for c in cells])  # fmt: skip


def said_metric(reason: str | None) -> dict:
    return {"name": "m", "refused_because": reason}


def test_a_run_reads_verdict_findings_and_metrics_with_their_page_status_and_heading():
    findings = {"verdict": "V", "findings": [{"severity": "act"}], "refused_because": None}
    found = harvest(
        book("# Title", [shows(metric=said_metric(None))], "## Who\n\n### Who?", [shows(metric=said_metric("few"))], "## Who", [shows(findings=findings)]),
        name="page",
    )  # fmt: skip
    assert found.verdict == "V" and found.findings == [{"severity": "act", "page": "page"}] and found.tables == []
    assert found.metrics == [
        {"notebook": "page", "name": "m", "refused_because": None, "status": "ok", "anchor": None},
        {"notebook": "page", "name": "m", "refused_because": "few", "status": "refused", "anchor": "who-2"},
    ]
    assert found.refused_because is None and harvest(book("# T", []), name="p") == NOTHING_SAID
    assert anchor_of("  Éa & b_c ") == "ea-b-c"


def test_a_page_is_refused_where_it_says_so_or_every_metric_is_and_nothing_more_is_known():
    few, many = shows(metric=said_metric("few")), shows(metric=said_metric("other"))
    unknown = shows(findings={"verdict": "V", "findings": [{"severity": "unknown"}], "refused_because": None})
    act = shows(findings={"verdict": "V", "findings": [{"severity": "unknown"}, {"severity": "act"}]})
    own = shows(findings={"verdict": "V", "findings": [], "refused_because": "own"})

    def reason(*outputs):
        return harvest(book(list(outputs)), name="p").refused_because

    assert reason(few, many, unknown) == "few" and reason(few, act) is None and reason(few, shows(metric=said_metric(None))) is None  # fmt: skip
    assert reason(own, few) == "own" and reason(unknown) is None
    with pytest.raises(ValueError, match="^conclude: called 2 times in p; conclude once, in the cell tagged `answer`$"):
        reason(own, act)


def test_tables_are_read_with_their_declared_types_once_each():
    what = next(t for t in RESULT_TABLES.values() if {"timestamp", "string"} <= {c.type for c in t.columns})
    values = {"timestamp": "2026-01-05T08:00:00+00:00", "string": 7, "json": {"a": 1}, "boolean": True}
    row = [values.get(c.type, 1) for c in what.columns]
    found = harvest(book([shows(table={"name": what.name, "rows": [row, [None] * len(row)]})]), name="p").tables
    assert [t.name for t in found] == [what.name] and found[0].rows.column_names == [c.name for c in what.columns]
    first = found[0].rows.to_pylist()[0]
    for column in what.columns:
        expected = {"timestamp": datetime(2026, 1, 5, 8), "string": "7", "json": '{"a": 1}'}.get(column.type)
        if expected is not None:
            assert first[column.name].replace(tzinfo=None) == expected if column.type == "timestamp" else first[column.name] == expected  # fmt: skip
    assert set(found[0].rows.to_pylist()[1].values()) == {None}
    one = shows(table={"name": what.name, "rows": []})
    with pytest.raises(ValueError, match=f"^table {what.name}: shown twice by p; show it once, with all of its rows$"):
        harvest(book([one, one]), name="p")
    with pytest.raises(ValueError, match="^table nonsense: is not in the catalogue; "):
        harvest(book([shows(table={"name": "nonsense", "rows": []})]), name="p")
    at = next(i for i, c in enumerate(what.columns) if c.type == "timestamp")
    wrong = [*row[:at], "no date", *row[at + 1 :]]
    with pytest.raises(
        ValueError, match=f"^table {what.name}: column {what.columns[at].name} is no timestamp .*; mend the column$"
    ):
        harvest(book([shows(table={"name": what.name, "rows": [wrong]})]), name="p")


def error(name: str, words: str) -> nbformat.NotebookNode:
    return new_output("error", ename=name, evalue=words, traceback=["a", "\x1b[31mb"])


def test_thefacts_of_a_notebook_that_somebody_ran_are_its_title_status_and_reason():
    assert facts_of(book("## x\n# The title\n# Two", []), name="n") == PageFacts("The title", "ok", None)
    assert facts_of(book("text", [error("KeyError", "'a'")]), name="n") == PageFacts("n", "failed", "KeyError: 'a'")
    assert facts_of(book([error("Refused", "nobody"), error("KeyError", "x")]), name="n") == PageFacts("n", "refused", "nobody")  # fmt: skip
    assert facts_of(book([shows(metric=said_metric("few"))]), name="n") == PageFacts("n", "refused", "few")
    twice = shows(findings={"verdict": "V", "findings": []})
    assert facts_of(book([twice, twice]), name="n").status == "failed"
    meant = book([error("KeyError", "x")])
    meant.cells[0].metadata["tags"] = ["raises-exception"]
    assert facts_of(meant, name="n").status == "ok"
    assert notebook_title(book("text"), otherwise="o") == "o"
    _, resources = LaunchpadExporter().from_notebook_node(book("# T"))
    assert resources["output_extension"] == ".html"


def bare(**output) -> nbformat.NotebookNode:
    """A cell with an output as a careless program writes it: without what the format asks for."""
    cell = new_code_cell("x")
    cell.outputs = [nbformat.NotebookNode(**output)]
    return cell


def kinds(*outputs) -> list[tuple]:
    return [(b.kind, str(b.content)) for b in blocks_of(new_code_cell("x", outputs=list(outputs)), place=3)]


def test_every_output_becomes_the_block_of_its_kind():
    stream = [
        new_output("stream", name=n, text=t) for n, t in (("stdout", "out\n"), ("stderr", "err"), ("stdout", " \n"))
    ]
    assert kinds(*stream) == [("printed", "out"), ("messages", "err")]
    assert kinds(new_output("display_data", {"text/plain": ["a", "b"]})) == [("printed", "ab")]
    assert kinds(new_output("display_data", {"text/latex": "$x$", "text/plain": "p"})) == [("printed", "$x$")]
    assert kinds(new_output("display_data", {"text/html": "<b>x</b>", "text/plain": "x"})) == [("html", "<b>x</b>")]
    assert kinds(new_output("display_data", {"text/markdown": "*x*"})) == [("text", "<p><em>x</em></p>\n")]
    assert kinds(new_output("display_data", {"image/png": "QU\nI="})) == [("image", "data:image/png;base64,QUI=")]
    assert kinds(new_output("display_data", {"image/svg+xml": "<svg/>"})) == [
        ("image", "data:image/svg+xml;base64,PHN2Zy8+")
    ]
    assert kinds(new_output("display_data", {"image/png": "A" * 4_000_001})) == [("no picture", "The picture is 3.0 MB large; at most 3 MB are shown.")]  # fmt: skip
    assert (
        kinds(new_output("display_data", {"text/html": "x" * 1_000_001}))[0][1]
        == "It is 1.0 MB of HTML; at most 1 MB are shown."
    )
    assert kinds(new_output("display_data", {"text/html": "x" * 1_000_000}))[0][0] == "html"
    assert kinds(new_output("display_data", {"text/html": "x" * 1_050_001}))[0][1].startswith("It is 1.1 MB of HTML; ")
    assert kinds(new_output("display_data", {"image/png": "A" * 4_066_667}))[0][1].startswith("The picture is 3.1 MB ")
    assert kinds(new_output("display_data", {"image/png": "A" * 4_000_000}))[0][0] == "image"
    assert blocks_of(bare(output_type="display_data"), place=1) == blocks_of(bare(output_type="stream"), place=1) == []
    assert kinds(shows(metric={"a": 1}), shows(findings={"b": 2})) == [
        ("metric", "{'a': 1}"),
        ("conclusion", "{'b': 2}"),
    ]
    failed = blocks_of(new_code_cell("x", outputs=[error("KeyError", "\x1b[1mw")], execution_count=4), place=3)[
        0
    ].content
    assert failed == ("KeyError", "w", "cell 3, In [4]", "a\nb")
    assert blocks_of(new_code_cell("x", outputs=[error("E", "w")]), place=3)[0].content.cell == "cell 3"
    assert blocks_of(bare(output_type="error"), place=7)[0] == ("error", ("Error", "", "cell 7", ""), "", 0, None, "")
    assert blocks_of(nbformat.v4.new_raw_cell("x"), place=1) == []
    banner = new_markdown_cell("# Failed", metadata={"tags": ["papermill-error-cell-tag"]})
    assert blocks_of(banner, place=1) == []


def test_a_markdown_cell_is_its_headings_and_the_text_between_them():
    found = [
        (b.kind, str(b.content), b.level)
        for b in blocks_of(new_markdown_cell("before\n\n## A `b`\n\nmid\n### \n\n> # no\n"), place=1)
    ]
    assert found[:3] == [("text", "<p>before</p>\n", 0), ("heading", "A b", 2), ("text", "<p>mid</p>\n", 0)]
    assert len(found) == 4 and found[3][0] == "text" and "<h1>no</h1>" in found[3][1]


def test_what_is_printed_keeps_both_ends_of_very_much():
    assert printed("a\rb\r\nc\n\n") == "b\nc"
    lines = printed("\n".join(map(str, range(402)))).split("\n")
    assert lines[199:202] == ["199", "… 2 lines are left out …", "202"] and len(lines) == 401
    assert printed("\n".join(map(str, range(400)))).count("\n") == 399
    long = printed("a" * 60_000 + "b" * 50_000)
    assert (
        "\n… 10,000 characters are left out …\n" in long
        and long.startswith("a" * 50_000 + "\n")
        and long.endswith("\n" + "b" * 50_000)
    )
    assert printed("a" * 100_000) == "a" * 100_000


def test_a_chart_that_brings_its_own_words_is_not_drawn():
    found = chart_block({"title": "T", "usermeta": {"instead": "why"}})
    assert found[:3] == ("no picture", "why", "T")
    refused = chart_block({"title": {"text": ["T", "U"]}, "mark": "nothing"})
    assert refused.kind == "no picture" and refused.title == "T U" and refused.content.startswith("The drawing program")
    for usermeta in ({"instead": 7}, "text", {}):
        assert chart_block({"title": "T", "usermeta": usermeta}).content.startswith("The drawing program refused it: ")
    drawn = chart_block(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "title": "T\x00", "mark": "bar", "data": {"values": [{"b": 1}]},
            "encoding": {"x": {"field": "b", "type": "quantitative"}},
        }
    )  # fmt: skip
    assert (
        drawn[:1] == ("chart",) and drawn.title == drawn.spec["title"]["text"] == "T\\x00" and "<svg" in drawn.content
    )
    assert drawn.content.__html__() == drawn.content


def test_text_becomes_html_in_four_ways():
    assert str(sentences("[a](b) *c* <b>")) == "<p>[a](b) <em>c</em> &lt;b&gt;</p>\n"
    assert str(authored("![x](attachment:p.png)", attachments={"p.png": {"image/png": "QQ=="}})) == '<p><img src="data:image/png;base64,QQ==" alt="x"></p>\n'  # fmt: skip
    assert 'href="https://a.b"' in str(cleaned('<a href="https://a.b" onclick="x">y</a>'))
    assert "href" not in str(cleaned('<a href=" DATA:text/html,x">y</a>')) and "src" not in str(
        cleaned('<img src="https://a.b/c.png">')
    )
    assert is_blank("<p>&nbsp; </p>") and not is_blank("<p>x</p>") and not is_blank('<img src="x">')
    assert sentence(" nobody ") == "Nobody." and sentence("x.") == "X."
    environment = page_environment()
    assert environment.from_string("{{ x }}").render(x="<\x00>") == "&lt;\\x00&gt;"


def test_html_keeps_the_attributes_that_say_what_a_cell_is_and_no_other():
    kept = (
        '<p title="t" lang="de" dir="rtl">x</p><table class="wide"><tr><td colspan="2" rowspan="3" headers="h" class="num">x</td>'
        '<th colspan="2" rowspan="3" scope="col" class="text">x</th></tr></table><ol start="3"><li>x</li></ol><details open="">x</details>'
        '<div class="instead">x</div><p class="quiet">x</p><img src="data:image/gif;base64,QQ==" alt="a" width="1" height="2">'
    )  # fmt: skip
    for part in re.findall(r' (?:[a-z]+="[^"]*")', kept):
        assert part in str(cleaned(kept)), part
    dropped = (
        '<td align="left">x</td><p class="wide num">x</p><a href="#x" target="_top" ping="x">x</a><ol type="a"></ol>'
    )
    for part in ("align", "wide", "num", "target", "ping", "type"):
        assert part not in str(cleaned(f"<table><tr>{dropped}</tr></table>")), part
    for scheme in ("http://a", "https://a", "mailto:a@b", "#x"):
        assert f'href="{scheme}"' in str(cleaned(f'<a href="{scheme}">x</a>'))
    for scheme in ("javascript:x", "file:///x", "ftp://a", " data:text/html,x", "vbscript:x"):
        assert "href" not in str(cleaned(f'<a href="{scheme}">x</a>')), scheme
    for kind in ("png", "jpeg", "gif", "webp", "svg+xml"):
        assert f'src="data:image/{kind};base64,QQ=="' in str(cleaned(f'<img src="data:image/{kind};base64,QQ==">'))
    for source in ("data:text/html;base64,QQ==", "data:image/png,x", "https://a/x.png", "x.png"):
        assert "src" not in str(cleaned(f'<img src="{source}">')), source


def test_an_attachment_is_the_picture_of_its_name_and_an_empty_one_is_none():
    both = {"a.png": {"image/png": "QQ=="}, "b.png": {"image/jpeg": "Qg=="}, "c.png": {}}
    found = str(authored("![1](attachment:a.png) ![2](attachment:b.png) ![3](attachment:c.png)", attachments=both))
    assert 'src="data:image/png;base64,QQ=="' in found and 'src="data:image/jpeg;base64,Qg=="' in found
    assert found.count("<img") == 2
    assert "<s>x</s>" in str(authored("~~x~~")) and "<table>" in str(authored("| a |\n|---|\n| b |"))
