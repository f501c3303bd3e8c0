"""The scorecard of a run: one row per declared feature, worst first, and the run in one sentence.

Nothing is judged anew: every cell repeats an earlier page in that page's words and leads to its proof. New is only that
changes of adoption and of latency are corrected together, over all features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import ceil
from typing import NamedTuple, get_args

import pandas as pd

from launchpad_lib.contract.catalogue.scorecard import CELLS, SCORECARD
from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.findings import Conclusion, Finding, Severity, conclusion
from launchpad_lib.contract.manifest import Cell, FeatureRow
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.findings import scorecard_cells as cells
from launchpad_lib.findings.rows import NO_FEATURE, NOT_ASKED, declared, not_answered
from launchpad_lib.findings.scorecard_correction import Family, family_of
from launchpad_lib.findings.scorecard_earlier import Earlier, Told
from launchpad_lib.findings.scorecard_worked import worked_cell
from launchpad_lib.metrics.compared_days import last_complete_day
from launchpad_lib.page.run_results import RunResults

ROWS, NO_DECLARED = "each-feature", "No feature is declared, so there is no scorecard."
SEVERITIES = get_args(Severity)
HEADS = {"used": "use", "worked": "the effect", "health": "health", "objective": "latency", "change": "change"}
ORDER = ("health", "objective", "worked", "change", "used")
"""Of equally grave cells this one says why a row stands where it stands."""

CLAUSES: tuple[tuple[str, str, str, str], ...] = (
    ("health", "degraded now", "{} is degraded now", "{} are degraded now"),
    ("health", "worse", "{} got slower", "{} got slower"),
    ("health", "fell silent", "{} fell silent", "{} fell silent"),
    ("worked", "hurt", "{} hurt", "{} hurt"),
    ("worked", "do not ship: harm shown", "{} did harm", "{} did harm"),
    ("change", "fell", "adoption of {} fell", "adoption of {} fell"),
    ("health", "burns its budget", "{} burns its budget", "{} burn their budgets"),
    ("objective", "", "{} is over its objective", "{} are over their objectives"),
)
"""Cell, its word (any where it is empty), and what is said of one and of several features."""


class Scorecard(NamedTuple):
    """Its rows, and how changes were corrected."""

    rows: tuple[FeatureRow, ...]
    family: Family

    @property
    def table(self) -> pd.DataFrame:
        """The table `scorecard`."""
        return declared(SCORECARD, pd.DataFrame([_flat(row) for row in self.rows], columns=_columns()))

    @property
    def judged(self) -> list[FeatureRow]:
        """The rows whose health or change could be judged."""
        return [row for row in self.rows if _is_judged(row.health) or _is_judged(row.change)]

    @property
    def needing_action(self) -> Estimate:
        """How many features need action, of those that could be judged."""
        if not self.judged:
            reason = str(self.rows[0].health.says) if self.rows else NO_FEATURE
            return refusal(f"no feature could be judged: {reason.rstrip('.')}" if self.rows else reason, n=0)
        return Estimate(float(sum(row.severity == "act" for row in self.rows)), n=len(self.judged))

    @property
    def objectives(self) -> pd.DataFrame:
        """Grain: one row per feature with a latency and an objective: feature_name, share (p95 / objective), ci_low,
        ci_high; the largest first.
        """
        cells_of = [(row.feature_name, row.objective, row.objective.limit) for row in self.rows]
        rows = [
            (name, *(None if part is None else part / limit for part in (cell.value, cell.ci_low, cell.ci_high)))
            for name, cell, limit in cells_of
            if limit and cell.value is not None
        ]
        found = pd.DataFrame(rows, columns=["feature_name", "share", "ci_low", "ci_high"])
        return found.astype({"share": float, "ci_low": float, "ci_high": float}).sort_values(
            ["share", "feature_name"], ascending=[False, True], ignore_index=True
        )


def scorecard(
    results: RunResults,
    features: Sequence[Feature],
    *,
    smallest_change: float,
    telemetry_through: datetime | None = None,
    report_timezone: str = "UTC",
) -> Scorecard:
    """One row per declared feature, worst first; a cell whose page has nothing to say says why.

    Args:
        smallest_change: a change of adoption known to be smaller counts as none.
        telemetry_through: the end of telemetry: a day that is not over then is not complete.
    """
    last_day = None if telemetry_through is None else str(last_complete_day(telemetry_through, report_timezone))
    family = family_of(results.tables.get("adoption_changes"), results.tables.get("regressions"))
    earlier = Earlier(results, family, smallest_change, last_day)
    rows = [_row(feature, earlier) for feature in features]
    return Scorecard(tuple(sorted(rows, key=_badness)), family)


def _row(feature: Feature, earlier: Earlier) -> FeatureRow:
    makers: dict[str, Callable[[Feature, Earlier], Told]] = {
        "used": cells.used_cell,
        "worked": worked_cell,
        "health": cells.health_cell,
        "objective": cells.objective_cell,
        "change": cells.change_cell,
    }
    told = {name: make(feature, earlier) for name, make in makers.items()}
    asked = [name for name in ORDER if told[name].cell.word != NOT_ASKED] or list(ORDER)
    gravest = min(asked, key=lambda name: SEVERITIES.index(told[name].cell.severity))
    used, why = told["used"].cell, told[gravest]
    fine = f"{named(feature.name)}: nothing got worse that these data could show."
    return FeatureRow(
        feature_id=feature.feature_id,
        feature_name=feature.name,
        owner_team=feature.owner_team,
        stage=feature.lifecycle_stage,
        severity=why.cell.severity,
        verb=why.verb,
        sentence=fine if why.cell.severity == "fine" else _why(feature, gravest, why.cell),
        users=None if used.value is None or used.n is None else round(used.value * used.n),
        **{name: one.cell for name, one in told.items()},
    )


def _why(feature: Feature, name: str, cell: Cell) -> str:
    """What a cell says, as a sentence that names the feature."""
    if cell.word in ("refused", NOT_ASKED, "cannot tell"):
        return f"{HEADS[name].capitalize()} of {named(feature.name)} cannot be told. {cell.says}"
    return str(cell.says)


def _cells(row: FeatureRow) -> list[Cell]:
    return [getattr(row, name) for name in ORDER]


def _badness(row: FeatureRow) -> tuple:
    """The gravest row first; then more grave cells, more users hurt, more users."""
    own = [cell.severity for cell in _cells(row) if cell.word != NOT_ASKED]
    grave = [-own.count(severity) for severity in SEVERITIES[:-1]]
    hurt = row.health.value or 0.0
    return SEVERITIES.index(row.severity), *grave, -hurt, -(row.users or 0), row.feature_id


def scorecard_conclusion(card: Scorecard, *, is_run: bool) -> Conclusion:
    """The run in one sentence; what could have been found, and what could not be judged."""
    if not card.rows:
        return not_answered(NO_FEATURE, verdict=NO_DECLARED)
    found = [*_what_could_be_found(card), *_what_is_missing(card.rows, is_run=is_run)]
    return conclusion(scorecard_verdict(card), [f._replace(anchor=ROWS) for f in found])


def scorecard_verdict(card: Scorecard) -> str:
    """At most 16 words beside names: what needs action; else what bears watching; else how little would have shown."""
    issues = _clauses(card.rows)
    if issues:
        said = "; ".join(words for words, _ in issues[:2])
        others = len({f for _, ids in issues[2:] for f in ids} - {f for _, ids in issues[:2] for f in ids})
        return f"{said[:1].upper() if said.startswith('adoption of') else said[:1]}{said[1:]}" + (
            f"; {others} more {'needs' if others == 1 else 'need'} action." if others else "."
        )
    if not card.judged:
        return "These data cannot show whether anything got worse."
    watched = [named(row.feature_name) for row in card.rows if row.severity == "watch"]
    if watched:
        return f"Nothing is shown to need action; look at {listed(watched, most=2)}."
    return f"Nothing got worse that these data could show{_smallest(card.family)}{_untold(card)}."


def _untold(card: Scorecard) -> str:
    """What nothing is known of, so that silence about it is not read as good news: the first of health, latency and
    adoption.
    """
    for name, what in (("health", "health"), ("change", "adoption")):
        own = [getattr(row, name) for row in card.rows]
        asked = [cell for cell in own if cell.word != NOT_ASKED]
        missing = sum(not _is_judged(cell) for cell in asked)
        if missing:
            return f"; {what} {'' if missing == len(asked) else f'of {missing} '}cannot be told"
        is_latency = name == "health" and card.family.latency is None
        if is_latency and any(row.objective.word != NOT_ASKED for row in card.rows):
            return "; latency cannot be told"
    return ""


def _clauses(rows: Iterable[FeatureRow]) -> list[tuple[str, list[str]]]:
    """What is said of the features that need action: each once, by the gravest of its cells."""
    by_clause: dict[int, list[FeatureRow]] = {}
    for row in rows:
        if row.severity == "act":
            place = next(i for i, (cell, word, _, _) in enumerate(CLAUSES) if _matches(getattr(row, cell), word))
            by_clause.setdefault(place, []).append(row)
    said = []
    for place in sorted(by_clause):
        own, (_, _, one, several) = by_clause[place], CLAUSES[place]
        names = listed([named(row.feature_name) for row in own], most=2)
        words = (one if len(own) == 1 else several).replace("{}", names)
        said.append((words, [row.feature_id for row in own]))
    return said


def _matches(cell: Cell, word: str) -> bool:
    return cell.severity == "act" and word in ("", cell.word)


def _is_judged(cell: Cell) -> bool:
    return cell.word not in (NOT_ASKED, "refused", "cannot tell")


def _smallest(family: Family) -> str:
    parts = [f"{ceil(100 * family.adoption)} points of adoption"] if family.adoption is not None else []
    parts += [f"{ceil(100 * (family.latency - 1))} % of latency"] if family.latency is not None else []
    return f": {', '.join(parts)}" if parts else ""


def _what_could_be_found(card: Scorecard) -> list[Finding]:
    """How changes were corrected, and the smallest that would be found 8 times in 10 in every feature judged."""
    family = card.family
    if not family.q:
        return []
    parts = [f"a fall of adoption by {ceil(100 * family.adoption)} points"] if family.adoption is not None else []
    parts += [f"a rise of p95 latency by {ceil(100 * (family.latency - 1))} %"] if family.latency is not None else []
    would = (
        f"; {' or '.join(parts)} would be found 8 times in 10 in every feature that could be judged" if parts else ""
    )
    tests = f"{counted(len(family.q), 'test')} of change of adoption and latency"
    return [Finding("fine", "nothing", f"Together {tests} are corrected after Benjamini and Hochberg at 5 %{would}.")]


def _what_is_missing(rows: Sequence[FeatureRow], *, is_run: bool) -> list[Finding]:
    """Columns that no page could fill for any feature; one sentence, whatever the number of features."""
    gone: dict[str, list[str]] = {}
    for name, words in HEADS.items():
        own = [getattr(row, name) for row in rows]
        if all(cell.word == "refused" for cell in own):
            gone.setdefault(str(own[0].says), []).append(words)
    if not gone and is_run:
        return []
    said = [f"{listed(words, most=5).capitalize()} cannot be told of any feature. {why}" for why, words in gone.items()]
    return [Finding("unknown", "find out" if is_run else "wait", words) for words in said]


def _columns() -> list[str]:
    return [column.name for column in SCORECARD.columns]


def _flat(row: FeatureRow) -> dict:
    """A row as columns of the table."""
    found = row.model_dump(exclude=set(CELLS))
    for name in CELLS:
        cell = getattr(row, name)
        found[name] = cell.word
        found |= {f"{name}_{part}": getattr(cell, part) for part in _PARTS}
    return found | {"objective_limit": row.objective.limit}


_PARTS = ("severity", "value", "ci_low", "ci_high", "n", "says", "page", "anchor")
