"""The scorecard: one row per declared feature, its cells flattened."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.catalogue.product_columns import columns
from launchpad_lib.contract.tables import Column

CELLS = {
    "used": "share of the users active in the last complete week who used it",
    "worked": "did it work: the verdict word of the lift page (experiment before roll-out before start trials)",
    "health": "state word of the health pages; its value counts the users hurt",
    "objective": "p95 latency of the last window, beside the declared objective",
    "change": "adoption of the last complete week minus that of the week before",
}
"""What each cell of a row says."""

_OF_A_CELL = (
    ("", "string", "verdict word, state word or shown value; not asked; refused"),
    ("severity", "string", "act, watch, unknown, fine"),
    ("value", "float64", "the number"),
    ("ci_low", "float64", "lower 95 % limit"),
    ("ci_high", "float64", "upper 95 % limit"),
    ("n", "float64", "denominator"),
    ("says", "string", "one sentence; where refused, the reason"),
    ("page", "string", "notebook that proves it"),
    ("anchor", "string", "heading on that page"),
)

SCORECARD = ResultTable(
    "scorecard",
    "one row per declared feature, worst first; changes of adoption and of latency are corrected together over all "
    "features and both metrics (Benjamini-Hochberg at 5 %), verdict words keep the stricter correction of their page",
    (
        *columns("string", feature_id="the feature", feature_name="what people call it", owner_team="who answers"),
        *columns("string", stage="alpha, beta, ga, sunset", severity="the gravest of the cells that were asked"),
        *columns("string", verb="what to do", sentence="why it stands where it stands"),
        *columns("int64", users="used by in the last complete week"),
        *(
            Column(f"{cell}_{part}".rstrip("_"), kind, False, f"{text}: {words}")  # type: ignore[arg-type]
            for cell, words in CELLS.items()
            for part, kind, text in _OF_A_CELL
        ),
        *columns("float64", objective_limit="the declared objective, ms"),
    ),
)

READS = (
    "adoption", "adoption_changes", "adoption_daily", "lift", "experiment_overview", "health", "states", "regressions",
    "latency_daily",
)  # fmt: skip
"""The result tables of earlier notebooks that a scorecard is made of."""

FEATURES_NEEDING_ACTION = Metric(
    name="features_needing_action",
    label="Features that need action",
    question="How many features need somebody now?",
    numerator="features of which an earlier page says that somebody should act (degraded now, worse, silent, a budget "
    "that burns, surely over the objective, shown to hurt, adoption shown to fall)",
    denominator="declared features whose health or change could be judged",
    interval="",
    unit="count",
    direction="lower",
    maturity="Changes of all features and metrics are corrected together (Benjamini and Hochberg, 5 %)",
    source="definitions, Rules for every metric",
)
METRICS: tuple[Metric, ...] = (FEATURES_NEEDING_ACTION,)
TABLES: tuple[ResultTable, ...] = (SCORECARD,)
