"""Every cell of the result tables of the product pages, in logs made by hand: a row for each line of `golden/whole_tables.txt`.

Counts were read off the logs by hand, limits are Wilson's and Newcombe's of those counts. A changed line is read again, never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache

import pandas as pd
import pytest

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import coming_back as pages
from launchpad_lib.findings import engagement_results as engagement
from launchpad_lib.findings import feature_results as features
from launchpad_lib.findings import funnel_results as funnels
from launchpad_lib.findings import log_results
from launchpad_lib.findings import retention_results as retention
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.funnel_question import ask_funnel
from launchpad_lib.findings.funnel_reading import read_funnel
from tests.findings.hand_log import log
from tests.findings.saying import golden, rows
from tests.findings.test_engagement import MENU, QUIZ, quiz_log

THROUGH = datetime(2026, 1, 19)
LOST = Feature(feature_id="lost", start_event="gone", complete_event="done", view_event="seen", share_event="gone")
STEPS = [{"event": "cart"}, {"event": "address"}, {"event": "paid"}]


@cache
def used():
    """40 users a week open the menu, every second one does the quiz, every fourth finishes, sees and sends it twice."""
    return log(quiz_log())


@cache
def bought():
    """Of 90 users on the 5th 60 go on and 45 pay; of 60 on the 12th 30 and 10; every third user is on ios; who stops looks for help."""
    rows = []
    for week, counts in enumerate(((90, 60, 45), (60, 30, 10))):
        for user in range(counts[0]):
            name, more = f"u{week}-{user}", {"platform": "ios" if user % 3 == 0 else "web"}
            depth = sum(user < count for count in counts)
            rows += [(name, step["event"], 168 * week + k, more) for k, step in enumerate(STEPS[:depth])]
            rows += [] if depth == 3 else [(name, "help", 168 * week + depth, more)]
    return log(rows)


@cache
def returned():
    """Each day from the 5th to the 14th 12 users begin; 6 of them come the next day, 3 on the third; every second user is on ios."""
    rows = []
    for day in range(10):
        for user in range(12):
            name, more = f"d{day}-{user}", {"platform": "ios" if user % 2 else "web"}
            rows.append((name, "begin", 24 * day, more))
            rows += [(name, "act", 24 * (day + 1), more)] if user < 6 else []
            rows += [(name, "act", 24 * (day + 2), more)] if user < 3 else []
    return log(rows)


def asked(**rules):
    return ask_engagement([QUIZ, MENU, LOST], window="1d", observed_through=THROUGH, **rules)


def funnel():
    return ask_funnel(bought(), steps=STEPS, window="1d", observed_through=THROUGH, min_cell=20)


def counted():
    periods = funnels.compared_periods(funnel(), days=7)
    return read_funnel(bought(), funnel(), periods=periods, breakdown="platform")


def coming_back(**rules):
    given = {"returns": [1, 2, 4], "observed_through": THROUGH, "start_event": "begin", "min_cell": 10} | rules
    return retention.ask_retention(returned(), **given)


@cache
def came(cohort_property: str = "platform"):
    features = [Feature(feature_id="f", start_event="begin"), MENU, LOST]
    deed = {"behaviour_event": "act", "behaviour_within": "2d", "behaviour_at_least": 1}
    how = {"cohort_by": "day", "cohort_property": cohort_property, "lifecycle_period": "day", "churn_gap": "3d"}
    return pages.coming_back(returned(), coming_back(), features, **deed, **how)


@cache
def went():
    return pages.ways(returned(), coming_back(), path_anchor="begin", path_end="act")


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "adoption": lambda: features.feature_adoptions(used(), asked())[0],
    "adoption_changes": lambda: features.feature_adoptions(used(), asked(min_cell=10))[1],
    "completion": lambda: features.feature_completions(used(), asked()),
    "sharing": lambda: features.feature_sharing(used(), asked()),
    "engagement": lambda: engagement.engagement_table(
        used(), asked(), engagement.daily_adoption(used(), asked())
    ),
    "adoption_daily": lambda: engagement.daily_adoption(used(), asked()),
    "active_users": lambda: engagement.activity(used(), asked()),
    "active_days": lambda: engagement.power_users(used(), asked()),
    "frequency": lambda: engagement.how_often(used(), asked()),
    "feature_overlap": lambda: engagement.used_together(used(), asked()),
    "funnel": lambda: funnels.funnel_result(counted(), funnel()),
    "funnel_times": lambda: funnels.funnel_time_buckets(counted(), funnel()).query("users > 0"),
    "funnel_segments": lambda: funnels.funnel_segments(counted(), funnel()),
    "funnel_trend": lambda: funnels.funnel_course(counted(), funnel()),
    "funnel_changes": lambda: funnels.funnel_shift(counted(), funnel()),
    "funnel_next_events": lambda: funnels.funnel_instead(counted(), funnel()),
    "funnel_correlates": lambda: funnels.funnel_correlates(
        counted(), funnel(), funnels.funnel_result(counted(), funnel())
    ),
    "funnel_rules": lambda: funnels.funnel_by_other_rules(counted(), funnel(), funnels.funnel_result(counted(), funnel())),
    "feature_funnels": lambda: features.feature_funnels(
        read_funnel(used(), funnel(), features=[QUIZ, MENU]), [QUIZ, MENU]
    ),
    "retention": lambda: came().retention,
    "retention_cohorts": lambda: came().cohorts.head(9),
    "retention_changes": lambda: retention.retention_shift(came().cohorts, coming_back()),
    "retention_segments": lambda: came().segments,
    "feature_retention": lambda: came().features,
    "lifecycle": lambda: came().lifecycle,
    "lifetime": lambda: came().lifetimes.lifetime,
    "survival": lambda: came(cohort_property="absent").lifetimes.survival,
    "paths": lambda: went().paths,
    "transitions": lambda: went().transitions,
    "events_by_name": lambda: log_results.events_by_name(bought()),
    "funnel_events": lambda: log_results.events_by_name(bought(), names=["paid", "help"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_these_rows_in_this_order(name):
    assert rows(TABLES[name]()) == golden("whole_tables")[name]


def test_every_table_is_there_and_no_other():
    assert list(golden("whole_tables")) == list(TABLES)
