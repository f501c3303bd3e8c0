"""What the page of an experiment design says."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from launchpad_lib.contract.findings import Conclusion, Finding, conclusion
from launchpad_lib.contract.sentences import counted, named
from launchpad_lib.contract.wording import is_missing, percent
from launchpad_lib.contract.zones import zone
from launchpad_lib.findings.experiment_design import Design, DesignQuestion
from launchpad_lib.findings.rows import not_answered
from launchpad_lib.inference.design import later_rate


def design_conclusion(found: Design) -> Conclusion:
    """How small a difference the longest duration finds in the first metric, and what each further choice changes."""
    question = found.question
    if question.refused_because:
        return not_answered(question.refused_because)
    days = max(question.durations)
    rows = found.durations[found.durations["days"] == days].to_dict("records")
    known = [r for r in rows if not is_missing(r["relative"])]
    said = [
        Finding("unknown", "find out", _ended(r["refused_because"]))
        for r in rows
        if not is_missing(r["refused_because"])
    ]
    if not known:
        why = str(rows[0]["refused_because"] or "too few units would come for any arm")
        return conclusion("These data cannot plan an experiment.", said)._replace(refused_because=why)
    first = known[0]
    verdict = (
        f"{counted(days, 'day')} would find a difference of {percent(first['relative'])} in {named(first['metric'])}."
    )
    said += [Finding("fine", "nothing", _about_metric(r, days, question)) for r in known]
    said += [*_about_arrivals(found, days), *_about_looks(found)]
    return conclusion(verdict, said)


def _ended(reason: str) -> str:
    return f"No plan for {reason.rstrip('.')}."


def _about_metric(row: dict[str, Any], days: int, question: DesignQuestion) -> str:
    """One metric at the longest duration."""
    often = f"{100 * question.rules.power:g} times in 100"
    said = (
        f"{named(row['metric'])} is {row['value']:.4g} now: {counted(row['units'], 'unit')} in {counted(days, 'day')} "
        f"would find a change of {percent(row['relative'])} of it {often}"
    )
    if not is_missing(row["relative_cuped"]):
        said += f", {percent(row['relative_cuped'])} after CUPED"
    if not is_missing(row["relative_sequential"]):
        said += f", {percent(row['relative_sequential'])} where every look counts"
    return f"{said}."


def _about_arrivals(found: Design, days: int) -> list[Finding]:
    """From when on users are taken for exposed, and whether the duration lies within what the log shows."""
    base = found.base
    if base is None:
        return []
    began = base.starts_at.replace(tzinfo=UTC).astimezone(zone(found.question.report_timezone))
    when = f"As if it had begun on {began:%Y-%m-%d}: {counted(int(base.arrivals.sum()), 'unit')} came since"
    said = [Finding("fine", "nothing", f"{when}, {counted(base.immature, 'window')} not over.")]
    if days <= len(base.arrivals):
        return said
    sentence = (
        f"The log shows {counted(len(base.arrivals), 'day')} of arrivals; beyond them {later_rate(base.arrivals):,.0f} "
        "new units a day are taken, as in its last week."
    )
    return [*said, Finding("watch", "look", sentence)]


def _about_looks(found: Design) -> list[Finding]:
    if len(found.looks) < 2:
        return []
    last = found.looks.iloc[-1]
    sentence = (
        f"Read at each of {counted(len(found.looks), 'look')}, a fixed 95 % interval would call "
        f"{percent(last['fixed_false_alarms'])} of changes without effect an effect; a sequential design keeps to 5 %."
    )
    return [Finding("watch", "look", sentence)]
