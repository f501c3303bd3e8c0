"""One row per feature: worse, healthy, or not to be told; from changes and silence together."""

from __future__ import annotations

import pandas as pd

from launchpad_lib.contract.wording import is_missing

LARGEST_BLIND_RATIO = 2.0
"""Data that would miss a doubling cannot call a feature healthy."""

STATE_COLUMNS = (
    "feature_id", "state", "since", "users", "p95_before_ms", "p95_after_ms", "detectable_ratio", "reason",
)  # fmt: skip


def health_table(regressions: pd.DataFrame, silence: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature with telemetry or declared, by feature.

    *worse*: a regression was found. *cannot tell*: silent, not judged, or a doubling would have been missed. *healthy*:
    judged, and no regression was found. `users`: what the later window was counted in.

    Args:
        regressions: of `inference.regression_table`. silence: of `trends.silence_table`.
    """
    together = silence.merge(regressions, on="feature_id", how="outer").sort_values("feature_id")
    rows = []
    for row in together.to_dict("records"):
        state, since, reason = _state(row)
        numbers = (_number(row, c) for c in ("units_after", "before", "after", "detectable_ratio"))
        rows.append((row["feature_id"], state, since, *numbers, reason))
    table = pd.DataFrame(rows, columns=list(STATE_COLUMNS))
    return table.assign(since=pd.to_datetime(table["since"]), users=table["users"].astype("Int64"))


def _state(row: dict) -> tuple[str, pd.Timestamp | None, str]:
    if _true(row, "is_silent"):
        return "cannot tell", row["last_on"] + pd.Timedelta(days=1), f"no telemetry after {row['last_on']:%Y-%m-%d}"
    if _true(row, "is_regression"):
        return "worse", row["shift_on"], f"level of the daily p95 latency times {row['shift_ratio']:.2f}"
    if not _true(row, "is_judged"):
        told = [row.get(c) for c in ("shift_refused", "refused_because") if not is_missing(row.get(c))]
        return "cannot tell", None, str(told[0]) if told else "no telemetry with a latency"
    rise = 100 * (row["detectable_ratio"] - 1)
    if row["detectable_ratio"] > LARGEST_BLIND_RATIO:
        return "cannot tell", None, f"a rise of less than {rise:.0f} % would be missed"
    return "healthy", None, f"no rise was found; one of {rise:.0f} % would be, 8 times in 10"


def _true(row: dict, name: str) -> bool:
    return not is_missing(row.get(name)) and bool(row[name])


def _number(row: dict, name: str) -> float | None:
    return None if is_missing(row.get(name)) else row[name]
