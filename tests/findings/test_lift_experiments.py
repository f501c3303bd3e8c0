"""What the lift page says of a feature that an experiment showed to some users only, in worlds whose truth is known."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.lift import lift_conclusion
from launchpad_lib.findings.lift_questions import LiftRules, ask_lift
from launchpad_lib.findings.lift_results import lift_results

START = datetime(2026, 1, 5)
VARIANT, CONTROL = "on <b>", "off"
SHOWN = {"experiment_id": "alerts_on", "variant": VARIANT, "control": CONTROL}


def log(*, effect: float, complies: float = 0.6, users: tuple[int, int] = (1500, 1500), seed: int = 7) -> ibis.Table:
    """On the first day everybody is exposed; of the variant `complies` set an alert an hour later; between one and two
    days after the exposure 30 % come back, and `effect` more of those who set one.
    """
    rng, rows = np.random.default_rng(seed), []
    for name, n in zip((VARIANT, CONTROL), users, strict=True):
        plan = json.dumps({"experiment_id": "alerts_on", "variant": name})
        for k in range(n):
            user, at = f"{name}{k}", START + timedelta(minutes=float(rng.uniform(0, 600)))
            rows.append((user, "experiment_exposed", at, plan))
            did = rng.random() < (complies if name == VARIANT else 0.05)
            if did:
                rows.append((user, "alert_set", at + timedelta(hours=1), "{}"))
            if rng.random() < 0.3 + effect * did:
                rows.append((user, "open", at + timedelta(hours=30), "{}"))
    return ibis.memtable(pd.DataFrame(rows, columns=["user_id", "event_name", "event_at", "properties"]))


FEATURE = Feature(feature_id="alerts", start_event="open", complete_event="alert_set", experiment=SHOWN)


def answered(events: ibis.Table, *features: Feature, days: int = 20):
    rules = LiftRules(outcome_days=1, observed_through=START + timedelta(days=days))
    return lift_results(events, ask_lift(events, features or (FEATURE,)), rules)


def rows_of(found) -> pd.DataFrame:
    return found.lifts[found.lifts["design"] == "experiment"].set_index("estimand")


def test_what_worked_is_said_to_work_and_the_compliers_effect_is_the_truth():
    found = answered(log(effect=0.25))
    rows, said = rows_of(found), lift_conclusion(found)
    assert rows.loc["ITT", "verdict"] == "worked"
    assert said.verdict == "Showing alerts worked: people came back more."
    assert rows.loc["ITT", "ci_low"] <= 0.25 * 0.55 <= rows.loc["ITT", "ci_high"]
    assert rows.loc["compliers", "ci_low"] <= 0.25 <= rows.loc["compliers", "ci_high"]
    (sentence,) = (f.sentence for f in said.findings if f.severity == "fine")
    assert "Who was shown it was drawn, so this is its effect." in sentence
    assert "1,500 users who were shown alerts and 1,500 who were not" in sentence


def test_what_hurts_is_to_be_stopped_and_no_effect_is_not_settled():
    (hurt,) = lift_conclusion(answered(log(effect=-0.25))).findings
    assert (hurt.severity, hurt.verb, hurt.users) == ("act", "stop", 1500)
    (none,) = lift_conclusion(answered(log(effect=0.0))).findings
    assert "Not settled: a difference of 0 fits these data too." in none.sentence


def test_enough_users_can_show_that_there_is_no_effect_that_matters():
    found = answered(log(effect=0.0, users=(12_000, 12_000)))
    assert rows_of(found).loc["ITT", "verdict"] == "no effect larger than"
    assert lift_conclusion(found).verdict == "Showing alerts has no effect larger than 2 points on coming back."


def test_a_broken_assignment_is_refused_and_the_trials_keep_the_verdict():
    found = answered(log(effect=0.25, users=(1500, 1200)))
    row = rows_of(found).loc["ITT"]
    assert "do not fit a share of 50.0 %" in row["refused_because"] and pd.isna(row["verdict"])
    assert found.reported.loc["alerts", "design"] == "start trials"
    assert any("from the experiment alerts_on" in f.sentence for f in lift_conclusion(found).findings)
    planned = FEATURE.model_copy(update={"experiment": FEATURE.experiment.model_copy(update={"share": 5 / 9})})
    assert rows_of(answered(log(effect=0.25, users=(1500, 1200)), planned)).loc["ITT", "verdict"] == "worked"


def test_users_of_both_variants_and_those_whose_time_is_not_over_are_in_neither_arm():
    events = log(effect=0.25).to_pandas()
    other = events[events["event_name"] == "experiment_exposed"].head(100).copy()
    other["properties"] = json.dumps({"experiment_id": "alerts_on", "variant": CONTROL})
    found = answered(ibis.memtable(pd.concat([events, other])))
    answer = found.experiments["alerts"]
    assert (answer.several, answer.variant.users, answer.control.users) == (100, 1400, 1500)
    early = answered(log(effect=0.25), days=2)
    assert early.experiments["alerts"].window_open > 0
    assert "is not over yet" in early.experiments["alerts"].refused_because


def test_an_experiment_that_nobody_saw_is_refused_with_the_nearest():
    shown = SHOWN | {"experiment_id": "alert_on"}
    found = answered(log(effect=0.0), FEATURE.model_copy(update={"experiment": type(FEATURE.experiment)(**shown)}))
    assert "'alerts_on'" in rows_of(found).loc["ITT", "refused_because"]


def test_the_experiment_outranks_the_roll_out_and_the_trials():
    days = log(effect=0.25).to_pandas().assign(country="NO")
    feature = FEATURE.model_copy(
        update={"rollout": Feature(feature_id="a", rollout={"by": "country", "switched_on": {"NO": START}}).rollout}
    )
    found = answered(ibis.memtable(days), feature)
    assert found.reported.loc["alerts", "design"] == "experiment"
    assert set(found.lifts["design"]) == {"experiment", "roll-out", "start trials", "everybody (not causal)"}


@pytest.mark.parametrize(("said", "why"), [({"share": 1.0}, "less than 1"), ({"variant": ""}, "at least 1")])
def test_a_declaration_that_cannot_be_read_says_why(said, why):
    with pytest.raises(ValueError, match=why):
        Feature(feature_id="alerts", experiment=SHOWN | said)
