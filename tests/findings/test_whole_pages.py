"""Every finding of a page in one world, with severity, verb, heading, feature, users and date: nothing said more, less or elsewhere.

The worlds are made of counts by hand; `golden/whole_pages.txt` was read against them, line by line. A changed line is read again,
never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest

from launchpad_lib.contract.findings import Conclusion, conclusion
from launchpad_lib.findings.lift import lift_apart, lift_conclusion
from launchpad_lib.findings.lift_results import LiftResults
from tests.findings import test_cohorts as cohorts
from tests.findings import test_funnels as funnels
from tests.findings import test_latency_findings as latency
from tests.findings import test_lift_sentences as lift
from tests.findings import test_quality_findings as quality
from tests.findings import test_risk_findings as risk
from tests.findings.saying import golden

THROUGH = datetime(2026, 2, 2)
STATES = pd.DataFrame(
    {
        "period_on": ["2026-01-01", "2026-01-02", "2026-01-03"], "is_complete": [True, True, False], "active": [5, 1200, 9], "new": [5, 700, 1],
        "returning": [0, 400, 1], "resurrected": [0, 100, 1], "dormant": [0, 50, 2], "refused_because": None,
    }
)  # fmt: skip
EIGHT = (
    lift.HELPED, lift.HURT, lift.OPEN, lift.REFUSED, lift.NONE, lift.HELPED | {"is_asked": False}, lift.HELPED | {"checks": ["fails", "passes"]},
    lift.HELPED | {"survives": False},
)  # fmt: skip


def segments() -> pd.DataFrame:
    early = {"fewer": (90, 30), "paid within 1 day": (60, 40)}
    apart = cohorts.segment_rows("platform", {"web": (100, 20), "ios": (100, 70)})
    return pd.concat([apart, cohorts.segment_rows(cohorts.results.EARLY_DEED, early, period=3)], ignore_index=True)


def slow_features() -> Conclusion:
    rows = [
        latency.standing("checkout", annotation="deployment: checkout release"), latency.feature("search"), latency.unjudged("map"),
        latency.standing("cart", shift_probability=0.62), latency.feature("quiz"),
    ]  # fmt: skip
    gone = latency.silence("checkout", "search", "map", "cart", "quiz", silent=("quiz",))
    burning = [
        latency.burn("checkout", alert=True),
        latency.burn("search", alert=False),
        latency.burn("map", alert=None),
    ]
    return latency.said(rows, gone, latency.budgets(*burning))


def eight_features() -> LiftResults:
    return lift.results(*(kind | {"name": name} for kind, name in zip(EIGHT, "abcdefgh", strict=True)))


WORLDS: dict[str, Callable[[], Conclusion]] = {
    "cohorts, worse": lambda: cohorts.told(
        cohorts=cohorts.cohort_rows([99] * 7 + [60] * 6 + [30] * 7), segments=segments(), states=STATES,
        lifetime=cohorts.lifetime_rows(12.5, 0.01, 2), start_event="cart", names=("cart",),
    ),
    "cohorts, better": lambda: cohorts.told(
        cohorts.GOOD | {(7, 7): (0, 0)}, cohorts=cohorts.cohort_rows([99] * 7 + [30] * 6 + [60] * 7),
        segments=cohorts.segment_rows("platform", {"web": (100, 50), "ios": (100, 51)}), lifetime=cohorts.lifetime_rows(None, 0.5, 3),
    ),
    "cohorts, nobody": lambda: cohorts.told(
        {(1, 1): (0, 0), (7, 7): (0, 0), (1, 7): (0, 0)}, cohorts=cohorts.cohort_rows([50] * 8)
    ),
    "funnels, steady": lambda: funnels.told((100, 60, 50), THROUGH),
    "funnels, better": lambda: funnels.told(
        (100, 75, 52), THROUGH, segments=(("web", 60, 50), ("ios", 40, 10)), change=((400, 200), (400, 280)), window=None
    ),
    "funnels, worse": lambda: funnels.told(
        (100, 60, 50), THROUGH, segments=(("web", 60, 30), ("ios", 9, 5)), change=((400, 280), (400, 200)), nexts=(("help", 0.5), ("home", 0.5))
    ),
    "lift of eight features": lambda: lift_conclusion(eight_features()),
    "lift of eight features, each under its heading": lambda: conclusion(
        ", ".join(f"{part.heading} at {part.anchor}" for part in lift_apart(eight_features())),
        [finding for part in lift_apart(eight_features()) for finding in part.findings],
    ),
    "latency, slow": slow_features,
    "latency, steady": lambda: latency.said([latency.feature("search")]),
    "quality, faults": lambda: quality.said(
        quality.refused_check(quality.Intake(301, 5)), quality.gap_check(quality.GAPS), quality.copy_check(quality.Copies(300, 2)),
        *quality.arrival_checks(quality.ARRIVED, quality.RESTATED), quality.placeholder_check(quality.PLACEHOLDERS, rows=1000),
        found=quality.drift(quality.MOVED, quality.BLIND),
    ),
    "quality, good": lambda: quality.said(
        quality.refused_check(quality.Intake(305, 1)), quality.gap_check(quality.NO_GAPS), quality.copy_check(quality.Copies(0, 0))
    ),
    "risk, one degraded": lambda: risk.said(
        risk.states(("a", "degraded now"), ("b", "healthy"), ("c", "cannot tell"), ("d", "not asked")), risk.evaluated(),
        risk.ranked(("b", 1, 1), ("c", 2, 3)), called={"a": "Alpha"},
    ),
    "risk, healthy": lambda: risk.said(
        risk.states(("a", "healthy"), ("b", "healthy")), risk.evaluated(), risk.ranked(("a", 1, 2), ("b", 1, 2))
    ),
}  # fmt: skip


def read(said: Conclusion) -> list[str]:
    """The verdict, why it is refused if it is, and a line for each finding."""
    rest = [f"refused: {said.refused_because}"] if said.refused_because else []
    about = ("severity", "verb", "anchor", "feature_id", "users", "since", "sentence")
    return [said.verdict, *rest, *(" | ".join(str(getattr(f, name)) for name in about) for f in said.findings)]


@pytest.mark.parametrize("name", WORLDS)
def test_a_page_says_this_and_nothing_else(name):
    assert read(WORLDS[name]()) == golden("whole_pages")[name]


def test_every_world_is_told_and_no_other():
    assert list(golden("whole_pages")) == list(WORLDS)
