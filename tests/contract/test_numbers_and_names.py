"""Numbers, names, durations, estimates and findings as values: what the rooms above rely on. Expected texts are written by hand."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.durations import check_timezone, parse_window, utc_instant, window_us
from launchpad_lib.contract.estimates import Estimate, Refused, estimate_of, refusal
from launchpad_lib.contract.findings import Conclusion, Finding, conclusion, refused_conclusion
from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.contract.sentences import counted, ended, listed, named, span_words
from launchpad_lib.contract.wording import amount, duration, is_missing, needed, percent, points, rate, single


def test_an_estimate_keeps_its_question_when_it_is_refused():
    asked = Estimate(0.5, 0.4, 0.6, 10, rules={"window": "7d"})
    assert not asked.is_refused and asked.refused(None) is asked
    assert asked.refused("few") == Estimate(None, None, None, 10, "few", {"window": "7d"})
    assert asked.refused("few").is_refused
    assert refusal("few", n=3, window="1d") == Estimate(None, None, None, 3, "few", {"window": "1d"})
    assert refusal("few") == Estimate(None, refused_because="few") and Estimate(1.0).rules == {}


@pytest.mark.parametrize("make", [dict, lambda **row: SimpleNamespace(**row), lambda **row: pd.Series(row)])
def test_a_row_of_any_form_is_its_estimate(make):
    row = make(rate=0.5, users=np.float64(10.0), ci_low=0.25, ci_high=0.75, low=0.125, high=0.875)
    found = estimate_of(row, value="rate", n="users", window="7d")
    assert found == Estimate(0.5, 0.25, 0.75, 10, None, {"window": "7d"}) and isinstance(found.n, int)
    own = estimate_of(row, value="rate", n="users", ci=("low", "high"))
    assert own == Estimate(0.5, 0.125, 0.875, 10)
    assert estimate_of(row, value="rate", n="absent", ci=("absent", "high"))[:4] == (0.5, None, 0.875, None)


def test_a_row_without_a_number_is_refused_by_its_own_reason_or_for_want_of_any():
    row = {"rate": None, "users": 7, "refused_because": "few"}
    assert estimate_of(row, value="rate", n="users", window="7d") == refusal("few", n=7, window="7d")
    # A reason is a reason, though a number stands beside it.
    assert estimate_of(row | {"rate": 0.5}, value="rate", n="users") == refusal("few", n=7)
    assert estimate_of({"rate": float("nan"), "users": 7}, value="rate", n="users") == refusal(
        "nothing was counted (n = 7)", n=7
    )
    assert estimate_of({}, value="rate", n="users") == refusal("nothing was counted (n = 0)")
    answered = {"rate": 0.0, "users": 7, "refused_because": float("nan")}
    assert estimate_of(answered, value="rate", n="users") == Estimate(0.0, None, None, 7)


def test_findings_stand_gravest_first_and_otherwise_as_they_were_given():
    given = [Finding(s, "look", f"{i}") for i, s in enumerate(["fine", "unknown", "watch", "act", "watch", "act"])]
    found = conclusion("V.", iter(given))
    assert "".join(f.sentence for f in found.findings) == "352410" and found[0] == "V." and found[2] is None
    assert Finding("act", "fix", "s")[3:] == (None, None, None, None)


def test_a_page_that_cannot_answer_says_why_in_its_one_finding():
    assert refused_conclusion("no log") == Conclusion(
        "These data cannot answer the question.", (Finding("unknown", "find out", "No log."),), "no log"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.b:c/d@e%f+g-h$i_1", "a.b:c/d@e%f+g-h$i_1"),
        ("two words", "“two words”"),
        ("", "“”"),
        (12, "“12”"),
        ("-1.5", "“-1.5”"),
        ("+7%", "“+7%”"),
        ("1.5.2", "1.5.2"),
        ("12a", "12a"),
        (True, "True"),
        ("שלום", "“\u2068שלום\u2069”"),
    ],
)
def test_a_name_in_a_sentence_is_quoted_where_it_would_be_read_as_something_else(name, shown):
    assert named(name) == shown


def test_a_long_name_keeps_both_ends_in_sixty_letters_or_as_many_as_are_given():
    assert named("a" * 60) == "a" * 60
    assert named("a" * 61) == f"“{'a' * 29}…{'a' * 29}”"
    assert named("abcdefghijkl", cells=5) == "“ab…kl”"


def test_counts_have_their_word_and_lists_are_read_aloud():
    assert [counted(n, "entry", "entries") for n in (0, 1, 1.9, 2, 12345)] == [
        "0 entries", "1 entry", "1 entry", "2 entries", "12,345 entries",
    ]  # fmt: skip
    assert counted(2, "user") == "2 users"
    assert [listed(list("abcd")[:n]) for n in range(5)] == ["", "a", "a and b", "a, b and c", "a, b, c and 1 more"]
    assert listed(list("abcd"), most=2) == "a, b and 2 more" and listed(list("abcd"), most=4) == "a, b, c and d"
    assert [ended(t) for t in ("a", "a.", "a!", "a?", "a,")] == ["a.", "a.", "a!", "a?", "a,."]


@pytest.mark.parametrize(
    ("text", "length", "words"),
    [
        ("45s", timedelta(seconds=45), "45 seconds"),
        (" 90m ", timedelta(seconds=5400), "90 minutes"),
        ("1h", timedelta(seconds=3600), "1 hour"),
        ("1 d", timedelta(days=1), None),
        ("14d", timedelta(days=14), "14 days"),
        ("1500d", timedelta(days=1500), "1,500 days"),
    ],
)
def test_a_duration_is_a_length_and_words(text, length, words):
    assert parse_window(text) == length and window_us(text) == length.total_seconds() * 1_000_000
    assert words is None or span_words(text) == words


def test_no_window_is_any_time():
    assert span_words(None) == "any time" and window_us(None) is None


@pytest.mark.parametrize("text", ["0d", "00h", "7", "d", "-1d", "1.5h", "7w", "7dd", "a7d", None, ""])
def test_what_is_no_duration_is_refused_in_one_sentence(text):
    said = f"window={text!r}: must be a whole number above 0 with a unit s, m, h or d; write for example '7d' or '30m'"
    with pytest.raises(ValueError) as refused:
        parse_window(text)
    assert str(refused.value) == said


def test_a_window_longer_than_time_itself_is_refused():
    with pytest.raises(ValueError) as refused:
        parse_window("99999999999d")
    assert str(refused.value) == "window='99999999999d': is longer than any log; write for example '30d'"


def test_an_instant_is_in_utc_without_a_zone_whatever_zone_it_came_with():
    east = timezone(timedelta(hours=2))
    assert utc_instant(datetime(2026, 3, 1, 1, tzinfo=east)) == datetime(2026, 2, 28, 23)
    assert utc_instant(datetime(2026, 3, 1, tzinfo=UTC)) == utc_instant(datetime(2026, 3, 1)) == datetime(2026, 3, 1)
    of_pandas = utc_instant(pd.Timestamp("2026-03-01 01:00:00.000001005", tz="Europe/Berlin"))
    assert of_pandas == datetime(2026, 3, 1, 0, 0, 0, 1) and type(of_pandas) is datetime


def test_an_instant_without_a_zone_is_utc_whatever_the_clock_of_the_host_says(monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert utc_instant(datetime(2026, 3, 1, 12)) == datetime(2026, 3, 1, 12)
    time.tzset()


@pytest.mark.parametrize("value", ["2026-03-01", date(2026, 3, 1), pd.NaT, None, 0])
def test_what_is_no_instant_is_refused_by_the_name_of_its_argument(value):
    rule = "must be a datetime in UTC; write for example datetime(2026, 3, 1) for the end of February"
    with pytest.raises(ValueError) as refused:
        utc_instant(value, argument="end")
    assert str(refused.value) == f"end={value!r}: {rule}"
    with pytest.raises(ValueError, match="^observed_through="):
        utc_instant(value)


def test_a_time_zone_is_one_of_iana_or_refused_with_the_nearest():
    check_timezone("Europe/Berlin")
    with pytest.raises(ValueError) as refused:
        check_timezone("Europe/Berlim")
    assert str(refused.value) == "report_timezone='Europe/Berlim': is no IANA time zone; did you mean 'Europe/Berlin'?"


def test_a_quoted_name_hides_no_character_and_is_at_most_sixty_long():
    assert quoted("a" * 60) == f"'{'a' * 60}'" and quoted("a" * 61) == f"'{'a' * 60}…'"
    assert quoted("a\u200bb") == "'a\\u200bb'" and quoted(7) == "'7'"


def test_a_misspelt_name_is_answered_by_what_is_near_or_else_by_what_there_is():
    assert nearest("x", []) == nearest("x", [None]) == "there are none"
    assert nearest("x", ["bb", "aa", None, "aa"]) == "there are aa, bb"
    assert (
        nearest("x", [f"name{i:02}" for i in range(10)]) == f"there are {', '.join(f'name{i:02}' for i in range(10))}"
    )
    assert nearest("x", [f"name{i:02}" for i in range(11)]).endswith("name09 and others")
    assert nearest("x", ["", " padded", "\x00", "l" * 60, "m" * 61]) == (
        f"there are '', '\\x00', ' padded', {'l' * 60}, '{'m' * 60}…'"
    )
    assert nearest("CHECKOUT", ["checkout"]) == "did you mean 'checkout'?"
    assert nearest(12, [13, 12345]) == "did you mean '12345' or '13'?"
    near = [f"checkout_{c}" for c in "abcd"]
    assert nearest("checkout_x", near) == "did you mean 'checkout_d' or 'checkout_c' or 'checkout_b'?"
    # Only the first hundred characters are compared: two names that differ behind them are one here, and one is told.
    assert nearest("n" * 5000, ["n" * 4000 + "a", "n" * 4000 + "b"]) == f"did you mean '{'n' * 60}…'?"


def test_missing_is_none_and_nan_of_any_library_and_nothing_else():
    assert all(is_missing(v) for v in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT))
    assert not any(is_missing(v) for v in (0, "", False, float("inf"), [None], {}, np.array([np.nan, 1.0])))


def test_shares_are_percent_with_one_decimal_or_two_digits_where_they_would_read_as_nothing():
    shares = [0.0, -0.0, 0.00099999, 0.001, -0.0004, 0.5, 1.0, 12.0]
    assert [percent(v) for v in shares] == [
        "0.0 %", "0.0 %", "0.1 %", "0.1 %", "-0.04 %", "50.0 %", "100.0 %", "1200.0 %",
    ]  # fmt: skip
    assert percent(0.0009449) == "0.094 %" and percent(0.0014) == "0.1 %" and percent(-0.0014) == "-0.1 %"


def test_seconds_are_told_in_the_unit_in_which_they_are_two_or_more():
    seconds = [0, 0.04, 119.94, 120, 7_199, 7_200, 172_799, 172_800, 86_400_000, -120, -60]
    assert [duration(s) for s in seconds] == [
        "0.0 s", "0.0 s", "119.9 s", "2.0 min", "120.0 min", "2.0 h", "48.0 h", "2.0 days", "1,000.0 days", "-2.0 min", "-60.0 s",
    ]  # fmt: skip


def test_rates_and_points_show_an_interval_only_where_both_limits_are():
    assert rate(0.5, 0.4, 0.6, 1234.0) == "50.0 % (40.0 to 60.0 %, n = 1,234)"
    assert rate(0.5, 0.4, None, 10) == rate(0.5, None, 0.6, 10) == rate(0.5, None, None, 10) == "50.0 % (n = 10)"
    assert rate(None, 0.4, 0.6, 10) == "an unknown share (n = 10)" and rate(None, 0.4, 0.6, None) == "an unknown share"
    assert rate(0.5, -0.00001, 0.6, None) == "50.0 % (0.0 to 60.0 %)"
    assert rate(0.5, 0.4, -0.00001, None) == "50.0 % (40.0 to 0.0 %)"
    assert points(-0.25, -0.5, 0.125) == "-25.0 points (-50.0 to +12.5)"
    assert points(0.25, None, 0.5) == points(0.25, 0.5, None) == points(0.25, 0.5, float("inf")) == "+25.0 points"


def test_amounts_have_thousands_and_a_unit_where_there_is_one():
    assert [amount(v, "ms") for v in (1234567, -0.2, 0.5)] == ["1,234,567 ms", "0 ms", "0 ms"]
    assert amount(1.25, digits=1) == "1.2" and amount(2) == "2" and amount(1.005, "days", 2) == "1.00 days"


def test_the_only_row_keeps_the_types_of_its_columns_and_its_gaps_are_none():
    frame = pd.DataFrame({"n": [7, 8], "rate": [float("nan"), 0.5], "name": ["a", None], 3: [True, False]})
    found = single(frame)
    assert (found.n, found.rate, found.name, vars(found)["3"]) == (7, None, "a", True)
    assert str(found.n) == "7"
    assert vars(single(frame.head(0)[["n", "rate"]])) == {"n": None, "rate": None}
    assert single(SimpleNamespace(to_pandas=lambda: frame)).n == 7


def test_what_is_needed_is_the_value_or_one_clear_sentence():
    assert needed(0, "events") == 0 and needed("x", "events") == "x"
    with pytest.raises(Refused) as refused:
        needed(float("nan"), "telemetry")
    assert str(refused.value) == (
        "the lake holds no telemetry; ingest some with a params file, or leave this notebook out of `sequence`"
    )
