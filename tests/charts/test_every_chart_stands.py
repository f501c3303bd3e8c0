"""Every public chart with every kind of table that data can give it, drawn for real. Limits are those of the issue: 5,000 rows of
a specification, 20 names; expected sums and ends are by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from launchpad_lib import charts
from launchpad_lib.page.rendering import MOST_ROWS, Renderer, row_count, sayable

MOST_BYTES = 700_000  # of a specification; a page with all of its charts is to stay far under 500 KB when packed
HOSTILE = [
    "</script><img src=x onerror=alert(1)>", "a\x00b\x1b[31m", "\ud83d", "\uffff", "\U0001f1e9\U0001f1ea" * 300, "\u202egnp.exe", "שלום עולם",
    "org:group.utm[0]['x']\\\"", "datum.value", "", "   ", "\u200b", "x" * 5000, "e" + "\u0301" * 900, "{{7*7}}", "%s %(a)s", "1", "null", "toString", "__proto__",
]  # fmt: skip
LABELS = pd.DataFrame({"at": pd.to_datetime(["2026-01-05"] * len(HOSTILE)), "label": pd.Series(HOSTILE, dtype=object)})


class Kind(NamedTuple):
    """How a chart is called, and what its table's columns are."""

    call: Callable[[pd.DataFrame], object]
    names: tuple[str, ...]
    dates: tuple[str, ...]
    numbers: tuple[str, ...]


def _moves(daily: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A change of each feature, and each one's first day out of line."""
    features = pd.DataFrame({"feature_id": pd.Series(list(dict.fromkeys(daily["feature_id"].tolist())), dtype=object)})
    dates = dict.fromkeys(("changed_at", "first_at", "last_at"), pd.Timestamp("2026-01-20"))
    first = daily.drop_duplicates("feature_id")[["feature_id", "observed_on"]]
    return features.assign(**dates, is_current=True), first


CI = ("ci_low", "ci_high")
KINDS = {
    "funnel_chart": Kind(charts.funnel_chart, ("step_name",), (), ("conversion_rate", *CI)),
    "interval_bars": Kind(
        lambda t: charts.interval_bars(t, category="of", value="v", title="T?", value_title="V"), ("of",), (), ("v", *CI)
    ),
    "difference_chart": Kind(
        lambda t: charts.difference_chart(t, category="of", title="T?"), ("of",), (), ("absolute_lift", *CI)
    ),
    "rates_by": Kind(
        lambda t: charts.rates_by(t, category="of", rate="r", n="n", min_cell=30, title="T?", x_title="X"),
        ("of",), (), ("r", "n", *CI),
    ),
    "forest_chart": Kind(
        lambda t: charts.forest_chart(t.assign(kind="reported"), title="T?"), ("row",), (), ("absolute_lift", *CI)
    ),
    "event_study_chart": Kind(
        lambda t: charts.event_study_chart(t, title="T?"), ("feature",), (), ("estimate", "since_switch", *CI)
    ),
    "lift_chart": Kind(
        lambda t: charts.lift_chart(t.assign(kind="success"), title="T?"), ("row",), (), ("lift", *CI, "limit")
    ),
    "effect_by_day": Kind(lambda t: charts.effect_by_day(t, title="T?"), (), (), ("lift", "day", *CI)),
    "detectable_chart": Kind(
        lambda t: charts.detectable_chart(t, title="T?"), ("metric",), (), ("relative", "days")
    ),
    "incident_chart": Kind(
        lambda t: charts.incident_chart(t, through=pd.Timestamp("2026-02-01"), annotations=LABELS),
        ("feature_id", "signal"),
        ("started_at", "ended_at"),
        ("score", "size"),
    ),
    "ratio_chart": Kind(lambda t: charts.ratio_chart(t, title="T?", x_title="X"), ("feature_id",), (), ("ratio", *CI)),
    "drift_chart": Kind(charts.drift_chart, ("column",), (), ("psi", "psi_critical")),
    "balance_chart": Kind(charts.balance_chart, ("covariate",), (), ("smd_before", "smd_after")),
    "rate_by_period": Kind(
        lambda t: charts.rate_by_period(t, period="on", rate="r", n="n", min_cell=30, title="T?", y_title="Y", annotations=LABELS),
        (), ("on",), ("r", "n", *CI),
    ),
    "active_users_chart": Kind(lambda t: charts.active_users_chart(t, annotations=LABELS), (), ("active_on",), ("dau", "wau", "mau")),
    "lifecycle_chart": Kind(
        charts.lifecycle_chart, (), ("period_on",), ("returning", "resurrected", "new", "dormant")
    ),
    "latency_chart": Kind(
        lambda t: charts.latency_chart(t, annotations=LABELS), ("feature_id",), ("observed_on",), ("p95_latency_ms",)
    ),
    "level_chart": Kind(
        lambda t: charts.level_chart(t, *_moves(t), annotations=LABELS), ("feature_id",), ("observed_on",), ("p95_latency_ms",)
    ),
    "bar_counts": Kind(
        lambda t: charts.bar_counts(t, category="of", value="v", title="T?"), ("of",), (), ("v",)
    ),
    "bar_counts by date": Kind(
        lambda t: charts.bar_counts(t, category="on", value="v", title="T?", annotations=LABELS), (), ("on",), ("v",)
    ),
    "retention_chart": Kind(
        lambda t: charts.retention_chart(t, period="day", group="cohort"),
        ("cohort",), (), ("retention_rate", "period_from", *CI),
    ),
    "cohort_matrix": Kind(
        lambda t: charts.cohort_matrix(t, period="day", min_cell=30),
        ("cohort",), (), ("retention_rate", "users", "period_from"),
    ),
    "cohort_matrix by date": Kind(
        lambda t: charts.cohort_matrix(t, period="day", min_cell=30),
        (), ("cohort",), ("retention_rate", "users", "period_from"),
    ),
    "survival_chart": Kind(
        lambda t: charts.survival_chart(t, group="group"), ("group",), (), ("survival", "time", *CI)
    ),
    "distribution_chart": Kind(
        lambda t: charts.distribution_chart(t, category="of", title="T?", x_title="X"), ("of",), (), ("share", "users")
    ),
    "matrix_chart": Kind(
        lambda t: charts.matrix_chart(
            t, x="a", y="b", value="share", title="T?", x_title="X", y_title=None, value_title="V"
        ),
        ("a", "b"), (), ("share",),
    ),
    "reliability_diagram": Kind(charts.reliability_diagram, (), (), ("observed", "predicted", "n", *CI)),
}  # fmt: skip


def table(kind: Kind, rows: int, *, names=lambda n: f"name {n}", number=lambda n: 0.3) -> pd.DataFrame:
    """A table of so many rows; days follow each other from 1 January 2026, names and numbers are made from the row's place."""
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), unit="D")
    columns = {name: pd.Series([names(n) for n in range(rows)], dtype=object) for name in kind.names} | {
        date: days for date in kind.dates
    }
    columns |= {c: [number(n) for n in range(rows)] for c in kind.numbers}
    columns |= {c: range(rows) for c in ("period_from", "time") if c in kind.numbers}
    columns |= {c: [50 + n for n in range(rows)] for c in ("users", "n") if c in kind.numbers}
    return pd.DataFrame(columns)


CASES: dict[str, Callable[[Kind], pd.DataFrame]] = {
    "no row": lambda k: table(k, 0),
    "one row": lambda k: table(k, 1),
    "one name": lambda k: table(k, 12, names=lambda n: "only"),
    "one name 5,000 times": lambda k: table(k, 5000, names=lambda n: "only"),
    "names missing": lambda k: table(k, 3, names=lambda n: None),
    "5,000 names": lambda k: table(k, 5000),
    "5,000 names alike at both ends": lambda k: table(k, 5000, names=lambda n: "x" * 40 + str(n) + "y" * 40),
    "no number": lambda k: table(k, 5, number=lambda n: None).assign(**dict.fromkeys(k.numbers)),
    "no float": lambda k: table(k, 5, number=lambda n: float("nan")),
    "infinite": lambda k: table(k, 6, number=lambda n: (np.inf, -np.inf, np.nan, 0.2, 0.0, 0.4)[n]),
    "negative": lambda k: table(k, 6, number=lambda n: -0.1 * n),
    "huge": lambda k: table(k, 6, number=lambda n: 10.0 ** (50 * n)),
    "80-character names": lambda k: table(k, 30, names=lambda n: f"{n:02} " + "W" * 77),
    "hostile names": lambda k: table(k, len(HOSTILE), names=lambda n: HOSTILE[n]),
    "5 years of days": lambda k: table(
        k, 1826, names=lambda n: f"name {n % 60}", number=lambda n: (n * 37 % 100) / 100
    ),
}


@pytest.fixture(scope="module")
def renderer():
    one = Renderer()
    yield one
    one.close()


def test_every_public_chart_is_tried():
    assert {name.split(" ")[0] for name in KINDS} == set(charts.__all__)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", KINDS)
def test_a_chart_stands_whatever_its_table_holds(renderer, name, case):
    kind = KINDS[name]
    spec = sayable(kind.call(CASES[case](kind)).to_dict())
    picture = renderer.picture(spec)
    assert picture.missing_because is None
    assert "NaN" not in picture.svg and "undefined" not in picture.svg and "<script" not in picture.svg
    assert row_count(spec) <= MOST_ROWS
    # Small charts side by side have a height each, and at most twelve stand in three columns.
    assert spec.get("height", 4 * spec.get("spec", {}).get("height", 1000)) <= 26 * 22
    assert len(json.dumps(spec)) < MOST_BYTES
    if case in ("no row", "no number", "no float"):
        words = spec["usermeta"]["instead"]
        assert (
            words in ("there are no rows", "no row has a number", "no cohort has a mature user")
            or "no feature" in words
        )


@pytest.mark.parametrize("name", KINDS)
def test_a_refused_table_says_its_own_reason_in_place_of_the_picture(renderer, name):
    kind = KINDS[name]
    refused = CASES["no number"](kind).assign(refused_because="nobody entered; state <steps>")
    spec = sayable(kind.call(refused).to_dict())
    assert spec["usermeta"]["instead"] == "nobody entered; state <steps>"
    assert "nobody entered; state &lt;steps&gt;" in renderer.picture(spec).svg
