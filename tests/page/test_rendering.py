"""Pictures are drawn elsewhere, so that no chart ends a page or a run. Drawn for real; expected values are by hand."""

from __future__ import annotations

import threading

import pytest

from launchpad_lib.page.pictures import lean
from launchpad_lib.page.rendering import MOST_ROWS, Limits, Picture, Renderer, _reply, row_count, sayable

BARS = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "mark": "bar",
    "encoding": {"y": {"field": "a", "type": "nominal"}, "x": {"field": "b", "type": "quantitative"}},
}
ENDLESS = {**BARS, "data": {"sequence": {"start": 0, "stop": 10**9, "as": "b"}}}


def bars(*names: str) -> dict:
    return {**BARS, "data": {"values": [{"a": name, "b": 1} for name in names]}}


@pytest.fixture(scope="module")
def renderer():
    one = Renderer()
    yield one
    one.close()


@pytest.mark.parametrize(
    "name, seen",
    [
        ("a\x00b", r"a\x00b"),
        ("a\x1bb", r"a\x1bb"),
        ("\uffff", r"\uffff"),
        ("\ufffe", r"\ufffe"),
        ("\ud83d", r"\ud83d"),
        ("</svg><script>alert(1)</script>", "&lt;/svg&gt;&lt;script&gt;"),
        ("]]>&amp;<!--", "&amp;amp;&lt;!--"),
    ],
)
def test_a_character_that_no_picture_can_hold_is_written_out(renderer, name, seen):
    assert seen in renderer.picture(sayable(bars(name))).svg


@pytest.mark.parametrize(
    "name", ["\U0001f1e9\U0001f1ea" * 300, "a" + "\U0001f600" * 301, "\U0001f469\u200d\U0001f4bb" * 99]
)
def test_a_row_of_flags_or_faces_is_drawn_wherever_the_drawing_program_cuts_it(renderer, name):
    assert renderer.picture(sayable(bars(name))).svg


def test_what_ends_the_drawing_program_costs_its_own_picture_only(renderer, capfd):
    """The drawing program ends its process on this character; `sayable` would have written it out. Its last words are nobody's."""
    assert renderer.picture(bars("\x00")) == Picture(None, "The drawing program ended without a picture.")
    assert renderer.picture(bars("fine")).svg
    assert capfd.readouterr() == ("", "")


def test_a_chart_that_never_ends_is_stopped_and_says_so():
    with_little_time = Renderer(limits=Limits(seconds=0.4, megabytes=16_000))
    assert with_little_time.picture(ENDLESS) == Picture(None, "The drawing program took longer than 0.4 s.")
    with_little_time.close()


def test_a_chart_that_eats_memory_is_stopped_before_the_machine_is():
    """Two million rows, made by the chart itself, are counted with the usual memory and not with a third of it."""
    counted = {**BARS, "encoding": {"x": {"aggregate": "count", "type": "quantitative"}}}
    hungry = counted | {"data": {"sequence": {"start": 0, "stop": 2_000_000, "as": "a"}}}
    for megabytes, is_drawn in ((650, False), (2000, True)):
        one = Renderer(limits=Limits(seconds=60, megabytes=megabytes))
        assert (one.picture(hungry).svg is not None) is is_drawn
        assert one.picture(bars("fine")).svg
        one.close()


def test_a_picture_that_is_no_xml_stays_out_of_the_page(monkeypatch):
    monkeypatch.setattr("vl_convert.vega_to_svg", lambda *_, **__: "<svg></div>")
    assert _reply({"spec": bars("a")}) == {
        "svg": None,
        "missing_because": "The drawing program refused it: mismatched tag: line 1, column 7",
    }


def test_a_chart_is_refused_above_the_rows_and_bytes_that_are_drawn(renderer):
    rows = [{"a": "x", "b": n} for n in range(MOST_ROWS)]
    at_the_limit = {
        **BARS,
        "datasets": {"d": rows[:-1]},
        "data": {"name": "d"},
        "layer": [{"data": {"values": rows[:1]}}],
    }
    assert row_count(at_the_limit) == 5000
    assert renderer.picture({**BARS, "data": {"values": rows}}).svg
    over = {**BARS, "data": {"values": [*rows, rows[0]]}}
    assert renderer.picture(over).missing_because.startswith("It has 5,001 rows; at most 5,000 are drawn.")
    assert renderer.picture(bars("x" * 2_000_000)).missing_because.startswith("It is 2.0 MB large")


def test_nothing_is_loaded_from_an_address_or_a_file(renderer):
    for url in ("https://example.org/x.csv", "http://127.0.0.1:9/x.csv", "/etc/hostname"):
        assert (
            "not allowed" in renderer.picture({**BARS, "data": {"url": url, "format": {"type": "csv"}}}).missing_because
        )


def test_numbers_that_json_does_not_have_are_gaps(renderer):
    spec = {**BARS, "data": {"values": [{"a": "x", "b": v} for v in (1.0, float("nan"), float("inf"), float("-inf"))]}}
    assert [row["b"] for row in sayable(spec)["data"]["values"]] == [1.0, None, None, None]
    assert renderer.picture(sayable(spec)).svg


def test_what_is_no_chart_gets_one_sentence(renderer):
    assert renderer.picture({}).missing_because.startswith("The drawing program refused it: Invalid specification {}.")


def test_two_threads_get_their_own_pictures(renderer):
    found: dict[str, bool] = {}

    def draw(name: str) -> None:
        found[name] = all(name in renderer.picture(bars(name)).svg for _ in range(5))

    threads = [threading.Thread(target=draw, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"first": True, "second": True}


def test_a_lean_picture_keeps_what_is_seen_and_leaves_out_what_is_not():
    """By hand: groups, paths and attributes that draw nothing go; a text of the theme's colour leaves it to the page."""
    svg = (
        '<svg width="9"><g fill="none"><g><g transform="translate(0,0)"><path d="M0,0h0v0h0Z"/><path d="" display="none"/>'
        '<path d="M0.5,0.5h6v2h-6Z" stroke="#ddd" stroke-opacity="0"/><path d="M0,0h1" fill="rgb(70, 147, 199)"/>'
        '<line transform="translate(0,4)" x2="6" y2="0" stroke="#ddd"/></g></g>'
        '<text text-anchor="end" transform="translate(1,2)" fill="#5c636d">rgb(1, 2, 3) y2="0"</text>'
        '<text fill="#123456">b</text></g></svg>'
    )
    assert lean(svg) == (
        '<svg width="9"><g fill="none"><path d="M0,0h1" fill="#4693c7"/>'
        '<line transform="translate(0,4)" x2="6" stroke="#ddd"/>'
        '<text transform="translate(1,2)" text-anchor="end">rgb(1, 2, 3) y2="0"</text><text fill="#123456">b</text></g></svg>'
    )
