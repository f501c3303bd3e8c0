"""Did it work: an experiment before a roll-out before start trials, in the words of the page that answers."""

from __future__ import annotations

from typing import Any

from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.manifest import Cell
from launchpad_lib.contract.sentences import named
from launchpad_lib.contract.wording import is_missing, points
from launchpad_lib.findings.experiments import SEVERITIES as EXPERIMENT_SEVERITIES
from launchpad_lib.findings.experiments import WORDS
from launchpad_lib.findings.lift import SEVERITIES as LIFT_SEVERITIES
from launchpad_lib.findings.rows import NOT_ASKED
from launchpad_lib.findings.scorecard_earlier import Earlier, Told, number, without_number

RESULT_AT = "result"


def worked_cell(feature: Feature, earlier: Earlier) -> Told:
    """The verdict of the lift page, which ranks its designs; where it has none, the decision of the feature's
    experiment.
    """
    told = _of_the_lift(feature, earlier)
    if told.cell.word in ("refused", NOT_ASKED):
        return _of_the_experiment(feature, earlier) or told
    return told


def _of_the_lift(feature: Feature, earlier: Earlier) -> Told:
    rows = earlier.results.tables.get("lift")
    own = None if rows is None else rows[(rows["feature_id"] == feature.feature_id) & rows["verdict"].notna()]
    if own is None or own.empty:
        return without_number(earlier.missing("retention_lift"), page="retention_lift", anchor=None)
    row, said = own.iloc[0].to_dict(), earlier.findings("retention_lift", feature.feature_id)
    severity, verb = LIFT_SEVERITIES[row["verdict"]]
    at: dict[str, Any] = {"page": "retention_lift", "anchor": (said[0].anchor if said else None) or RESULT_AT}
    if row["verdict"] in ("refused", NOT_ASKED):
        reason = str(row["refused_because"]).replace(
            "no feature declares", f"{named(feature.name)} does not declare", 1
        )
        return without_number(reason, **at)._replace(verb=verb)
    differs = points(row["estimate"], row["ci_low"], row["ci_high"])
    cell = Cell(
        word=row["verdict"],
        severity=severity,
        value=number(row["estimate"]),
        ci_low=number(row["ci_low"]),
        ci_high=number(row["ci_high"]),
        unit="points",
        n=number(row["n"]),
        says=said[0].sentence if said else f"{named(feature.name)}: {row['verdict']}, {differs}.",
        **at,
    )
    return Told(cell, verb)


def _of_the_experiment(feature: Feature, earlier: Earlier) -> Told | None:
    """The decision of the experiment that shows the feature; None where there is none to read."""
    rows = earlier.results.tables.get("experiment_overview")
    if feature.experiment is None or rows is None:
        return None
    own = rows[rows["experiment_id"] == feature.experiment.experiment_id].to_dict("records")
    if not own or own[0]["decision"] not in WORDS or own[0]["decision"] == "refused":
        return None
    word = own[0]["decision"]
    severity, verb = EXPERIMENT_SEVERITIES[word]
    variant = "" if is_missing(own[0]["variant"]) else f" {named(own[0]['variant'])}"
    experiment = named(feature.experiment.experiment_id)
    says = f"Experiment {experiment} of {named(feature.name)}:{variant} {WORDS[word]}."
    units = number(own[0]["units"])
    return Told(Cell(word=word, severity=severity, n=units, says=says, page="experiments", anchor=RESULT_AT), verb)
