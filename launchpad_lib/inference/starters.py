"""Those who started: completers against starters who did not complete, from the first start on."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

# Everything is known before the first start. The activity counts are left out of the placebo checks, whose outcomes they are.
TRAITS = ("is_web", "is_ios", "start_hour", "tenure_days")
ACTIVITY = ("active_day_share", "sessions_before", "events_last_day")


def starter_table(
    events: pd.DataFrame,
    *,
    start_event: str,
    complete_event: str,
    landmark_days: int,
    outcome_days: int,
    observed_through: datetime,
) -> pd.DataFrame:
    """Grain: one row per user with a start whose outcome window is over at `observed_through`.

    Time counts from the user's first start. Treated: completed within the landmark. Returned: active after the landmark, within
    `outcome_days`. Both groups wanted the feature and were there, so being active at all no longer tells them apart; that is
    what a comparison of completers with everybody else cannot adjust for. Left out: users who completed before their first start.

    `active_before`: active in the window of `outcome_days` that ends `landmark_days` before the start (NULL where the log does
    not reach back so far); `was_busy_before`: more events than the median in the 24 hours before. Both lie before the exposure,
    so no completion can have caused them: placebo outcomes.

    Args:
        events: user_id, event_name, event_at, platform.
    """
    landmark, outcome, day = timedelta(days=landmark_days), timedelta(days=outcome_days), timedelta(days=1)
    t0 = events[events["event_name"] == start_event].groupby("user_id")["event_at"].min().rename("t0")
    log = events.join(t0, on="user_id", how="inner")
    log["age"] = log["event_at"] - log["t0"]
    table = pd.DataFrame({"t0": t0})
    done = log[log["event_name"] == complete_event].groupby("user_id")["age"].min().reindex(table.index)
    before = log[log["age"] < timedelta(0)]
    table["treated"] = (done <= landmark).astype(int)
    table["returned"] = table.index.isin(
        log.loc[(log["age"] > landmark) & (log["age"] <= landmark + outcome), "user_id"]
    ).astype(int)
    first = events.groupby("user_id")["event_at"].min().reindex(table.index)
    platform = log.sort_values("event_at", kind="stable").groupby("user_id")["platform"].first().reindex(table.index)
    table["is_web"], table["is_ios"] = (platform == "web").astype(float), (platform == "ios").astype(float)
    table["start_hour"] = table["t0"].dt.hour + table["t0"].dt.minute / 60
    table["tenure_days"] = (table["t0"] - first) / day
    days = before["event_at"].dt.floor("D").groupby(before["user_id"]).nunique().reindex(table.index).fillna(0)
    table["active_day_share"] = days / ((table["t0"].dt.floor("D") - first.dt.floor("D")) / day + 1)
    gap = before.sort_values(["user_id", "event_at"]).groupby("user_id")["event_at"].diff()
    table["sessions_before"] = np.log1p(
        (gap.isna() | (gap > timedelta(minutes=30)))
        .groupby(before["user_id"])
        .sum()
        .reindex(table.index)
        .fillna(0)
        .astype(float)
    )
    table["events_last_day"] = np.log1p(
        before[before["age"] > -day].groupby("user_id").size().reindex(table.index).fillna(0).astype(float)
    )
    earlier = before[(before["age"] >= -landmark - outcome) & (before["age"] < -landmark)]
    reaches_back = table["t0"] - landmark - outcome >= events["event_at"].min()
    table["active_before"] = (
        pd.Series(table.index.isin(earlier["user_id"]), index=table.index).astype(float).where(reaches_back)
    )
    table["was_busy_before"] = (table["events_last_day"] > table["events_last_day"].median()).astype(float)
    is_mature = table["t0"] + landmark + outcome <= observed_through
    return table[is_mature & (done.isna() | (done >= timedelta(0)))].reset_index()
