"""What the lift page says, in worlds whose truth is known and with names that data can hold.

Expected verdicts are the rules of the definitions (Retention lift, points 4 and verdict words), applied by hand.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.findings import VERDICTS
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.lift import lift_conclusion
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules, ask_lift
from launchpad_lib.findings.lift_results import LiftResults, lift_results
from launchpad_lib.findings.lift_verdicts import lift_verdict
from tests.findings.hostile_names import NAMES, holds_the_rules_of_a_verdict

START, DAY = datetime(2026, 1, 5), timedelta(days=1)
RULES = LiftRules(1, START + 10 * DAY)


class Limits(NamedTuple):
    """What a verdict reads of an effect."""

    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None
    refused_because: str | None


def effect(low: float | None, high: float | None) -> Limits:
    middle = None if low is None else (low + high) / 2
    return Limits(middle, low, high, None if middle is not None else "30 are needed")


@pytest.mark.parametrize(
    ("low", "high", "checks", "survives", "verdict"),
    [
        (0.02, 0.10, ["passes", "passes"], True, "likely helped"),
        (-0.10, -0.02, ["passes", "passes"], True, "likely hurt"),
        (0.02, 0.10, ["passes", "passes"], False, "not settled"),
        (-0.10, -0.02, ["passes", "passes"], False, "not settled"),
        (0.02, 0.10, ["passes", "too wide to tell"], True, "not settled"),
        (0.02, 0.10, ["passes", "cannot be checked"], True, "not settled"),
        (0.02, 0.10, ["fails", "passes"], True, "not settled"),
        (0.02, 0.10, [], True, "not settled"),
        (-0.01, 0.10, ["passes", "passes"], True, "not settled"),
        (0.0, 0.10, ["passes", "passes"], True, "not settled"),
        (-0.02, 0.02, ["passes", "passes"], False, "no effect larger than"),
        (-0.021, 0.02, ["passes", "passes"], False, "not settled"),
        (-0.02, 0.02, ["passes", "fails"], False, "not settled"),
        (None, None, ["passes", "passes"], True, "refused"),
    ],
)
def test_a_verdict_is_never_stronger_than_its_checks(low, high, checks, survives, verdict):
    found = lift_verdict(effect(low, high), checks=checks, is_benchmark_survived=survives, smallest_lift=0.02)
    assert found == verdict and found in VERDICTS


def results(*features: dict) -> LiftResults:
    """The page's tables for features given by name, limits, check verdicts and whether the benchmark survives."""
    questions, lifts, doubts, strength = [], [], [], []
    for i, f in enumerate(features):
        of, found = {"feature_id": f"f{i}"}, effect(*f["limits"])
        is_asked = f.get("is_asked", True)
        questions.append(LiftQuestion(f"f{i}", f["name"], *(("a", "b") if is_asked else (None, None)), None))
        checks = f.get("checks", ["passes", "passes"])
        survives = f.get("survives", True)
        verdict = lift_verdict(found, checks=checks, is_benchmark_survived=survives, smallest_lift=0.02)
        lifts.append(of | {"design": "start trials", "estimand": f.get("estimand", "ATE"), "users": 450, "estimate": found.absolute_lift, "n": 900}
                     | {"ci_low": found.ci_low, "ci_high": found.ci_high, "n_treated": 500, "n_control": 400}
                     | {"verdict": verdict, "refused_because": found.refused_because})  # fmt: skip
        for check, word in zip(
            ("before", "busy", "coming back after banner, which cannot matter"), checks, strict=False
        ):
            doubts.append(of | {"design": "start trials", "check": check, "estimate": 0.05, "ci_low": -0.01, "ci_high": 0.11, "limit": 0.02}
                          | {"verdict": word, "refused_because": "it is the same for all"})  # fmt: skip
        strength.append(of | {"e_value": 1.9, "e_value_limit": 1.2, "robustness_value": 0.1, "benchmark_covariate": "tenure"}
                        | {"benchmark_estimate": 0.03, "benchmark_low": -0.01, "benchmark_high": 0.07}
                        | {"is_benchmark_survived": survives})  # fmt: skip
    frames = [pd.DataFrame(rows) for rows in (lifts, [], [], doubts, strength)]
    return LiftResults(tuple(questions), RULES, *frames, pd.DataFrame(), {}, {}, 0.95)


HELPED, HURT = {"limits": (0.02, 0.10)}, {"limits": (-0.10, -0.02)}
OPEN, NONE, REFUSED = {"limits": (-0.05, 0.10)}, {"limits": (-0.01, 0.01)}, {"limits": (None, None)}


@pytest.mark.parametrize(
    ("feature", "verdict", "word"),
    [
        (HELPED, "Finishing quiz likely helped people come back.", "fine"),
        (HURT, "Finishing quiz likely hurt: people came back less.", "watch"),
        (OPEN, "Whether finishing quiz makes people come back is not settled.", "unknown"),
        (NONE, "Finishing quiz has no effect larger than 2 points on coming back.", "fine"),
        (REFUSED, "These data cannot say whether finishing quiz makes people come back.", "unknown"),
    ],
)
def test_one_feature_has_its_verdict_in_one_sentence(feature, verdict, word):
    said = lift_conclusion(results(feature | {"name": "quiz"}))
    assert said.verdict == verdict and [f.severity for f in said.findings] == [word]
    assert (said.refused_because is not None) == (feature is REFUSED)


def test_several_features_are_told_by_who_likely_hurt_and_helped():
    named_as = lambda kind, name: kind | {"name": name}  # noqa: E731
    three = [named_as(HELPED, "a"), named_as(HURT, "b"), named_as(OPEN, "c"), named_as(REFUSED, "d")]
    assert lift_conclusion(results(*three)).verdict == "Likely hurt: b. Likely helped: a. 2 others: neither shown."
    assert lift_conclusion(results(*three)).refused_because is None
    open_ones = [named_as(OPEN, "c"), named_as(NONE, "d")]
    assert lift_conclusion(results(*open_ones)).verdict == "None of 2 features is shown to have helped or hurt."
    many = [named_as(kind, f"{kind['limits']}{i}") for kind in (HELPED, HURT, OPEN) for i in range(4)]
    assert holds_the_rules_of_a_verdict(lift_conclusion(results(*many)).verdict, [f["name"] for f in many])


def test_a_check_that_could_not_tell_is_never_said_to_show_no_effect():
    """It was "2 of 2 placebo checks show no effect" wherever an interval merely held 0."""
    wide = lift_conclusion(results(HELPED | {"name": "q", "checks": ["too wide to tell"] * 2})).findings[0].sentence
    assert "2 of 2 checks on the time before are too wide to tell" in wide and "pass" not in wide
    one = (
        lift_conclusion(results(HELPED | {"name": "q", "checks": ["passes", "cannot be checked"]})).findings[0].sentence
    )
    assert "busy cannot be checked, it is the same for all" in one and "pass" not in one
    fails = lift_conclusion(results(HELPED | {"name": "q", "checks": ["fails", "passes"]})).findings[0].sentence
    assert (
        "differed before already, before: +5.0 points (-1.0 to +11.0), which the adj" in fails and "pass" not in fails
    )
    both = lift_conclusion(results(HELPED | {"name": "q", "checks": ["fails", "fails"]})).findings[0].sentence
    assert both.count("differed before already") == 1 and "(-1.0 to +11.0), busy: +5.0" in both
    weak = lift_conclusion(results(HELPED | {"name": "q", "survives": False})).findings[0].sentence
    assert "something unmeasured as strong as tenure would leave +3.0 points (-1.0 to +7.0)" in weak


def test_a_difference_that_was_not_randomised_says_so_and_is_never_said_to_have_worked():
    sentence = lift_conclusion(results(HELPED | {"name": "q"})).findings[0].sentence
    assert "Users chose themselves whether to finish" in sentence and "risk ratio of 1.90" in sentence
    assert "Every check on the time before passes" in sentence
    for kind in (HELPED, HURT, OPEN, NONE, REFUSED):
        said = lift_conclusion(results(kind | {"name": "q"}))
        assert not any(word in str(said).lower() for word in ("worked", "because they", "caused", "proves"))


@pytest.mark.parametrize("kind", [HELPED, HURT, OPEN])
def test_an_unsettled_difference_that_leaves_out_0_is_told_with_what_can_be_behind_it(kind):
    """It was "+10.3 points (+7.6 to +12.9) ... 1 of 2 checks is too wide to tell" where finishing did nothing."""
    sentence = (
        lift_conclusion(results(kind | {"name": "q", "checks": ["too wide to tell", "passes"]})).findings[0].sentence
    )
    assert sentence.endswith("too wide to tell. Users chose themselves whether to finish, so something that was not "
                             "measured can be behind it.") == (kind is not OPEN)  # fmt: skip


def test_what_is_not_declared_is_not_asked_in_one_sentence():
    said = lift_conclusion(results(OPEN | {"name": "q", "is_asked": False}))
    assert said.verdict == "Not asked: no feature declares a start and a finish."
    assert said.refused_because.startswith("not asked: no feature declares both a start_event")
    assert len(said.findings) == 1 and said.findings[0].verb == "declare"
    one_asked = lift_conclusion(results(OPEN | {"name": "q"}, OPEN | {"name": "r", "is_asked": False}))
    assert one_asked.findings[-1].sentence == "Not asked: r declares no start_event and complete_event together."


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_holds_with_any_name(name):
    for kind in (HELPED, HURT, OPEN, NONE, REFUSED):
        said = lift_conclusion(results(kind | {"name": name}))
        assert holds_the_rules_of_a_verdict(said.verdict, [name]), said.verdict
        assert named(name) in said.verdict
        assert all(named(name) in f.sentence and "\n" not in f.sentence for f in said.findings)


def product(
    rng: np.random.Generator, users: int, *, finish: np.ndarray, back: np.ndarray, name: tuple[str, str]
) -> ibis.Table:
    """Each user is there on day 0 to 3, starts on day 4, finishes in that session or not, and is back half a day later or not."""
    rows = []
    for user in range(users):
        who = f"u{user:05d}"
        rows += [
            (who, "look", START + day * DAY + rng.uniform(0, 20) * DAY / 24) for day in range(4) if rng.random() < 0.6
        ]
        at = START + 4 * DAY + rng.uniform(0, 20) * DAY / 24
        rows.append((who, name[0], at))
        rows += [(who, name[1], at + DAY / 100)] if finish[user] else []
        rows += [(who, "look", at + 0.6 * DAY)] if back[user] else []
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at"]).assign(platform="web")
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "platform": "string"}
    return ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)


def asked(events: ibis.Table, name: tuple[str, str], **rules) -> LiftResults:
    feature = Feature(feature_id="f", start_event=name[0], complete_event=name[1])
    return lift_results(events, ask_lift(events, [feature]), RULES._replace(**rules))


def test_a_type_that_nobody_measured_never_makes_a_confident_lift():
    """Zero effect; finishing .8 or .35 and coming back .7 or .4 by type, 1,000 users: 27 of 30 pages said a confident lift."""
    fooled = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        loyal = rng.random(1000) < 0.5
        finish, back = (rng.random(1000) < np.where(loyal, *rates) for rates in ((0.8, 0.35), (0.7, 0.4)))
        found = asked(product(rng, 1000, finish=finish, back=back, name=("go", "end")), ("go", "end"))
        row = found.reported.iloc[0]
        fooled += row["ci_low"] > 0
        assert row["verdict"] == "not settled"
        assert "too wide to tell" in lift_conclusion(found).findings[0].sentence
    assert fooled >= 4, "the world fools the estimate, as it is meant to"


def test_a_large_effect_that_passes_its_checks_is_told_as_likely():
    """Finishing is luck and adds 40 points: the limit of a check is 13 points, which 1,500 users can show."""
    rng = np.random.default_rng(9)
    finish = rng.random(1500) < 0.5
    back = rng.random(1500) < np.where(finish, 0.75, 0.35)
    found = asked(product(rng, 1500, finish=finish, back=back, name=("go", "end")), ("go", "end"))
    said = lift_conclusion(found)
    assert said.verdict == "Finishing f likely helped people come back."
    row = found.estimates("start trials", "ATE")["f"]
    assert row.ci_low < 0.4 < row.ci_high and row.n == 1500


@pytest.mark.parametrize(
    "case", ["nobody finishes", "everybody finishes", "one user", "nobody is back", "all immature"]
)
def test_a_log_that_carries_no_lift_is_refused_in_a_sentence(case):
    rng = np.random.default_rng(10)
    users = 1 if case == "one user" else 80
    finish = np.zeros(users, bool) if case == "nobody finishes" else np.ones(users, bool)
    finish = rng.random(users) < 0.5 if case in ("nobody is back", "all immature") else finish
    back = np.zeros(users, bool) if case == "nobody is back" else rng.random(users) < 0.5
    events = product(rng, users, finish=finish, back=back, name=("go", "end"))
    rules = {"observed_through": START + 4 * DAY} if case == "all immature" else {}
    found = asked(events, ("go", "end"), **rules)
    said = lift_conclusion(found)
    assert said.verdict.startswith("These data cannot say") and said.refused_because
    if case == "all immature":
        assert "the outcome of 80 trials is not over yet" in said.refused_because
    if case == "nobody finishes":
        assert "event 'end': does not occur in the log" in said.refused_because


def test_the_events_of_a_feature_may_have_any_name():
    name = ('$start "one"', "fin*ish[0]\n👍")
    rng = np.random.default_rng(11)
    finish, back = rng.random(120) < 0.5, rng.random(120) < 0.5
    found = asked(product(rng, 120, finish=finish, back=back, name=name), name)
    assert found.trials[["compared", "window_open"]].to_numpy().tolist() == [[120, 0]]
    assert found.lifts.loc[found.lifts["estimand"] == "ATE", "refused_because"].isna().all()


def test_a_features_number_does_not_hang_on_which_others_are_asked():
    rng = np.random.default_rng(12)
    finish, back = rng.random(200) < 0.5, rng.random(200) < 0.5
    events = product(rng, 200, finish=finish, back=back, name=("go", "end"))
    f, g = (Feature(feature_id=i, start_event="go", complete_event="end") for i in "fg")
    alone, both = (lift_results(events, ask_lift(events, fs), RULES) for fs in ([f], [g, f]))
    one, of_two = (found.estimates("start trials", "ATE")["f"] for found in (alone, both))
    assert one.value == of_two.value and one.ci_low > of_two.ci_low  # the limits are corrected over the features


def test_charts_of_two_features_keep_them_apart_and_draw_what_is_reported_first():
    rng = np.random.default_rng(13)
    finish, back = rng.random(200) < 0.5, rng.random(200) < 0.5
    events = product(rng, 200, finish=finish, back=back, name=("go", "end"))
    features = [Feature(feature_id=i, start_event="go", complete_event="end") for i in "fg"]
    found = lift_results(events, ask_lift(events, features), RULES)
    assert found.forest["row"].tolist()[:2] == ["f: ATE", "g: ATE"]
    assert found.forest["kind"].tolist()[:3] == ["reported", "reported", "beside it"]
    assert found.forest["row"].is_unique and found.balance_by_name["covariate"].is_unique
    assert len(found.balance) == len(found.balance_by_name) > found.balance["covariate"].nunique()


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (["passes", "passes", "passes"], "Every check passes."),
        (["passes", "passes"], "Every check on the time before passes."),
        (
            ["passes", "passes", "fails"],
            "Not settled: something unmeasured is at work, coming back after banner, which cannot matter: ",
        ),
        (["passes", "passes", "too wide to tell"], "Not settled: 1 of 3 checks is too wide to tell."),
    ],
)
def test_an_exposure_that_cannot_matter_is_no_check_on_the_time_before(checks, said):
    found = lift_conclusion(results({"name": "quiz", "limits": (0.02, 0.10), "checks": checks}))
    assert said in found.findings[0].sentence
