"""What is counted of an experiment, before it and of it, against loops over the events: baselines, slices, clusters, caps."""

from __future__ import annotations

import json
import math
import random
from datetime import date, datetime, timedelta
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.planned_metrics import PlannedMetric
from launchpad_lib.metrics.experiment_baseline import baseline
from launchpad_lib.metrics.experiment_question import question_of
from launchpad_lib.metrics.experiment_sums import WHOLE, counted
from launchpad_lib.metrics.exposure_period import period_of
from tests.inference.unit_reference import DAY, START, Event, by_user, table

HOUR = timedelta(hours=1)


def moments(rows: list[tuple[float, float, float, float]]) -> list[float]:
    """The fifteen sums over units of (y, d, x, z): n, each, then every product, in the order of the declaration."""
    products = [math.fsum(r[a] * r[b] for r in rows) for a in range(4) for b in range(a, 4)]
    return [len(rows), *(math.fsum(r[a] for r in rows) for a in range(4)), *products]


def price(event: Event) -> float:
    value = json.loads(event.properties or "{}").get("price")
    return float(value) if isinstance(value, int | float) else 0.0


def shop(days: int, users: int = 150, seed: int = 5) -> list[Event]:
    """Opens and purchases on whole hours of so many days; the first event is one that is no open."""
    rng = random.Random(seed)
    log = [Event("first", "look", START)]
    for k in range(users):
        for _ in range(rng.randint(0, 4)):
            log.append(Event(f"u{k}", "open", START + rng.randint(30, days * 24) * HOUR))
        for _ in range(rng.randint(0, 6)):
            priced = json.dumps({"price": rng.choice([1, 2.5, 4, 8])})
            log.append(Event(f"u{k}", "buy", START + rng.randint(1, days * 24) * HOUR, None, priced))
    return log


# ---------------------------------------------------------------------------------------------- before an experiment


@pytest.mark.parametrize(
    ("days", "pre_period", "begins"),
    [
        (30, "14d", START + 10 * DAY),  # a third of the thirty days is shorter than the pre-period
        (30, "4d", START + 4 * DAY),
        (30, "1d", START + 30 * HOUR),  # nobody opened anything before
    ],
)
def test_a_baseline_counts_who_came_since_its_start_and_what_they_did_before_and_after(days, pre_period, begins):
    log = shop(days)
    assert min(e.event_at for e in log if e.event_name == "open") == START + 30 * HOUR
    through = START + days * DAY
    metrics = [
        PlannedMetric(event="buy"),
        PlannedMetric(event="buy", kind="count", name="times"),
        PlannedMetric(event="buy", kind="sum", value="price", name="paid", window="2d"),
        PlannedMetric(event="bye", name="left"),
    ]
    found = baseline(
        table(log),
        unit_event="open",
        metrics=metrics,
        window="3d",
        pre_period=pre_period,
        observed_through=through,
    )
    assert found.starts_at == begins
    length = {"14d": 14, "4d": 4, "1d": 1}[pre_period] * DAY
    arrivals, immature = [0] * days, 0
    rows: list[list[tuple[float, float, float, float]]] = [[], [], []]
    for own in by_user(log).values():
        opened = [e.event_at for e in own if e.event_name == "open" and e.event_at >= begins]
        if not opened:
            continue
        at = min(opened)
        arrivals[(at - begins) // DAY] += 1
        if at + 3 * DAY > through:
            immature += 1
            continue
        bought = [e for e in own if e.event_name == "buy"]
        before = [e for e in bought if at - length <= e.event_at < at]
        after, soon = ([e for e in bought if at <= e.event_at <= at + n * DAY] for n in (3, 2))
        rows[0].append((float(bool(after)), 1.0, float(bool(before)), 1.0))
        rows[1].append((len(after), 1.0, len(before), 1.0))
        rows[2].append((math.fsum(map(price, soon)), 1.0, math.fsum(map(price, before)), 1.0))
    seen_days = (through - begins) // DAY
    assert found.arrivals.tolist() == arrivals[:seen_days]
    assert found.immature == immature > 0
    for k in range(3):
        assert found.moments[k].tolist() == pytest.approx(moments(rows[k]), rel=1e-12)
    assert found.refused[:3] == (None, None, None)
    assert found.refused[3] is not None and "event 'bye'" in found.refused[3]


def test_the_day_that_the_data_end_in_is_no_day_of_arrivals_unless_it_is_the_only_one():
    """By hand: opens at 0, 30 and 40 hours. The baseline begins with hour 1; 45 hours later one day is over, 48 hours
    later (less the microsecond that an instant holds) two."""
    log = [Event(f"u{h}", "open", START + h * HOUR) for h in (0, 30, 40)] + [Event("u0", "buy", START + HOUR)]
    asked = {"unit_event": "open", "metrics": [PlannedMetric(event="buy")], "window": "2h", "pre_period": "1h"}
    for through, arrivals in (
        (START + 1 * HOUR + 45 * HOUR, [0]),
        (START + 1 * HOUR + 48 * HOUR - timedelta(microseconds=1), [0, 2]),
    ):
        found = baseline(table(log), observed_through=through, **asked)
        assert found.starts_at == START + HOUR
        assert found.arrivals.tolist() == arrivals


def test_a_baseline_that_cannot_be_made_says_why_with_the_length_that_is_missing():
    log = [Event("u", "open", START), Event("u", "open", START + 20 * DAY), Event("u", "buy", START + 21 * DAY)]
    asked = {"metrics": [PlannedMetric(event="buy")], "pre_period": "2d", "observed_through": START + 24 * DAY}
    with pytest.raises(ValueError, match=r"^event 'opn': does not occur in the log; did you mean 'open'\?$"):
        baseline(table(log), unit_event="opn", window="7d", **asked)
    with pytest.raises(ValueError, match=r"^no unit with open since 2026-01-03 has been observed for 7 days; wait, or"):
        baseline(table(log), unit_event="open", window="7d", **asked)
    assert baseline(table(log), unit_event="open", window="4d", **asked).moments[0][:2].tolist() == [1.0, 1.0]


# ------------------------------------------------------------------------------------------- the question of a plan


def plan(**more) -> PlannedExperiment:
    told = {
        "experiment_id": "e",
        "control": "a",
        "shares": {"a": 1, "b": 1},
        "metrics": [{"event": "buy"}],
        "window": "3d",
        "ends_on": "2026-01-31",
    }
    return PlannedExperiment.model_validate(told | more)


@pytest.mark.parametrize(
    ("window", "edges"),
    [
        ("47h", []),
        ("2d", [0, 1, 2]),
        ("60h", [0, 1, 2]),
        ("7d", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("8d", [0, 2, 4, 6, 8]),
        ("15d", [0, 3, 6, 9, 12, 15]),
        ("28d", [0, 4, 8, 12, 16, 20, 24, 28]),
    ],
)
def test_a_window_is_told_in_at_most_seven_parts_of_whole_days(window, edges):
    question = question_of(plan(window=window))
    assert [(s.begins.days, s.ends.days) for s in question.slices] == list(zip(edges, edges[1:], strict=False))
    assert [e.days for e in question.outcomes[0].parts] == edges and len(question.outcomes) == 1


def test_every_metric_has_a_course_but_one_that_stands_on_the_exposure():
    """A retention from hour 20 on has whole days from day 1 on; a denominator on the exposure has no days."""
    metrics = [
        {"event": "buy", "kind": "count", "name": "times"},
        {"event": "stay", "role": "guardrail", "margin": 0.1},
        {"kind": "retention", "begins": "20h", "name": "back", "role": "exploratory"},
        {"event": "buy", "kind": "ratio", "per_event": "look", "name": "per look"},
        {"value": "paid", "kind": "sum", "name": "on it"},
        {"event": "buy", "kind": "ratio", "per_value": "seats", "name": "per seat", "window": "2d"},
    ]
    question = question_of(plan(metrics=metrics))
    assert [(s.metric, s.begins.days, s.ends.days) for s in question.slices] == [
        *((m, d, d + 1) for m in (0, 1) for d in range(3)),
        *((2, d, d + 1) for d in (1, 2)),
        *((3, d, d + 1) for d in range(3)),
        *((5, d, d + 1) for d in range(2)),
    ]
    of_ratios = [(s.metric, s.column, s.denominator) for s in question.slices if s.metric in (3, 5)]
    assert of_ratios == [(3, 8, 11), (3, 9, 12), (3, 10, 13), (5, 14, -1), (5, 15, -1)]


def test_twenty_metrics_over_a_week_are_asked_in_one_reading():
    metrics = [{"event": f"e{k}", "kind": "ratio", "per_event": f"d{k}", "name": f"m{k}"} for k in range(20)]
    question = question_of(plan(metrics=metrics, window="7d"))
    assert len(question.outcomes) == 40 and len(question.slices) == 140


def test_a_value_on_the_exposure_and_a_covariate_stand_where_they_were_declared():
    metrics = [
        {"value": "paid", "kind": "sum", "name": "paid"},
        {"event": "buy", "covariate": "age", "name": "bought"},
        {"value": "did", "name": "did"},
        {"kind": "retention", "begins": "1d", "name": "back"},
        {"event": "buy", "kind": "quantile", "value": "price", "name": "dear"},
        {"value": "spent", "kind": "ratio", "per_event": "look", "per_value": "price", "name": "per price"},
    ]
    metrics[3]["role"] = "exploratory"
    question = question_of(plan(metrics=metrics, window="1d"))
    exposure = "experiment_exposed"
    told = [(o.event_name, o.value, o.begins, o.ends, o.keeps_values) for o in question.outcomes]
    zero = timedelta(0)
    assert told == [
        (exposure, "paid", zero, zero, False),
        ("buy", None, zero, DAY, False),
        (exposure, "age", zero, zero, False),
        (exposure, "did", zero, zero, False),
        (None, None, DAY, DAY, False),
        ("buy", "price", zero, DAY, True),
        (exposure, "spent", zero, zero, False),
        ("look", "price", zero, DAY, False),
    ]
    taken = [[(p.outcome, p.taken, p.is_before) for p in four] for four in question.places]
    assert taken == [
        [(0, "value", False), (0, "one", False), (0, "nothing", False), (0, "nothing", False)],
        [(1, "did", False), (1, "one", False), (2, "value", False), (1, "one", False)],
        [(3, "value", False), (3, "one", False), (3, "nothing", False), (3, "nothing", False)],
        [(4, "did", False), (4, "one", False), (4, "did", True), (4, "one", False)],
        [(5, "value", False), (5, "one", False), (5, "value", True), (5, "one", False)],
        [(6, "value", False), (7, "value", False), (6, "nothing", False), (6, "nothing", False)],
    ]


def test_planned_days_are_local_and_the_last_one_counts_whole():
    hour = 3_600_000_000
    new_year = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC
    assert period_of(None, None, report_timezone="UTC") == (None, None)
    assert period_of(date(2026, 1, 1), date(2026, 1, 1), report_timezone="UTC") == (new_year, new_year + 24 * hour)
    assert period_of(date(2026, 1, 1), None, report_timezone="America/New_York") == (new_year + 5 * hour, None)


# --------------------------------------------------------------------------------------------- what was counted of it


def trial(users: int = 240, seed: int = 9) -> list[Event]:
    rng = random.Random(seed)
    log = []
    for k in range(users):
        at = START + rng.randint(48, 400) * HOUR
        fields = {"experiment_id": "e", "variant": rng.choice("aabb"), "team": f"t{k % 17}"}
        if k % 10:
            fields["tier"] = rng.choice(["gold", "tin"])
        log.append(Event(f"u{k}", "experiment_exposed", at, None, json.dumps(fields)))
        for _ in range(rng.randint(0, 5)):
            priced = json.dumps({"price": rng.choice([1, 2.5, 4, 80])})
            log.append(Event(f"u{k}", "buy", at + rng.randint(-40, 80) * HOUR, None, priced))
    return log


def numbers(log: list[Event], through: datetime | None) -> dict[str, tuple[dict, float, float, float]]:
    """user -> (its fields, exposed at, paid within three days, paid in the 24 hours before); mature users only."""
    found = {}
    for user, own in by_user(log).items():
        (shown,) = (e for e in own if e.event_name == "experiment_exposed")
        if through is not None and shown.event_at + 3 * DAY > through:
            continue
        bought = [e for e in own if e.event_name == "buy"]
        after = [price(e) for e in bought if shown.event_at <= e.event_at <= shown.event_at + 3 * DAY]
        before = [price(e) for e in bought if shown.event_at - DAY <= e.event_at < shown.event_at]
        found[user] = (json.loads(shown.properties), shown.event_at, math.fsum(after), math.fsum(before))
    return found


PAID = {"event": "buy", "kind": "sum", "value": "price", "name": "paid", "winsorise": 0.8}


def test_moments_of_all_of_segments_and_under_a_cap_are_sums_over_units():
    log, through = trial(), START + 15 * DAY
    planned = plan(metrics=[PAID], segments=["tier"], pre_period="1d")
    found = counted(table(log), planned, observed_through=through, report_timezone="UTC")
    units = numbers(log, through)
    everybody = [u for u in numbers(log, None) if u not in units]
    assert everybody  # some windows are open

    def of(variant: str, tier: str | None = "") -> list[tuple[float, float, float, float]]:
        return [
            (y, 1.0, x, 1.0)
            for f, _, y, x in units.values()
            if f["variant"] == variant and (tier == "" or f.get("tier") == tier)
        ]

    for variant in "ab":
        assert found.moments[WHOLE][variant][0].tolist() == pytest.approx(moments(of(variant)), rel=1e-12)
        for level, tier in (("gold", "gold"), ("tin", "tin"), ("(none)", None)):
            segment = found.moments["tier", level][variant][0].tolist()
            assert segment == pytest.approx(moments(of(variant, tier)), rel=1e-12)
    assert set(found.moments) == {WHOLE, ("tier", "gold"), ("tier", "tin"), ("tier", "(none)")}
    cap, capped = found.capped[0]
    assert cap == np.quantile([y for _, _, y, _ in units.values() if y != 0], 0.8)
    for variant in "ab":
        rows = [(min(y, cap), 1.0, min(x, cap), 1.0) for y, _, x, _ in of(variant)]
        assert capped[variant].tolist() == pytest.approx(moments(rows), rel=1e-12)
    exposed = [json.loads(e.properties)["variant"] for e in log if e.event_name == "experiment_exposed"]
    assert found.randomised == {v: exposed.count(v) for v in "ab"}
    days = [e.event_at.date() for e in log if e.event_name == "experiment_exposed"]
    assert [str(d)[:10] for d in found.exposed_on] == [str(min(days)), str(max(days))]
    assert (found.too_many, found.refused, found.read_at) == ((), (None,) * len(found.refused), None)


KINDS = [
    {"event": "buy", "name": "bought"},
    {"event": "buy", "kind": "count", "name": "times", "role": "exploratory"},
    {"event": "buy", "kind": "sum", "value": "price", "name": "paid", "role": "guardrail", "margin": 1},
    {"kind": "retention", "begins": "1d", "name": "back", "role": "exploratory"},
    {"event": "buy", "kind": "ratio", "value": "price", "per_event": "buy", "name": "per order", "role": "exploratory"},
    {"event": "buy", "kind": "quantile", "value": "price", "name": "dear", "quantile": 0.8, "role": "exploratory"},
]


def course_by_hand(shown: Event, own: list[Event], name: str, day: int) -> tuple[float, float, float, float]:
    """(y, d, x, z) of a user on one day since the exposure, from the definitions."""
    there = [e for e in own if shown.event_at + day * DAY <= e.event_at < shown.event_at + (day + 1) * DAY]
    before = [e for e in own if shown.event_at - DAY <= e.event_at < shown.event_at]
    bought, bought_before = ([e for e in part if e.event_name == "buy"] for part in (there, before))
    if name == "back":
        return float(bool(there)), 1.0, float(bool(before)), 1.0
    if name == "bought":
        return float(bool(bought)), 1.0, float(bool(bought_before)), 1.0
    if name == "times":
        return len(bought), 1.0, len(bought_before), 1.0
    paid, paid_before = (math.fsum(map(price, part)) for part in (bought, bought_before))
    if name == "paid":
        return paid, 1.0, paid_before, 1.0
    return paid, len(bought), paid_before, len(bought_before)


def exposure_of(own: list[Event]) -> Event:
    (shown,) = (e for e in own if e.event_name == "experiment_exposed")
    return shown


def test_the_course_since_exposure_of_every_kind_is_summed_over_units():
    log, through = trial(), START + 15 * DAY
    planned = plan(metrics=KINDS, pre_period="1d")
    found = counted(table(log), planned, observed_through=through, report_timezone="UTC")
    users = {u: own for u, own in by_user(log).items() if exposure_of(own).event_at + 3 * DAY <= through}
    told = [(planned.metrics[s.metric].called, s.begins.days) for s in found.question.slices]
    assert [(n, d) for n, d in told if n != "back"] == [
        (m["name"], d) for m in KINDS for d in range(3) if m["name"] != "back"
    ]
    assert [d for n, d in told if n == "back"] == [1, 2]
    for variant in "ab":
        own = [e for e in users.values() if json.loads(exposure_of(e).properties)["variant"] == variant]
        for place, (name, day) in enumerate(told):
            if name != "dear":
                rows = [course_by_hand(exposure_of(events), events, name, day) for events in own]
                assert found.course[variant][place].tolist() == pytest.approx(moments(rows), rel=1e-12), (name, day)
        _, value, since = found.quantiles[5][variant]
        late = [e.event_at - exposure_of(events).event_at for events in own for e in events if e.event_name == "buy"]
        late = sorted(x // timedelta(microseconds=1) for x in late if timedelta(0) <= x <= 3 * DAY)
        assert sorted(since.tolist()) == late and len(value) == len(late)


def test_clusters_have_a_course_and_segments_of_their_own():
    """A cluster's units in a level are one unit of the level; a cluster in both variants is in none of them."""
    log, through = [], START + 15 * DAY
    for e in trial(users=300):
        if e.event_name == "experiment_exposed":
            fields = json.loads(e.properties)
            team = int(e.user_id[1:]) % 40
            fields |= {"team": f"t{team}", "variant": "ab"[team // 2 % 2] if e.user_id != "u7" else "a"}
            e = e._replace(properties=json.dumps(fields))
        log.append(e)
    planned = plan(metrics=KINDS, cluster="team", segments=["tier"], pre_period="1d")
    found = counted(table(log), planned, observed_through=through, report_timezone="UTC")
    users = [own for own in by_user(log).values() if exposure_of(own).event_at + 3 * DAY <= through]
    told = [(planned.metrics[s.metric].called, s.begins.days) for s in found.question.slices]

    def over_teams(variant: str, numbers, tier: object = "") -> list[float]:
        teams: dict[str, list[tuple]] = {}
        for own in users:
            fields = json.loads(exposure_of(own).properties)
            if fields["team"] != "t7" and fields["variant"] == variant and tier in ("", fields.get("tier")):
                teams.setdefault(fields["team"], []).append(numbers(own))
        return moments([tuple(math.fsum(v) for v in zip(*rows, strict=True)) for rows in teams.values()])

    for variant in "ab":
        for place, (name, day) in enumerate(told):
            if name != "dear":
                expected = over_teams(
                    variant, lambda own, n=name, d=day: (*course_by_hand(exposure_of(own), own, n, d)[:2], 0.0, 0.0)
                )
                assert found.course[variant][place].tolist() == pytest.approx(expected, rel=1e-12), (name, day)
        for level, tier in (("gold", "gold"), ("tin", "tin"), ("(none)", None)):

            def paid(own):
                shown = exposure_of(own)
                bought = [e for e in own if e.event_name == "buy"]
                after = [price(e) for e in bought if shown.event_at <= e.event_at <= shown.event_at + 3 * DAY]
                before = [price(e) for e in bought if shown.event_at - DAY <= e.event_at < shown.event_at]
                return math.fsum(after), 1.0, math.fsum(before), 1.0

            segment = found.moments["tier", level][variant][2].tolist()
            assert segment == pytest.approx(over_teams(variant, paid, tier), rel=1e-12)
    split = [json.loads(exposure_of(own).properties) for own in by_user(log).values()]
    split = [f["variant"] for f in split if f["team"] == "t7"]
    standing = found.standing.set_index(["standing", "variant"])["units"].to_dict()
    assert {v: standing["cluster in several variants", v] for v in "ab"} == {v: split.count(v) for v in "ab"}
    assert sum(standing.values()) == 300 and found.randomised == {"a": 20, "b": 19}


def test_a_log_that_has_ended_has_no_open_windows():
    log, through = trial(), START + 15 * DAY
    planned = plan(metrics=[PAID], immature_units="count")
    found = counted(table(log), planned, observed_through=through, report_timezone="UTC")
    assert sum(arm[0][0] for arm in found.moments[WHOLE].values()) == len(numbers(log, None))


def test_a_cluster_is_one_unit_and_one_in_both_variants_is_none():
    """Teams are the clusters; those whose users saw both variants are left out, and of the others the ones with a user
    whose window is over count."""
    log, through = trial(users=60), START + 15 * DAY
    log += [
        Event(f"w{k}", "experiment_exposed", START + k * DAY, None,
              json.dumps({"experiment_id": "e", "variant": "a" if k < 8 else "b", "team": f"only {k // 2}"}))
        for k in range(16)
    ]  # fmt: skip
    found = counted(
        table(log), plan(metrics=[PAID], cluster="team", pre_period="1d"), observed_through=through,
        report_timezone="UTC",
    )  # fmt: skip
    variants: dict[str, set[str]] = {}
    for e in log:
        if e.event_name == "experiment_exposed":
            fields = json.loads(e.properties)
            variants.setdefault(fields["team"], set()).add(fields["variant"])
    units = numbers(log, through)
    for variant in "ab":
        teams = [team for team, seen in variants.items() if seen == {variant}]
        assert found.randomised[variant] == len(teams) >= 4
        rows = []
        for team in teams:
            own = [(y, x) for f, _, y, x in units.values() if f["team"] == team]
            if own:
                y, x = (math.fsum(v) for v in zip(*own, strict=True))
                rows.append((y, float(len(own)), x, float(len(own))))
        assert len(rows) < len(teams) or variant == "a"
        assert found.moments[WHOLE][variant][0].tolist() == pytest.approx(moments(rows), rel=1e-12)


def test_a_design_that_is_read_once_is_read_with_the_exposure_that_completes_it():
    log = trial()
    at = sorted(e.event_at for e in log if e.event_name == "experiment_exposed")
    planned = plan(metrics=[PAID], design="fixed", planned_units=100)
    found = counted(table(log), planned, observed_through=START + 60 * DAY, report_timezone="UTC")
    assert found.read_at == (at[99] - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert sum(found.randomised.values()) == sum(a <= at[99] for a in at)
    more = counted(
        table(log), planned.model_copy(update={"planned_units": len(at) + 1}), observed_through=None,
        report_timezone="UTC",
    )  # fmt: skip
    assert more.read_at is None and sum(more.randomised.values()) == len(at)


def test_a_property_with_more_than_two_hundred_values_is_named_and_not_counted():
    def seen(values: int):
        log = [
            Event(f"u{k}", "experiment_exposed", START, None,
                  json.dumps({"experiment_id": "e", "variant": "ab"[k % 2], "city": f"c{k % values}"}))
            for k in range(402)
        ]  # fmt: skip
        log.append(Event("u1", "buy", START + HOUR))
        asked = plan(segments=["city"])
        return counted(table(log), asked, observed_through=None, report_timezone="UTC")

    assert seen(201).too_many == ("city",) and set(seen(201).moments) == {WHOLE}
    assert seen(200).too_many == () and len(seen(200).moments) == 201


# ------------------------------------------------------------------------------------------------------ other units


class OnDevice(NamedTuple):
    """An event with the session and the device that it came from."""

    event: Event
    session_key: str | None
    device: str | None


def devices() -> list[OnDevice]:
    """Users with two sessions and up to three devices, which other users have, too; each draw shows any variant."""
    rng = random.Random(3)
    log = []
    for k in range(120):
        for _ in range(rng.randint(1, 4)):
            at = START + rng.randint(48, 300) * HOUR
            on = (rng.choice(["1", "2", None]), rng.choice([f"d{k}", f"d{k // 2}", "d0", None]))
            fields = {"experiment_id": rng.choice("eeef"), "variant": rng.choice("ab"), "tier": rng.choice("xy")}
            log.append(OnDevice(Event(f"u{k}", "experiment_exposed", at, None, json.dumps(fields)), *on))
            for _ in range(rng.randint(0, 4)):
                paid = json.dumps({"price": rng.choice([1, 2.5, 4, 80])})
                on = (rng.choice(["1", "2", None]), rng.choice([f"d{k}", f"d{k // 2}", "d0", None]))
                log.append(OnDevice(Event(f"u{k}", "buy", at + rng.randint(-40, 80) * HOUR, None, paid), *on))
    return log


@pytest.mark.parametrize("unit", ["session_key", "device", "device_in_json"])
def test_an_experiment_of_other_units_is_one_of_users_of_that_name(unit):
    """The same log in which every event's user is its session or device; events without one are nobody's."""
    log = devices()
    renamed, told, lost = [], [], set()
    for event, session, device in log:
        fields = json.loads(event.properties)
        key = session and f"{event.user_id}/{session}" if unit == "session_key" else device
        if key is not None:
            renamed.append(event._replace(user_id=key))
        elif fields.get("experiment_id") == "e":
            lost.add(event.user_id)
        if unit == "device_in_json" and device is not None:
            fields[unit] = device
        told.append(event._asdict() | {"properties": json.dumps(fields), "session_key": session, "device": device})
    schema = dict.fromkeys(told[0], "string") | {"event_at": "timestamp"}
    events = ibis.memtable(pd.DataFrame(told).astype({"event_at": "datetime64[us]"}), schema=schema)
    planned = plan(metrics=[PAID, {"event": "buy"}], segments=["tier"], pre_period="1d")
    asked = {"observed_through": START + 12 * DAY, "report_timezone": "UTC"}
    found = counted(events, planned.model_copy(update={"unit": unit}), **asked)
    expected = counted(table(renamed), planned, **asked)
    assert found.randomised == expected.randomised and min(found.randomised.values()) > 10
    assert found.moments.keys() == expected.moments.keys()
    for key, arms in expected.moments.items():
        for variant, own in arms.items():
            np.testing.assert_allclose(found.moments[key][variant], own, rtol=1e-12)
    standing = found.standing.set_index("standing")["units"]
    assert standing["no unit"] == len(lost) > 0
    rest = found.standing[found.standing["standing"] != "no unit"]
    assert rest.to_dict("records") == expected.standing.to_dict("records")


def test_a_session_is_named_by_the_key_that_holds_its_user():
    with pytest.raises(ValidationError, match="name session_key, which holds both"):
        plan(unit="session_id")
