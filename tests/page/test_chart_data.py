"""What a chart's rows and its alternative text say, on charts small enough to be read by hand."""

from __future__ import annotations

from markupsafe import Markup

from launchpad_lib.page.chart_data import alt_of, rows_of, with_tables
from launchpad_lib.page.tables import as_cards

Y = {"field": "value", "type": "quantitative", "title": "Rate", "axis": {"format": "%"}}
X = {"field": "at", "type": "temporal", "title": "Date"}
DAYS = [
    {"at": f"2026-01-0{day}T00:00:00", "value": value, "low": 0.1, "size": "big"}
    for day, value in ((5, 0.5), (6, 0.2), (7, 0.4))
]
LINE = {
    "mark": "line",
    "encoding": {"x": X, "y": Y, "y2": {"field": "low"}, "color": {"field": "size", "type": "nominal"}},
}
ZERO = {"data": {"name": "zero"}, "mark": "rule", "encoding": {"y": {"field": "zero"}}}
LAYERS = {"datasets": {"d": DAYS, "zero": [{"zero": 0}]}, "data": {"name": "d"}, "layer": [ZERO, LINE]}


def test_the_alternative_text_has_the_highest_the_lowest_and_the_last_value():
    assert alt_of(LAYERS, "Who?") == "Who? highest 50.0 % at 5 Jan, lowest 20.0 % at 6 Jan, last 40.0 % at 7 Jan"


def test_one_value_is_not_told_twice_and_what_holds_no_number_has_its_title_alone():
    same = LAYERS | {"datasets": {"d": DAYS[:1]}}
    assert alt_of(same, "Who") == "Who: highest 50.0 % at 5 Jan, last 50.0 % at 5 Jan"
    for spec in (
        {},
        {"mark": "bar"},
        LAYERS | {"datasets": {"d": [{"at": "x", "value": None, "low": True}]}},
        {"layer": [1, None]},
    ):
        assert alt_of(spec, "Who") == "Who"


def test_a_number_along_an_axis_says_where_and_differences_have_a_real_minus_sign():
    after = {"field": "after", "type": "quantitative", "title": "days after"}
    rows = [{"after": 1, "value": -2.5, "line": "a"}, {"after": 2, "value": 12345.6, "line": "b"}]
    spec = {
        "mark": "line",
        "data": {"values": rows},
        "encoding": {"x": after, "y": Y | {"axis": None}, "color": {"field": "line"}},
    }
    assert alt_of(spec, "So") == "So: highest 12,346 at b, days after 2, lowest −2.5 at a, days after 1"


def test_columns_are_names_and_dates_then_the_number_then_its_limits_and_no_inner_ones():
    (one,) = rows_of(LAYERS)
    assert one.source == "d" and len(one.rows) == 3
    assert [tuple(c) for c in one.columns] == (
        [("at", "Date", "date"), ("value", "Rate", "percent"), ("low", "lower limit", "percent")]
    )


def test_the_title_of_a_tooltip_comes_before_that_of_an_axis():
    tip = {"field": "value", "title": "share of users", "format": ".1%"}
    spec = LAYERS | {
        "layer": [LINE | {"encoding": LINE["encoding"] | {"tooltip": [tip, {"field": "size", "title": "size"}]}}]
    }
    assert [c.head for c in rows_of(spec)[0].columns] == ["Date", "size", "share of users", "lower limit"]


def test_tables_point_at_the_rows_of_the_compiled_chart():
    compiled = {"data": [{"name": "made"}, {"name": "d", "values": DAYS}]}
    assert with_tables(compiled, LAYERS)["usermeta"]["tables"] == (
        [
            {
                "data": 1,
                "columns": [["at", "Date", "date"], ["value", "Rate", "percent"], ["low", "lower limit", "percent"]],
            }
        ]
    )
    assert with_tables({"data": [{"name": "made"}]}, LAYERS)["usermeta"]["tables"] == []


def test_a_head_cannot_leave_the_label_of_its_cells():
    table = '<table><thead><tr><th>a</th><th>x" onclick="y <b>&lt;z</b></th></tr></thead><tbody><tr><td>1</td><td class="num">2</td></tr></tbody></table>'
    labelled = as_cards(Markup(table))
    assert '<td class="num" data-label="x&quot; onclick=&quot;y &lt;z">2</td>' in labelled
    assert labelled.count("<") == table.count("<") and "&lt;td" not in labelled
