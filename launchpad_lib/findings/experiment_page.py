"""The whole experiments page: all experiments that are asked about, their tables put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Apart, Conclusion
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.experiment_overview import overview
from launchpad_lib.findings.experiment_plans import ExperimentPlan
from launchpad_lib.findings.experiment_results import ExperimentResults, experiment_results
from launchpad_lib.findings.experiments import experiments_apart, experiments_conclusion

ROW_CELLS = 24


class ExperimentsPage(NamedTuple):
    """Every experiment by itself, and their tables put together (`contract.catalogue.experiments`)."""

    each: tuple[ExperimentResults, ...]

    @property
    def conclusion(self) -> Conclusion:
        """The verdict and all findings."""
        return experiments_conclusion(self.each)

    @property
    def apart(self) -> list[Apart]:
        """All findings of each of several experiments."""
        return experiments_apart(self.each)

    @property
    def overview(self) -> pd.DataFrame:
        """One row per experiment."""
        return overview(self.each)

    @property
    def rows(self) -> pd.DataFrame:
        """The table `experiments`."""
        return self._together(lambda one: one.rows)

    @property
    def units(self) -> pd.DataFrame:
        """The table `experiment_units`."""
        return self._together(lambda one: one.units)

    @property
    def estimates(self) -> pd.DataFrame:
        """The table `experiment_estimates`."""
        return self._together(lambda one: one.estimates)

    @property
    def segments(self) -> pd.DataFrame:
        """The table `experiment_segments`."""
        return self._together(lambda one: one.segments)

    @property
    def days(self) -> pd.DataFrame:
        """The table `experiment_days`."""
        return self._together(lambda one: one.days)

    @property
    def lifts(self) -> dict[str, Estimate]:
        """First success metrics that are shares of units, by variant."""
        return self._named(lambda one: one.lifts, is_rate=True)

    @property
    def mean_lifts(self) -> dict[str, Estimate]:
        """First success metrics that are means, ratios or quantiles."""
        return self._named(lambda one: one.lifts, is_rate=False)

    @property
    def relative_lifts(self) -> dict[str, Estimate]:
        """The same relative to the control."""
        return self._named(lambda one: one.relative_lifts)

    @property
    def detectable_lifts(self) -> dict[str, Estimate]:
        """What the units would find; of shares."""
        return self._named(lambda one: one.detectable_lifts, is_rate=True)

    @property
    def sample_ratios(self) -> dict[str, Estimate] | Estimate:
        """The split of each experiment."""
        if len(self.each) == 1:
            return self.each[0].sample_ratio
        return {str(one.plan.experiment_id): one.sample_ratio for one in self.each}

    @property
    def forest(self) -> pd.DataFrame:
        """Grain: one row per line of the chart: row, kind (the role), lift, ci_low, ci_high and limit, in parts of the
        control's value; decisions first.
        """
        drawn = []
        for one in self.each:
            base = one.rows[one.rows["variant"] == one.plan.control].set_index("metric")["value"].to_dict()
            for r in one.rows[one.rows["lift"].notna()].to_dict("records"):
                size = abs(base.get(r["metric"]) or 0.0)
                if size == 0 or one.ratio.is_mismatch:
                    continue
                # Several experiments: the name of each is part of the row.
                of = f"{named(one.plan.experiment_id, cells=ROW_CELLS)}, " if len(self.each) > 1 else ""
                words = named(r["metric"], cells=ROW_CELLS)
                if len(one.decisions) > 1:
                    words += f": {named(r['variant'], cells=ROW_CELLS)}"
                way = -1 if r["direction"] == "increase" else 1
                lift = [float("nan") if pd.isna(r[c]) else r[c] / size for c in ("lift", "ci_low", "ci_high")]
                drawn.append((f"{of}{words}", r["role"], *lift, way * _part(r, size)))
        frame = pd.DataFrame(drawn, columns=["row", "kind", "lift", "ci_low", "ci_high", "limit"])
        return frame.astype({name: float for name in ("lift", "ci_low", "ci_high", "limit")})

    @property
    def courses(self) -> dict[str, pd.DataFrame]:
        """Of every experiment the title of its chart, and the first success metric of its best variant by days since
        exposure; without rows where that has no course.
        """
        found = {}
        for one in self.each:
            best = one.decisions[0].variant if one.decisions else None
            own = one.days[(one.days["variant"] == best) & (one.days["metric"] == one.plan.metric_name)]
            of = f"{named(one.plan.experiment_id, cells=ROW_CELLS)}: does" if len(self.each) > 1 else "Does"
            rows = own if own["lift"].notna().any() and not one.ratio.is_mismatch else own.head(0)
            found[f"{of} the difference last?"] = rows.assign(day=rows["day_from"])
        return found

    def _together(self, part: Callable[[ExperimentResults], pd.DataFrame]) -> pd.DataFrame:
        frames = [part(one) for one in self.each]
        filled = [f for f in frames if len(f)] or frames[:1]
        return pd.concat(filled, ignore_index=True)

    def _named(
        self, part: Callable[[ExperimentResults], dict[str, Estimate]], *, is_rate: bool | None = None
    ) -> dict[str, Estimate]:
        chosen = [one for one in self.each if is_rate is None or one.is_rate == is_rate]
        if len(self.each) == 1:
            return part(chosen[0]) if chosen else {}
        return {f"{one.plan.experiment_id}: {v}": e for one in chosen for v, e in part(one).items()}


def _part(row: dict, size: float) -> float:
    """The margin as a part of the control's value; NaN where there is none."""
    if pd.notna(row["relative_margin"]):
        return float(row["relative_margin"])
    return float("nan") if pd.isna(row["margin"]) else float(row["margin"]) / size


def experiments_page(events: ir.Table, plans: Sequence[ExperimentPlan]) -> ExperimentsPage:
    """Every experiment that is asked about, from one reading of the log each."""
    return ExperimentsPage(tuple(experiment_results(events, plan) for plan in plans))
