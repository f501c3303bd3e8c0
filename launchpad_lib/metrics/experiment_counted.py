"""What was counted of an experiment, and the small arithmetic of sums in twice the precision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.metrics.experiment_clusters import Dropped
from launchpad_lib.metrics.experiment_question import Place, Question
from launchpad_lib.metrics.exposures import ExposedUnits
from launchpad_lib.metrics.kernels.exposed_sums import MOMENTS, add_moments

MOST_LEVELS = 200  # of a segment
WHOLE = ("", "")
Pair = tuple[np.ndarray, np.ndarray]
"""Sums, and what they lost of their digits."""
SPLIT = "cluster in several variants"


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Units (or clusters), values, microseconds since exposure."""


class Counted(NamedTuple):
    """What was counted of an experiment.

    `moments`: (segment property, its level; both empty for all units) -> variant -> metric x 15. `course`: variant ->
    part of a metric's window (`question.slices`) x 15. `capped`: metric -> (cap, variant -> 15) of a winsorised sum.
    `quantiles`: metric -> variant -> (units, values, microseconds since exposure). `conversions`: one row per metric
    and variant (`outcome` is the metric's place). `standing`: one row per standing and variant. `excluded`: standing ->
    metric x 15 of the units that are left out. `randomised`: variant -> units or clusters, mature or not, for the
    sample ratio. `too_many`: segment properties with more than 200 values. `read_at`: the exposure with which the plan
    was complete, microseconds since 1970. `daily`: units first exposed, variant x local day; without
    rows where clusters were assigned.
    """

    question: Question
    moments: dict[tuple[str, str], dict[str, np.ndarray]]
    course: dict[str, np.ndarray]
    capped: dict[int, tuple[float, dict[str, np.ndarray]]]
    quantiles: dict[int, dict[str, Rows]]
    conversions: pd.DataFrame
    standing: pd.DataFrame
    excluded: dict[str, np.ndarray]
    randomised: dict[str, int]
    exposed_on: tuple[Any, Any]
    refused: tuple[str | None, ...]
    too_many: tuple[str, ...]
    read_at: int | None
    daily: pd.DataFrame


def reason(four: Iterable[Place], refused: tuple[str | None, ...]) -> str | None:
    """Why a metric cannot be counted: an event of it does not occur."""
    return next((refused[p.outcome] for p in four if refused[p.outcome]), None)


def added(
    old: tuple[np.ndarray, np.ndarray] | None, more: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums in twice the precision, added."""
    if old is None:
        return more
    total = old[0] + more[0]
    back = total - old[0]
    lost = (old[0] - (total - back)) + (more[0] - back)
    return total, old[1] + more[1] + lost


def of_part(part: ExposedUnits, units: np.ndarray, place: Place, column: int) -> np.ndarray:
    """What is taken of an outcome in one part of the time since exposure: one value per unit."""
    if place.taken == "value":
        return part.of_part("part_value", units, column)
    count = part.of_part("part_count", units, column)
    return count if place.taken == "count" else np.minimum(count, 1)


def without_split(standing: pd.DataFrame, dropped: Dropped) -> pd.DataFrame:
    """Units of clusters that saw several variants are not assigned; each in the row of its own variant."""
    if not dropped.clusters:
        return standing
    assigned = standing["standing"] == "assigned"
    own = standing[assigned].set_index("variant")
    taken = [(v, *counts) for v, counts in dropped.units.items()]
    split = pd.DataFrame(taken, columns=["variant", "units", "units_immature"])
    less = split.set_index("variant").reindex(own.index).fillna(0).astype("int64")
    left = own.assign(units=own["units"] - less["units"], units_immature=own["units_immature"] - less["units_immature"])
    rows = [left[left["units"] > 0].reset_index(), split.assign(standing=SPLIT), standing[~assigned]]
    return pd.concat(rows, ignore_index=True)[["standing", "variant", "units", "units_immature"]]


def winsorised(kept: list[tuple[str, np.ndarray]], share: float) -> tuple[float, dict[str, np.ndarray]]:
    """The cap, that quantile of the values of all units that are not 0, and the moments under it."""
    values = np.concatenate([own[:, 0] for _, own in kept])
    values = values[values != 0]
    cap = float(np.quantile(values, share)) if len(values) else 0.0
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, own in kept:
        capped = own.copy()
        capped[:, [0, 2]] = np.minimum(own[:, [0, 2]], cap)
        sums, rest = np.zeros((1, 1, MOMENTS)), np.zeros((1, 1, MOMENTS))
        add_moments(np.zeros(len(own), np.int64), capped[:, None, :], sums, rest)
        found[name] = added(found.get(name), (sums[0, 0], rest[0, 0]))
    return cap, {name: a + b for name, (a, b) in found.items()}
