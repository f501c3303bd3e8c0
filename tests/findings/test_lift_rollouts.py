"""What the lift page says of a feature that was switched on by place, in worlds whose truth is known."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.lift import lift_conclusion
from launchpad_lib.findings.lift_questions import LiftRules, ask_lift
from launchpad_lib.findings.lift_results import lift_results

START, DAYS = datetime(2026, 1, 1), 70
HOSTILE = 'D<b>"K'


def log(*, effect: float, drift: float = 0.0, users: int = 1500, seed: int = 20261126) -> ibis.Table:
    """Four countries, each day a chance of 8 % to be there; NO is switched on on day 28, SE on day 42. `drift`: what NO
    gains in every week by itself.
    """
    rng, frames = np.random.default_rng(seed), []
    day = np.arange(DAYS)
    for place, on in (("NO", 28), ("SE", 42), (HOSTILE, DAYS), ("FI", DAYS)):
        chance = 0.08 + effect * (day >= on) + (drift * (day // 7) if place == "NO" else 0)
        user, at = np.nonzero(rng.random((users, DAYS)) < chance)
        frames.append(pd.DataFrame({"user": user, "day": at, "country": place}))
    rows = pd.concat(frames, ignore_index=True)
    at = np.datetime64(START, "us") + (rows["day"].to_numpy() * 24 + 7).astype("timedelta64[h]")
    return ibis.memtable(
        pd.DataFrame(
            {
                "user_id": rows["country"] + "/" + rows["user"].astype(str),
                "event_name": "open",
                "event_at": at,
                "country": rows["country"],
            }
        )
    )


def switched(**days: int) -> Feature:
    on = {name: START + timedelta(days=day) for name, day in days.items()}
    return Feature(feature_id="alerts", rollout={"by": "country", "switched_on": on})


def answered(events: ibis.Table, *features: Feature):
    rules = LiftRules(outcome_days=1, observed_through=START + timedelta(days=DAYS))
    return lift_results(events, ask_lift(events, features), rules)


def told(found) -> str:
    (finding,) = lift_conclusion(found).findings
    return finding.sentence


def test_an_effect_is_likely_and_its_doubt_is_told():
    found = answered(log(effect=0.04), switched(NO=28, SE=42, XX=42))
    row = found.reported.loc["alerts"]
    truth = (1 - 0.88**7) - (1 - 0.92**7)  # of the share that is there within seven days
    assert (row["design"], row["estimand"], row["verdict"]) == ("roll-out", "ATT", "likely helped")
    assert row["ci_low"] <= truth <= row["ci_high"]
    assert lift_conclusion(found).verdict == "Switching on alerts likely helped people come back."
    said = told(found)
    assert "The places went alike before." in said and "cannot be told apart from it" in said
    assert "Left out: XX, where nobody can be compared." in said
    assert found.estimates("roll-out", "ATT")["alerts"].value == pytest.approx(row["estimate"])


def test_no_effect_is_not_settled_where_the_data_cannot_show_it():
    said = told(answered(log(effect=0.0), switched(NO=28, SE=42)))
    assert "Not settled: a difference of 0 fits these data too" in said


def test_places_that_went_another_way_before_are_named_and_nothing_is_claimed():
    found = answered(log(effect=0.0, drift=0.02), switched(NO=28, SE=42))
    assert found.reported.loc["alerts", "verdict"] == "not settled"
    assert "before the switch, NO: these went another way already" in told(found)


def test_the_cells_are_a_table_with_places_and_dates():
    found = answered(log(effect=0.04), switched(**{"NO": 28, HOSTILE: 42}))
    cells = found.cells
    assert cells["places"].unique().tolist() == ['["NO"]', '["D<b>\\"K"]']
    assert cells["switched_on"].iloc[0] == pd.Timestamp(START + timedelta(days=28))
    assert found.event_study["since_switch"].min() < 0 <= found.event_study["since_switch"].max()


def test_a_roll_out_that_cannot_be_asked_leaves_the_verdict_to_the_trials():
    feature = switched(NO=3).model_copy(update={"start_event": "open", "complete_event": "open"})
    found = answered(log(effect=0.0, users=100), feature)
    assert found.reported.loc["alerts", "design"] == "start trials"
    sentences = [f.sentence for f in lift_conclusion(found).findings]
    assert any("for where alerts was switched on: the log begins less than two periods" in s for s in sentences)


def test_without_a_roll_out_nothing_is_said_of_one():
    feature = Feature(feature_id="alerts", start_event="open", complete_event="open")
    found = answered(log(effect=0.0, users=100), feature)
    assert "switched" not in told(found)
    for table in (found.cells, found.event_study):
        assert table["estimate"].isna().all()
        assert table["refused_because"].tolist() == [
            "not asked: no feature declares where it was switched on; give one a `rollout` under `features:`"
        ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"by": "country", "switched_on": {}}, "at least 1"),
        ({"by": "country", "switched_on": {"NO": "soon"}}, "datetime"),
        ("no mapping", "valid dictionary"),
        ({"by": "country", "switched_on": {"NO": "2026-01-01"}, "period_days": 0}, "greater than or equal to 1"),
    ],
)
def test_a_declaration_that_cannot_be_read_says_why(said, why):
    with pytest.raises(ValueError, match=why):
        Feature(feature_id="alerts", rollout=said)
