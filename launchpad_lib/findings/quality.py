"""What the data quality page says: which checks need a look, and what drifted, went or came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from launchpad_lib.contract.findings import Conclusion, Finding, Severity, Verb, conclusion, refused_conclusion
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import is_missing
from launchpad_lib.findings.quality_checks import DRIFT, GAPS, REFUSED, Check

KINDS: dict[str, tuple[Severity, Verb]] = {
    "fine": ("fine", "nothing"),
    "changed": ("watch", "look"),
    "cannot tell": ("unknown", "find out"),
    "not asked": ("unknown", "declare"),
}
GRAVE = ("records lost",)
MOST_SHOWN = 5


def quality_conclusion(
    checks: Sequence[Check],
    drift: pd.DataFrame,
    *,
    events_through: datetime | None,
    telemetry_through: datetime | None,
) -> Conclusion:
    """The verdict counts the checks that need a look; each check, each drifted column and the end of the data is a
    finding.

    Args:
        drift: of `drift_of`. events_through, telemetry_through: the last instant that each table covers.
    """
    if events_through is None and telemetry_through is None and all(c.verdict != "changed" for c in checks):
        return refused_conclusion("No row came in, so nothing can be checked.")
    return conclusion(
        quality_verdict(checks),
        [
            *what_checks_say(checks),
            *what_drifted(drift),
            *what_came_and_went(drift),
            *what_could_not_be_compared(drift),
            data_end(events_through, telemetry_through),
        ],
    )


def quality_verdict(checks: Sequence[Check]) -> str:
    """At most 16 words: which checks need a look, and how many could not be made."""
    changed = [c.check for c in sorted(checks, key=lambda c: c.check not in GRAVE) if c.verdict == "changed"]
    unmade = sum(c.verdict == "cannot tell" for c in checks)
    if changed:
        verb = "needs" if len(changed) == 1 else "need"
        return f"{len(changed)} of {counted(len(checks), 'check')} {verb} a look: {listed(changed, most=2)}."
    missed = f"; {counted(unmade, 'check')} could not be made" if unmade else ""
    return f"The data pass every check that could be made{missed}."


def what_checks_say(checks: Sequence[Check]) -> list[Finding]:
    """One finding per check; what was lost for good is the gravest. Drift that cannot be told is told by column."""
    found = []
    for check in checks:
        if check.check == "drifted columns" and check.verdict == "cannot tell":
            continue  # the columns that could not be compared are told one by one
        is_grave = check.verdict == "changed" and check.check in GRAVE
        kind: tuple[Severity, Verb] = ("act", "find out") if is_grave else KINDS[check.verdict]
        found.append(Finding(*kind, check.sentence, anchor=check.anchor))
    return found


def what_drifted(drift: pd.DataFrame) -> list[Finding]:
    """One finding per drifted column and aspect, at most five, most surprising first."""
    moved = drift[drift["is_drifted"].eq(True)]
    if moved.empty:
        return []
    moved = moved.assign(q_value=moved["q_value"].astype(float)).sort_values(["q_value", "table_name", "column"])
    found = []
    for row in moved.head(MOST_SHOWN).to_dict("records"):
        what = "The share of missing values of" if row["aspect"] == "missing" else "The values of"
        sentence = (
            f"{what} {named(row['column'])} in {row['table_name']} moved: {row['reference']} before,"
            f" {row['current']} now; adjusted p {_p_words(row['q_value'])}."
        )
        found.append(Finding("watch", "look", sentence, anchor=DRIFT))
    if len(moved) > MOST_SHOWN:
        rest = counted(len(moved) - MOST_SHOWN, "further difference")
        found.append(Finding("watch", "look", f"The table of drift names {rest}.", anchor=DRIFT))
    return found


def _p_words(p: float) -> str:
    return "under 0.0001" if p < 0.0001 else f"{p:.2g}"


def what_came_and_went(drift: pd.DataFrame) -> list[Finding]:
    """Values that were never there before, and values that are there no more; a fact, whatever a test says."""
    found = []
    for row in drift.to_dict("records"):
        for name, said in (("new_values", "New values of"), ("vanished_values", "No longer there, of")):
            if not is_missing(row.get(name)):
                sentence = f"{said} {named(row['column'])} in {row['table_name']}: {row[name]}."
                found.append(Finding("watch", "look", sentence, anchor=DRIFT))
    return found[: 2 * MOST_SHOWN]


def what_could_not_be_compared(drift: pd.DataFrame) -> list[Finding]:
    """Watched columns without an answer, and why."""
    rows = drift[drift["refused_because"].notna()]
    if rows.empty:
        return []
    why = [f"{named(r['column'])} of {r['table_name']} ({r['refused_because']})" for r in rows.to_dict("records")]
    why = [w.replace(" of none (", " (") for w in why]
    return [Finding("unknown", "wait", f"Drift cannot be told for {listed(why)}.", anchor=DRIFT)]


def data_end(events_through: datetime | None, telemetry_through: datetime | None) -> Finding:
    """Where the data end; how old that makes them is for the reader to judge."""
    ends = [
        f"{name} {'are' if name == 'events' else 'is'} covered through {at:%Y-%m-%d %H:%M} UTC"
        for name, at in (("events", events_through), ("telemetry", telemetry_through))
        if at is not None
    ]
    if not ends:
        return Finding("unknown", "find out", "No table covers any instant.", anchor=REFUSED)
    missing = [n for n, at in (("events", events_through), ("telemetry", telemetry_through)) if at is None]
    said = "; ".join(ends)
    none = f"; there are no {missing[0]}" if missing == ["events"] else "; there is no telemetry" if missing else ""
    return Finding("fine", "nothing", f"{said[:1].upper()}{said[1:]}{none}.", anchor=GAPS)
