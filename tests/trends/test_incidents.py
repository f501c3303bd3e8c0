"""Incidents: the score by published values, the past only, gaps, levels that move, refusals, and few false alarms."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import betabinom, nbinom

from launchpad_lib.trends import BUDGETS, watched
from launchpad_lib.trends.counted import failures_surprise, rows_surprise

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "studies"))

import incidents as study  # noqa: E402
import low_volume  # noqa: E402

START = pd.Timestamp("2026-01-05")
RNG = np.random.default_rng(study.SEED)
WAVE = 50 + 20 * np.sin(2 * np.pi * np.arange(24 * 28) / 24) + RNG.normal(size=24 * 28)


QUIET = 0.1


def told(value: np.ndarray, *, feature_id: str = "search") -> pd.DataFrame:
    at = pd.date_range(START, periods=len(value), freq="h")
    return pd.DataFrame({"feature_id": feature_id, "signal": "latency", "at": at, "value": value})


def looked(value: np.ndarray):
    """With a budget so small that healthy hours are silent here."""
    series = told(value)
    return watched(series, bucket="hour", through=series["at"].iloc[-1] + pd.Timedelta(hours=1), budget=QUIET)


def test_the_score_is_that_of_the_benchmark_s_paper_and_code():
    """Lavin & Ahmad 2015, figure 2: -1.0 and -0.8093 of false alarms, 0.9999 of the first hit; together 0.6909.

    The values of the scaled sigmoid stand in the benchmark's code (`nab/sweeper.py`).
    """
    for position, value in ((-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661), (3.1, -1.0)):
        assert study.position_score(position) == pytest.approx(value, abs=5e-6)
    assert 0.9999 + study.FALSE_POSITIVE * (-1 - 0.8093 - 1) == pytest.approx(0.6909, abs=1e-4)
    # By hand: 100 rows of probation 15; the window 40 to 59 is hit in its first row (1), a later hit in it adds
    # nothing, row 20 has no window before it (-0.11), row 90 is more than three widths beyond the window? 31 / 19 no.
    raw, found, wrong = study.nab_score(100, [3, 20, 40, 50, 90], [(40, 59)])
    assert raw == pytest.approx(1 - 0.11 + 0.11 * study.position_score(31 / 19)) and (found, wrong) == (1, 2)
    assert study.nab_total(-26, 26) == 0 and study.nab_total(26, 26) == 100
    assert study.nab_score(100, [], [(40, 59), (70, 80)]) == (-2.0, 0, 0)


@pytest.mark.skipif(not (ROOT.parent / "shared" / "data" / "nab").is_dir(), reason="the labelled series are not here")
def test_the_labelled_series_score_over_65_and_the_healthy_two_are_silent():
    found = study.nab(ROOT.parent / "shared" / "data" / "nab")
    assert study.nab_total(found["raw"].sum(), found["windows"].sum()) > 65
    assert not found.loc[found["file"].str.startswith("artificialNoAnomaly"), "false_alarms"].any()


def test_the_failing_service_of_the_committed_series_is_told_in_its_windows():
    """Its three labelled windows (data/sample/nab, MIT)."""
    one = pd.read_csv(ROOT / "data/sample/nab/ec2_request_latency_system_failure.csv", parse_dates=["timestamp"])
    told_at = one["timestamp"].iloc[study.alarm_rows(one["timestamp"], one["value"])]
    for first, last in (("03-14 03:31", "03-14 14:41"), ("03-18 17:06", "03-19 04:16"), ("03-20 21:26", "03-21 03:41")):
        assert told_at.between(f"2014-{first}", f"2014-{last}").any()


def test_a_bucket_is_judged_by_the_buckets_before_it_only():
    """Any shorter series tells the same of what it has; and another future moves nothing."""
    value = WAVE.copy()
    value[[200, 400, 401, 402]] += 60
    whole = looked(value).incidents
    assert len(whole) >= 2
    for n in (201, 300, 403, 600):
        part = looked(value[:n]).incidents
        last = START + pd.Timedelta(hours=n - 1)
        expected = whole[whole["detected_at"] <= last]
        assert part["detected_at"].tolist() == expected["detected_at"].tolist()
        assert part["started_at"].tolist() == expected["started_at"].tolist()


def test_an_hour_out_of_the_season_is_an_incident_though_its_value_is_an_ordinary_one():
    value = WAVE.copy()
    night = 24 * 20 + 18  # the trough, about 30
    value[night : night + 2] = 68.0  # the peak's
    found = looked(value).incidents
    row = found[found["detected_at"].between(START + pd.Timedelta(hours=night), START + pd.Timedelta(hours=night + 1))]
    assert len(found) == len(row) == 1
    assert row["ended_at"].iloc[0] > row["detected_at"].iloc[0]
    assert row["size"].iloc[0] == pytest.approx(38, abs=4) and row["expected"].iloc[0] == pytest.approx(30, abs=4)


def test_values_may_be_negative_and_down_counts_as_up():
    value = -WAVE
    value[500] -= 40
    found = looked(value).incidents
    assert found["detected_at"].tolist() == [START + pd.Timedelta(hours=500)]
    assert found["size"].iloc[0] == pytest.approx(-40, abs=5)


def test_a_level_that_moved_rings_once_and_then_is_the_ordinary_one():
    value = WAVE.copy()
    value[300:] += 60
    found = looked(value).incidents
    first = found.iloc[0]
    assert first["detected_at"] == START + pd.Timedelta(hours=300)
    assert first["ended_at"] <= START + pd.Timedelta(hours=325)
    assert (found["detected_at"] > START + pd.Timedelta(hours=372)).sum() == 0
    assert (found["started_at"].iloc[1:].to_numpy() >= found["ended_at"].iloc[:-1].to_numpy()).all()


def test_a_gap_is_neither_an_incident_nor_a_value():
    value = WAVE.copy()
    value[300:340] = np.nan
    found = looked(value)
    assert found.incidents.empty
    assert found.series["missing"].tolist() == [40] and found.series["judged"].tolist() == [24 * 28 - 48 - 40]


def test_a_series_that_fell_silent_is_named_and_one_that_ends_today_is_not():
    both = pd.concat([told(WAVE), told(WAVE[:400], feature_id="gone")])
    found = watched(both, bucket="hour", through=START + pd.Timedelta(hours=24 * 28)).series.set_index("feature_id")
    assert found["is_silent"].to_dict() == {"gone": True, "search": False}
    assert found["silent_buckets"].to_dict() == {"gone": 24 * 28 - 400, "search": 0}


def test_what_cannot_be_judged_is_a_refused_row():
    series = pd.concat(
        [
            told(np.full(100, 7.0), feature_id="constant"),
            told(np.array([1.0]), feature_id="one point"),
            told(np.full(100, np.nan), feature_id="unknown"),
            told(WAVE[:100], feature_id="clock").assign(
                at=lambda t: t["at"].where(t.index > 0, pd.Timestamp("1800-01-01"))
            ),
        ]
    )
    found = watched(series, bucket="hour", through=datetime(2026, 3, 1)).series.set_index("feature_id")
    assert "it is constant: every bucket is 7" in found.loc["constant", "refused_because"]
    assert "1 known buckets of hour over 1; more than 48 are needed" in found.loc["one point", "refused_because"]
    assert found.loc["unknown", "refused_because"] == "no value is known"
    assert "correct its times" in found.loc["clock", "refused_because"]
    assert found["is_silent"].isna().to_dict() == {
        "clock": False,
        "constant": False,
        "one point": True,
        "unknown": True,
    }


def test_values_after_the_run_s_instant_and_half_a_bucket_are_not_judged():
    value = WAVE.copy()
    value[-1] += 100
    series = told(value)
    end = series["at"].iloc[-1]
    assert watched(series, bucket="hour", through=end + pd.Timedelta(minutes=20), budget=QUIET).incidents.empty
    assert len(watched(series, bucket="hour", through=end + pd.Timedelta(minutes=40), budget=QUIET).incidents) == 1


def test_a_bucket_or_budget_that_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="bucket='week': there are '5 minutes', 'hour', 'day'; name one of them"):
        watched(told(WAVE), bucket="week", through=datetime(2026, 3, 1))
    with pytest.raises(ValueError, match="budget=0: false alarms in 30 days are a number over 0; raise it"):
        watched(told(WAVE), bucket="hour", through=datetime(2026, 3, 1), budget=0)


@pytest.mark.parametrize(("bucket", "days", "draws"), [("5 minutes", 20, 1), ("hour", 60, 4), ("day", 90, 40)])
def test_healthy_series_stay_within_the_stated_budget(bucket, days, draws):
    """Small version of the study (docs/studies.md); the limit is the budget, and three standard errors of the mean."""
    found = study.false_alarms(bucket=bucket, days=days, draws=draws)
    assert (found["a_month"] - 3 * found["error"] <= BUDGETS[bucket]).all()
    assert found["a_month"].mean() < BUDGETS[bucket]


def test_a_slow_day_that_is_over_is_an_incident_that_ended_and_no_new_level():
    shares = study.one_day(draws=60, size=3.0)
    assert shares["ended"] >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60) and shares["level"] < 0.2


def rated(failed: np.ndarray, of: np.ndarray, *, feature_id: str = "search", minutes: int = 60) -> pd.DataFrame:
    """A rate by hour (or so many minutes); a bucket without observations has no row."""
    at = pd.date_range(START, periods=len(of), freq=f"{minutes}min")
    told = {"feature_id": feature_id, "signal": "crash_rate", "at": at, "observations": of, "kind": "rate"}
    return pd.DataFrame({**told, "worse": "up", "value": failed / np.maximum(of, 1)})[of > 0]


def test_the_tails_of_counts_are_those_of_an_independent_library():
    """scipy.stats.betabinom and nbinom, over small and large counts."""
    for k, n, failed, observed in (
        (1, 4, 0, 84),
        (2, 4, 0.5, 84),
        (30, 200, 5, 3000),
        (700, 20000, 4e4, 2e6),
        (4, 4, 9, 9),
    ):
        # scipy's own tail loses its digits under 1e-12
        exact = -logsumexp(betabinom.logpmf(np.arange(k, n + 1), n, failed + 0.5, observed - failed + 0.5))
        usual = k <= n * (failed + 0.5) / (observed + 1)
        assert failures_surprise(float(k), float(n), failed, observed) == pytest.approx(0 if usual else exact, rel=1e-6)
    for k, expected, seen in ((9, 2.0, 14), (40, 20.0, 3000), (2300, 2000.0, 14000), (1, 20.0, 140), (0, 9.0, 63)):
        a = seen + 0.5
        law = nbinom(a, a / (a + expected))
        exact = -law.logsf(k - 1) if k > expected else -law.logcdf(k)
        assert rows_surprise(float(k), expected, seen, k > expected) == pytest.approx(exact, rel=1e-6)
        assert rows_surprise(float(k), expected, seen, k < expected) == 0


def test_one_crash_of_four_observations_is_no_incident_and_an_afternoon_of_crashes_is():
    rng = np.random.default_rng(31)
    of = rng.poisson(4, 24 * 28)
    failed = np.zeros(len(of))
    alone = np.flatnonzero(of == 4)[[20, 60, 90]]
    failed[alone] = 1
    assert watched(rated(failed, of), bucket="hour", through=START + pd.Timedelta(days=28)).incidents.empty
    bad = 24 * 20 + 12
    failed[bad : bad + 8] = of[bad : bad + 8] // 2
    found = watched(rated(failed, of), bucket="hour", through=START + pd.Timedelta(days=28)).incidents
    assert len(found) == 1
    row = found.iloc[0]
    assert START + pd.Timedelta(hours=bad) <= row["detected_at"] < START + pd.Timedelta(hours=bad + 5)
    run = slice(*(int((row[c] - START) / pd.Timedelta(hours=1)) for c in ("started_at", "ended_at")))
    assert row["value"] == pytest.approx(failed[run].sum() / of[run].sum()) and row["observations"] == of[run].sum()


def test_a_rate_is_judged_by_the_past_only_and_its_fall_is_no_incident():
    rng = np.random.default_rng(32)
    of = rng.poisson(300, 24 * 28)
    rate = np.full(len(of), 0.05)
    rate[300:304], rate[400:404], rate[500:512] = 0.2, 0.4, 0.0
    series = rated(rng.binomial(of, rate), of)
    whole = watched(series, bucket="hour", through=START + pd.Timedelta(days=28), budget=1).incidents
    assert len(whole) == 2 and (whole["size"] > 0).all()
    assert (whole["detected_at"] < START + pd.Timedelta(hours=404)).all()
    for n in (302, 350, 402, 600):
        part = watched(series[:n], bucket="hour", through=START + pd.Timedelta(hours=n), budget=1).incidents
        expected = whole[whole["detected_at"] < START + pd.Timedelta(hours=n)]
        assert part["detected_at"].tolist() == expected["detected_at"].tolist()


def test_rows_that_fall_are_told_and_a_level_that_stays_keeps_its_season():
    """Rows by hour with a wave of 90 %: half of them from day 15 on rings once, not again every day."""
    rng = np.random.default_rng(33)
    at = np.arange(24 * 35)
    rows = rng.poisson(2000 * (1 + 0.9 * np.sin(2 * np.pi * at / 24)) * np.where(at >= 360, 0.5, 1.0))
    told = {"feature_id": "a", "signal": "observations", "at": pd.date_range(START, periods=len(at), freq="h")}
    series = pd.DataFrame({**told, "value": rows, "kind": "count"})
    found = watched(series, bucket="hour", through=START + pd.Timedelta(days=35), budget=QUIET).incidents
    assert found["detected_at"].iloc[0] <= START + pd.Timedelta(hours=362) and found["size"].iloc[0] < 0
    assert (found["detected_at"] > START + pd.Timedelta(hours=410)).sum() == 0
    # The last hour, half over, has half of its rows: it is not judged.
    half = watched(series[:250], bucket="hour", through=START + pd.Timedelta(hours=249.5), budget=QUIET).series
    assert half["last_at"].tolist() == [START + pd.Timedelta(hours=248)]


def test_buckets_of_few_observations_are_gaps_and_a_series_of_them_is_refused():
    value = told(WAVE).assign(observations=np.where(np.arange(len(WAVE)) % 3, 50, 5))
    through = START + pd.Timedelta(days=28)
    found = watched(value, bucket="hour", through=through, min_observations=30).series.iloc[0]
    assert found["missing"] == 24 * 28 // 3 - 1 and pd.isna(found["refused_because"])
    few = watched(value.assign(observations=7), bucket="hour", through=through, min_observations=30).series.iloc[0]
    assert few["refused_because"] == "its fullest hour holds 7 observations; 30 are needed"
    of = np.ones(24 * 10, dtype=int)
    rate = watched(rated(np.zeros(240), of), bucket="hour", through=through, min_observations=100).series.iloc[0]
    assert rate["refused_because"] == "1 observations in half of its buckets of hour; 100 are needed in 48 of them"
    never = watched(rated(np.zeros(240), 50 * of), bucket="hour", through=through).series.iloc[0]
    assert pd.isna(never["refused_because"]) and never["incidents"] == 0  # that nothing ever crashed is an answer


@pytest.mark.parametrize(("bucket", "days", "draws"), [("hour", 40, 2), ("day", 60, 10)])
def test_healthy_counts_of_few_observations_stay_within_the_budget(bucket, days, draws):
    """Small version of the study: rates of 0.1 to 5 % of 1 to 200 observations a bucket, and rows; half the budget."""
    found = low_volume.false_alarms(bucket=bucket, days=days, draws=draws)
    assert (found["a_month"] - 3 * found["error"] <= BUDGETS[bucket]).all()
    assert found["a_month"].mean() < BUDGETS[bucket] / 2
