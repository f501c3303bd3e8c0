"""Who was active in which period by place, against a count written from the definition."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import numpy as np
import pytest

from launchpad_lib.metrics.rollouts import rollout_counts

START = datetime(2026, 1, 1)


def made(seed: int, users: int = 120, days: int = 60) -> list[dict]:
    rng, rows = np.random.default_rng(seed), []
    for user in range(users):
        home = ["NO", "SE", "", None, 'D"E'][rng.integers(5)]
        for _ in range(rng.integers(1, 12)):
            at = START + timedelta(days=float(rng.uniform(0, days)))
            country = home if rng.random() < 0.9 else "SE"
            rows.append({"user_id": f"u{user}", "event_at": at, "country": country})
    return rows


def by_hand(rows, *, switched_on, observed_through, period_days, most_before):
    first_on, period = min(switched_on.values()), timedelta(days=period_days)
    before = min((first_on - min(r["event_at"] for r in rows)) // period - 1, most_before)
    begins, periods = first_on - before * period, before + (observed_through - first_on) // period
    spans = [(begins + k * period, begins + (k + 1) * period) for k in range(periods)]
    counts, without, later = {}, 0, 0
    for user in {r["user_id"] for r in rows}:
        own = sorted((r for r in rows if r["user_id"] == user), key=lambda r: r["event_at"])
        known = [r["country"] for r in own if r["event_at"] < begins]
        places = [c for c in known if c is not None]
        active = [any(low <= r["event_at"] < high for r in own) for low, high in spans]
        if not known:
            later += 1
        elif not places:
            without += 1
        else:
            counts.setdefault(places[-1], []).append(active)
    return begins, before, counts, without, later


@pytest.mark.parametrize(("seed", "period_days", "most_before"), [(1, 7, 4), (2, 7, 2), (3, 1, 4), (4, 5, 9)])
def test_the_counts_are_those_of_the_definition(seed, period_days, most_before):
    rows = made(seed)
    asked = {
        "switched_on": {"NO": START + timedelta(days=30), 'D"E': START + timedelta(days=41.5)},
        "observed_through": START + timedelta(days=59),
        "period_days": period_days,
        "most_before": most_before,
    }
    found = rollout_counts(ibis.memtable(rows), by="country", **asked)
    begins, before, counts, without, later = by_hand(rows, **asked)
    assert (found.begins, found.before, found.without_place, found.later) == (begins, before, without, later)
    assert found.places == tuple(sorted(counts))
    for k, place in enumerate(found.places):
        active = np.array(counts[place], np.int64)
        assert found.users[k] == len(active)
        assert found.active[k].tolist() == active.sum(axis=0).tolist()
        assert found.both[k].tolist() == (active.T @ active).tolist()
    turned = dict(zip(found.places, found.switched_on.tolist(), strict=True))
    assert turned["NO"] == before and turned["SE"] == found.active.shape[1]
    assert turned['D"E'] == (START + timedelta(days=41.5) - begins) // timedelta(days=period_days)


def test_what_cannot_be_counted_is_refused_in_a_sentence():
    log = ibis.memtable(made(5))

    def why(*, at: float, until: float, rows=log) -> str | None:
        asked = {"switched_on": {"NO": START + timedelta(days=at)}, "observed_through": START + timedelta(days=until)}
        return rollout_counts(rows, by="country", **asked).refused_because

    assert why(at=30, until=36.9) == "no period of 7 days since the first place was switched on is over yet"
    assert "the log begins less than two periods of 7 days before" in why(at=13, until=59)
    assert why(at=30, until=59, rows=log.filter(log.user_id == "nobody")) == "there is no event"
    crowd = [
        {"user_id": f"u{k}", "event_at": START + timedelta(days=day), "country": f"c{k}"}
        for k in range(301)
        for day in (0, 50)
    ]
    assert "301 values" in why(at=30, until=59, rows=ibis.memtable(crowd))


def test_what_is_asked_wrongly_gets_one_sentence():
    log, seen = ibis.memtable(made(6)), {"observed_through": START + timedelta(days=59)}
    on = {"NO": START + timedelta(days=30)}
    for asked, says in (
        ({"by": "country", "switched_on": {}}, "names no place"),
        ({"by": "country", "switched_on": on, "period_days": 0}, "period_days=0"),
        ({"by": "contry", "switched_on": on}, "country"),
        ({"by": "country", "switched_on": {"NO": "soon"}}, "NO"),
    ):
        with pytest.raises(ValueError, match=says):
            rollout_counts(log, **asked, **seen)
