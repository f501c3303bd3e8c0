"""What the experiments page says of exposed units: how many are compared, who is left out, and whether that is fair."""

from __future__ import annotations

from launchpad_lib.contract.findings import Finding
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import is_missing
from launchpad_lib.findings.experiment_results import ExperimentResults
from launchpad_lib.findings.experiment_words import is_share, left_out, share_left_out
from launchpad_lib.inference import sample_ratio_mismatch
from launchpad_lib.inference.sample_ratio import ALERT_P

MIXED_TESTED = 30  # fewer could not show it
RATIO_RARE = 0.01
ALL_BUT, NEXT_TO_NONE = 0.9, 0.01


def about_units(found: ExperimentResults) -> list[Finding]:
    """Who is exposed and not compared, and when the others were exposed."""
    said = []
    out = left_out(found)
    if out:
        said.append(
            Finding("watch", "look", f"Left out of every rate: {listed(out, most=5)}; {share_left_out(found)}.")
        )
        said += _about_mixed(found)
    if found.units.empty:
        return said
    assigned = found.units[found.units["standing"] == "assigned"]
    first, last = found.exposed_on
    # Of what was counted elsewhere nobody knows when.
    when = "are compared" if is_missing(first) else f"were first exposed{_on(f'{first:%Y-%m-%d}', f'{last:%Y-%m-%d}')}"
    sentence = f"{counted(assigned['units'].sum(), 'unit')} of {counted(len(assigned), 'variant')} {when}"
    still_open = int(assigned["units_immature"].sum())
    if still_open:
        sentence += f"; the window of {found.plan.within} is not over for {still_open:,}, which are in no rate"
    elif found.plan.immature_units == "count":
        sentence += f"; all count, with what they did within {found.plan.within} or until the log ended"
    return [*said, Finding("fine", "nothing", f"{sentence}.")]


def _about_mixed(found: ExperimentResults) -> list[Finding]:
    """Whether it hangs on the variant who sees another one, and so is left out: those who stay are then not alike."""
    units, plan = found.units, found.plan
    mixed = units[(units["standing"] == "several variants") & units["variant"].isin(found.assigned["variant"])]
    seen = {r.variant: int(r.units) for r in mixed.itertuples()}
    variants = sorted(found.assigned["variant"])
    first = [seen.get(v, 0) for v in variants]
    if sum(first) < MIXED_TESTED or len(variants) < 2:
        return []
    ratio = sample_ratio_mismatch(first, weights=[plan.shares[v] for v in variants] if plan.shares else None)
    if not ratio.is_mismatch:
        return []
    told = listed([f"{named(v)} {n:,}" for v, n in zip(variants, first, strict=True)])
    sentence = (
        f"Who saw several variants hangs on the first of them ({told}), so leaving them out leaves arms that are not "
        "alike; see how units are told apart."
    )
    return [Finding("watch", "look", sentence)]


def _on(first: str, last: str) -> str:
    return f" on {first}" if first == last else f" between {first} and {last}"


def about_ratio(found: ExperimentResults) -> Finding:
    """Whether units were assigned as planned; where no plan is declared, against what they were tested."""
    plan = "the planned split" if found.plan.shares else "an equal split, since no shares are planned"
    p = found.ratio.p_value
    told = "under 0.001" if p is not None and p < 0.001 else f"{p:.3f}"
    whose = f"numbers of {found.plan.counted_as}s"
    if p is not None and p < RATIO_RARE:
        sentence = (
            f"The {whose} are rare under {plan}: p = {told}, though not under the limit of {ALERT_P} at which nothing "
            "is decided; see how they were assigned."
        )
        return Finding("watch", "look", sentence)
    return Finding("fine", "nothing", f"The {whose} do not contradict {plan}: p = {told}.")


def only_one_can(found: ExperimentResults) -> list[Finding]:
    """Success metrics that nearly all of one arm do and nearly nobody of the other: more likely part of what is shown
    than what people do.
    """
    if found.not_yet:
        return []
    values = found.rows[found.rows["role"] == "success"].pivot(index="metric", columns="variant", values="value")
    apart = [
        named(metric)
        for metric, own in values.iterrows()
        if is_share(found.plan, str(metric)) and own.max() >= ALL_BUT and own.min() <= NEXT_TO_NONE
    ]
    if not apart:
        return []
    sentence = (
        f"Nearly all of one arm and nearly nobody of another did {listed(apart)}: that may be part of what the variant "
        "shows, which says nothing of what people do; decide by what both arms can do."
    )
    return [Finding("watch", "look", sentence)]
