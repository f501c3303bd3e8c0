"""The index of a run shows what the manifest says, the gravest first. Expected words are by hand."""

from __future__ import annotations

import html
import re

import pytest

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.page.sparks import band_chart, round_top, spark
from launchpad_lib.runner.indexes import publish_index
from launchpad_lib.runner.outcomes import verdict_of
from launchpad_lib.runner.summary import summary
from launchpad_lib.runner.summary_words import change_words, parted
from tests.summaries import HOSTILE, cell, days, feature, found, manifest, notebook, number


def index_of(tmp_path, said: Manifest) -> str:
    publish_index(tmp_path, said)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    without = re.sub(r"<(style|details)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def test_what_asks_for_somebody_comes_first_once_a_feature_and_never_more_than_three():
    told = [
        found("act", "Search got slower (1.4 to 2.3) since 14 Jan; now 352 ms.", feature_id="search", users=268),
        found("act", "Checkout got slower.", feature_id="checkout", users=279),
        found("fine", "All else is well."),
    ]
    again = [
        found("act", "Search is degraded now.", feature_id="search", users=268),
        found("act", "Chat fell silent.", feature_id="chat", verb="find out"),
        found("watch", "Ship treatment.", verb="ship"),
    ]
    s = summary(manifest(notebooks=[notebook("latency", findings=told), notebook("risk", findings=again)]))
    assert [(t.headline, t.detail) for t in s.tasks] == [
        ("Checkout got slower", "279 users."),
        ("Search got slower (1.4 to 2.3) since 14 Jan", "Now 352 ms. 268 users."),
        ("Chat fell silent", ""),
    ]
    assert s.tasks[0].href == "latency.html#proof"
    assert [t.headline for t in s.also] == ["Ship treatment"]
    assert [(p.short, p.open_findings) for p in s.pages] == [("Latency", 2), ("Risk", 3)]
    assert s.verdict == "3 findings ask for somebody now."


def test_tasks_follow_the_order_of_the_scorecard_where_there_is_one():
    told = [found("act", f"{n} is bad.", feature_id=n, users=u) for n, u in (("a", 900), ("b", 1))]
    rows = [feature("b", "act"), feature("a", "act")]
    s = summary(manifest(notebooks=[notebook("risk", findings=told)], scorecard=rows, verdict="B is degraded now."))
    assert ([t.headline for t in s.tasks], s.verdict) == (["b is bad", "a is bad"], "B is degraded now.")


def test_nothing_got_worse_is_not_said_above_a_page_that_asks_to_act():
    """A fresh reader took an experiment that harms for all clear: it is no feature's row."""
    harm = notebook("experiments", findings=[found("act", "Do not ship.", verb="stop")], verdict="Do not ship new.")
    calm = [notebook("scorecard", verdict="Nothing got worse."), notebook("funnels", verdict="Half get through.")]
    assert (
        verdict_of(manifest(notebooks=[*calm, harm], scorecard=[feature("a", "fine")], verdict="Nothing got worse."))
        == "Do not ship new."
    )
    assert (
        verdict_of(manifest(notebooks=[*calm, harm], scorecard=[feature("a", "act")], verdict="A fell.")) == "A fell."
    )
    assert (
        verdict_of(manifest(notebooks=calm, scorecard=[feature("a", "fine")], verdict="Nothing got worse."))
        == "Nothing got worse."
    )
    assert verdict_of(manifest(notebooks=[*calm, harm])) is None
    torn = [*calm, notebook("risk", "failed", reason="KeyError", verdict=None)]
    said = verdict_of(manifest(notebooks=torn, scorecard=[feature("a", "fine")], verdict="Nothing got worse."))
    assert said == "Nothing got worse; Risk failed."


def test_what_is_of_no_feature_is_not_hidden_behind_three_features():
    told = [found("act", f"{n} is bad.", feature_id=n) for n in "abcd"]
    stop = [found("act", "Do not ship the short form.", verb="stop"), found("act", "Nor this.", verb="stop")]
    s = summary(manifest(notebooks=[notebook("risk", findings=told), notebook("experiments", findings=stop)]))
    assert [t.headline for t in s.tasks] == ["a is bad", "b is bad", "Do not ship the short form"]
    assert [t.headline for t in s.also] == ["c is bad", "d is bad", "Nor this"]


def test_nothing_found_is_never_said_to_be_well():
    assert summary(manifest(notebooks=[notebook("risk")])).verdict == (
        "No page found what asks for somebody now; what could not be told stands below."
    )


def test_a_failed_page_is_the_verdict_where_no_other_was_made_and_stands_under_one_that_was(tmp_path):
    pages = [notebook("risk", "failed", reason="KeyError: <x>", verdict=None), notebook("funnels")]
    assert summary(manifest(status="failed", notebooks=pages)).verdict == "Risk failed, so this run does not say all."
    page = index_of(tmp_path, manifest(status="failed", notebooks=pages, verdict="All is told."))
    assert "Risk failed</a>: KeyError: &lt;x&gt;" in page and "a page failed" in page


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("“a; b. C” fell silent; it had sent some.", ("“a; b. C” fell silent", "It had sent some.")),
        ("p95 rose 1.5 times. Now it is 3.", ("p95 rose 1.5 times", "Now it is 3.")),
        ("v2. of x is slow.", ("v2. of x is slow", "")),
        ("One (so; or so) only.", ("One (so; or so) only", "")),
        ("A is slow; p95 is 3.", ("A is slow", "p95 is 3.")),
    ],
)
def test_a_sentence_is_parted_between_clauses_and_never_within_a_name(sentence, parts):
    assert parted(sentence) == parts


def test_numbers_with_a_course_or_a_change_are_the_tiles_and_six_are_enough(tmp_path):
    plain = [number(f"plain{i}", 0.5) for i in range(5)]
    moving = [number(f"moving{i}", 0.5, series=days([0.4, 0.5, 0.45])) for i in range(9)]
    s = summary(manifest(notebooks=[notebook("engagement")], metrics=plain + moving))
    assert [t.metric.name for t in s.tiles] == [f"moving{i}" for i in range(6)]
    old = summary(manifest(notebooks=[notebook("engagement")], metrics=plain))
    assert [t.metric.name for t in old.tiles] == ["plain0"]


def test_refused_numbers_of_one_reason_stand_once_and_what_is_not_asked_not_at_all():
    metrics = [number("a", None), number("b", None), number("c", None, refused_because="not asked: declare x")]
    s = summary(manifest(notebooks=[notebook("engagement")], metrics=metrics))
    assert [(d.what, d.why) for d in s.doubts] == [("a and 1 more", "too few")]


def change(**more):
    base = {
        "value": 0.02,
        "ci_low": -0.03,
        "ci_high": 0.07,
        "period": "12 to 18 Jan",
        "against": "5 to 11 Jan",
        "word": "no change shown",
        "smallest": 0.07,
    }
    return number("m", 0.5, change=base | more)


def test_a_change_says_its_interval_and_what_the_data_could_have_shown():
    one = manifest(metrics=[change()]).metrics[0]
    assert one.change is not None
    assert change_words(one.change, one, None) == (
        "No change shown: +2.0 points (−3.0 to +7.0), 12 to 18 Jan against 5 to 11 Jan; 7.0 points would show."
    )
    rose = manifest(metrics=[change(word="rose", ci_low=0.01)]).metrics[0]
    assert rose.change is not None
    assert change_words(rose.change, rose, "said above") == "Rose: +2.0 points (+1.0 to +7.0)."


def test_periods_are_said_once_where_all_tiles_share_them():
    of = lambda *metrics: summary(manifest(notebooks=[notebook("engagement")], metrics=metrics)).periods  # noqa: E731
    assert of(change(), change()) == "12 to 18 Jan against 5 to 11 Jan"
    assert of(change(), change(period="17 Jan")) is None


def test_names_are_text_and_sixty_features_are_folded_after_twenty(tmp_path):
    names = HOSTILE + [f"feature {i}" for i in range(60 - len(HOSTILE))]
    pages = [notebook("engagement", findings=[found("act", f"“{n}” is slow.", feature_id=n) for n in HOSTILE])]
    page = index_of(
        tmp_path,
        manifest(
            notebooks=pages,
            scorecard=[feature(n, "act") for n in names],
            metrics=[number(n, 0.5, segment=n, series=days([0.4, 0.5])) for n in HOSTILE],
        ),
    )
    assert "<script" not in page and "<b>x" not in page and "\x00" not in page and "\u202e" not in page
    assert page.count('<th scope="row"><bdi>') == 60 and "40 more features" in page
    assert 'href="no%20such%20page' not in page, "a cell links only to a page of this run"


def test_eight_features_are_read_in_under_800_words_and_200_numbers(tmp_path):
    told = [
        found(
            "act",
            f"{n}: the daily p95 latency is 1.32 times what it was (1.15 to 1.53) since 15 Dec.",
            feature_id=n,
        )
        for n in "ABCDEFGH"
    ]
    pages = [notebook(f"page {n}", findings=told if n == "A" else None) for n in "ABCDEFG"] + [notebook("engagement")]
    said = manifest(
        notebooks=pages,
        scorecard=[feature(n, "act") for n in "ABCDEFGH"],
        metrics=[change() | {"series": days([0.4, 0.5])} for _ in range(30)],
        verdict="A and 7 more are degraded now.",
    )
    read = text_of(index_of(tmp_path, said))
    assert len(read.split()) < 800 and len(re.findall(r"\d[\d,.]*", read)) < 200
    assert read.index("A and 7 more are degraded now.") < read.index("Do this") < read.index("Each feature")


def test_a_run_of_before_there_were_scorecards_stands(tmp_path):
    page = index_of(
        tmp_path, manifest(notebooks=[notebook("engagement")], metrics=[number("a", 0.5), number("b", None)])
    )
    assert "Each feature" not in page and "engagement says this." in page


def series_of(values, **more):
    return manifest(metrics=[number("m", 0.5, series=days(values, **more))]).metrics[0].series


def test_a_line_keeps_its_gap_and_an_open_day_is_hollow():
    course = series_of([0.4, 0.5, None, 0.45, 0.3], last_is_open=True)
    line = str(band_chart(course, name="Used", written=lambda v: f"{100 * v:.0f} %"))
    assert (
        line.count('class="ln" points') == 2 and line.count("stroke-dasharray") == 1 and line.count('class="hol"') == 1
    )
    assert (
        'aria-label="Used, 5 Jan to 9 Jan: highest 50 % on 6 Jan, lowest 30 % on 9 Jan, last 30 %, which is not over"'
    ) in line


def test_a_day_of_few_units_is_hollow_and_moves_no_line():
    course = [d | {"n": n} for d, n in zip(days([0.5, 0.4, 0.45, 0.0]), (300, 250, 200, 3), strict=True)]
    line = str(band_chart(manifest(metrics=[number("m", 0.5, series=course)]).metrics[0].series, name="m", written=str))
    assert line.count('class="hol"') == 1 and line.count("stroke-dasharray") == 0
    assert "lowest 0.4 on 6 Jan, last 0.45" in line and '<text class="k" x="245" y' in line and ">0.45</text>" in line


@pytest.mark.parametrize("values", [[], [0.5], [None, None], [None, 0.4]])
def test_fewer_than_two_known_days_are_no_line(values):
    assert spark(values, top=1) == "" and band_chart(series_of(values), name="m", written=str) == ""


@pytest.mark.parametrize("values", [[0, 0, 0], [1e-300, 1e-300], [1e300, 1e300], [-5, 3], [7] * 1500])
def test_every_line_stands_within_its_frame(values):
    series = (
        manifest(metrics=[number("m", 0.5, series=[d | {"day": "2026-01-05"} for d in days(values)])]).metrics[0].series
    )
    for drawn in (str(band_chart(series, name="m", written=str)), str(spark(values, top=2, limit=1))):
        heights = [
            float(y) for y in re.findall(r"[\d.]+,([-\d.]+)", " ".join(re.findall(r'(?:points|d)="([^"]*)"', drawn)))
        ]
        assert heights and all(0 <= y <= 92 for y in heights) and "nan" not in drawn and len(drawn) < 40_000


def test_an_axis_ends_at_a_round_number():
    assert [round_top(v) for v in (0.47, 403, 0.0, 7e-9)] == [0.5, 500, 1.0, 8e-9]


def test_lines_of_features_share_one_scale_which_one_outage_does_not_stretch():
    rows = [
        feature("a", objective=cell("x", value=100.0, limit=100.0, unit="ms", series=days([100, 100]))),
        feature("b", objective=cell("x", value=100.0, limit=100.0, unit="ms", series=days([100, 9000]))),
    ]
    s = summary(manifest(scorecard=rows))
    y = [re.findall(r'points="[\d.]+,([\d.]+)', str(r.line))[0] for r in s.rows]
    assert y[0] == y[1]
