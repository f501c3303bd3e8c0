"""Parts of the product pages by themselves: how long users stay against statsmodels and scipy, what is missing for a part, copies without ids."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from scipy.stats import CensoredData, logrank
from statsmodels.duration.survfunc import SurvfuncRight

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import engagement_results as engagement
from launchpad_lib.findings import feature_results as features
from launchpad_lib.findings import retention_results as retention
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.lifecycle_results import lifetimes
from launchpad_lib.findings.quality_checks import conflict_estimate
from launchpad_lib.findings.reading import read_together
from launchpad_lib.lake import Copies
from tests.findings.hand_log import log

DAY = 24.0
THROUGH = datetime(2026, 3, 1)


def test_how_long_users_stay_has_the_limits_of_statsmodels_and_the_test_of_scipy():
    """73 users stay for some days; the last event of every seventh is on the last day, so it is not known to be gone."""
    rng = np.random.default_rng(5)
    spans = [
        (f"u{k}", "web" if k % 3 else "ios", 55.0 if k % 7 == 0 else float(rng.integers(1, 20)) + k % 3) for k in range(73)
    ]  # fmt: skip
    rows = [(u, "go", DAY * at, {"platform": p}) for u, p, span in spans for at in (0.0, span)]
    asked = retention.RetentionQuestion((1,), THROUGH, min_cell=10)
    events = log(rows)
    found = read_together(events, [lifetimes(events, asked, churn_gap="7d", cohort_property="platform")])[0].lifetime
    by_group = {
        "all users": spans,
        "web": [s for s in spans if s[1] == "web"],
        "ios": [s for s in spans if s[1] == "ios"],
    }
    for (name, own), row in zip(by_group.items(), found.to_dict("records"), strict=True):
        curve = SurvfuncRight(np.array([s[2] for s in own]), np.array([int(s[2] < 48) for s in own]))
        scope = name if name == "all users" else "group"
        assert row["scope"] == scope and (row["group"] == name or scope == name)
        assert (row["users"], row["gone"]) == (len(own), sum(s[2] < 48 for s in own))
        assert row["median_days"] == curve.quantile(0.5)
        assert (row["ci_low"], row["ci_high"]) == curve.quantile_ci(0.5)
        assert row["ci_low"] <= row["median_days"] <= row["ci_high"] and row["refused_because"] is None
    sides = [
        CensoredData(uncensored=[s[2] for s in own if s[2] < 48], right=[s[2] for s in own if s[2] >= 48])
        for own in (by_group["web"], by_group["ios"])
    ]
    assert found["log_rank_p"].iloc[0] == pytest.approx(logrank(*sides).pvalue)
    assert found["log_rank_p"].iloc[1:].isna().all()


def test_of_each_part_of_a_feature_that_is_asked_of_two_events_the_missing_one_is_named():
    events = log([("u", "go", 0.0, {"feature_id": "f"}), ("u", "sent", 1.0, {"feature_id": "f"})])
    place = {"window": "1d", "observed_through": datetime(2026, 1, 19)}
    whole = {"start_event": "go", "complete_event": "go", "view_event": "go", "share_event": "sent", "interaction_events": ("go",)}  # fmt: skip

    def reasons(*left_out: str) -> dict[str, str | None]:
        feature = Feature(feature_id="f", **{k: v for k, v in whole.items() if k not in left_out})
        asked = ask_engagement([feature], **place)
        table = engagement.engagement_table(events, asked, engagement.daily_adoption(events, asked))
        told = dict(zip(table["quantity"], table["refused_because"], strict=True))
        found = {
            "depth": told[engagement.INTERACTIONS],
            "kinds": told[engagement.KINDS],
            "shares": told[engagement.SHARES],
            "sharing": features.feature_sharing(events, asked)["refused_because"].iloc[0],
            "completion": features.feature_completions(events, asked)["refused_because"].iloc[0],
            "often": engagement.how_often(events, asked)["refused_because"].iloc[0],
        }
        return {part: reason if isinstance(reason, str) else None for part, reason in found.items()}

    nothing = dict.fromkeys(("depth", "kinds", "shares", "sharing", "completion", "often"))
    start, view, share, complete, deep = (
        f"not asked: f declares no {field}"
        for field in ("start_event", "view_event", "share_event", "complete_event", "interaction_events")
    )
    assert reasons() == nothing
    assert reasons("view_event") == nothing | {"shares": view, "sharing": view}
    assert reasons("share_event") == nothing | {"shares": share, "sharing": share}
    assert reasons("view_event", "share_event") == nothing | dict.fromkeys(("shares", "sharing"), f"{view} and no share_event")  # fmt: skip
    assert reasons("complete_event") == nothing | {"completion": complete}
    assert reasons("interaction_events") == nothing | {"depth": deep, "kinds": deep}
    assert reasons("start_event") == nothing | {"depth": start, "kinds": start, "completion": start, "often": start}


def test_copies_that_were_met_are_counted_though_other_events_came_without_ids():
    assert conflict_estimate(Copies(1, 1, made=40))[:4] == (1.0, None, None, 2)
    assert conflict_estimate(Copies(1, 0, made=40))[:4] == (0.0, None, None, 1)
    assert conflict_estimate(Copies(0, 1, made=40))[:4] == (1.0, None, None, 1)
    assert conflict_estimate(Copies(0, 0))[:4] == (0.0, None, None, 0)


def test_shares_of_viewers_that_are_all_open_say_how_many_and_by_when():
    """Three viewers an hour before the end of the data, with a window of a day."""
    rows = [(f"u{k}", name, 0.0, {"feature_id": "f"}) for k in range(3) for name in ("seen", "sent")]
    events, through = log(rows), datetime(2026, 1, 5, 10)
    feature = Feature(feature_id="f", view_event="seen", share_event="sent")
    asked = ask_engagement([feature], window="1d", observed_through=through)
    table = engagement.engagement_table(events, asked, engagement.daily_adoption(events, asked)).set_index("quantity")
    assert table.loc[engagement.SHARES, "refused_because"] == (
        "sharing: no user has been observed to the end by 2026-01-05 10:00 UTC (3 still open), so there is no rate yet;"
        " wait or ask for a shorter time"
    )
    assert table.loc[engagement.SHARES, ["value", "ci_low", "ci_high"]].isna().all()
