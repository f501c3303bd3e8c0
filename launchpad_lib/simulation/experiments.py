"""Experiments with declared truth, drawn beside the product: their exposures and outcomes are rows of their own.

Nothing else of the product hangs on them: the same seed draws the same sessions with and without.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np

from launchpad_lib.simulation.sessions import COUNTRIES, PLATFORMS, Sessions, Users
from launchpad_lib.simulation.truth import ExperimentTruth

FIRST_AFTER_MS = 300  # of an outcome after the exposure: before the next event of the session


class Experiments:
    """The experiments of these users, the first of the product, day after day."""

    def __init__(
        self, rng: np.random.Generator, users: Users, truths: tuple[ExperimentTruth, ...], *, days: int
    ) -> None:
        self._users, self._truths, self._days = users, truths, days
        count = len(users.activity)
        self._arm = np.stack([rng.integers(0, 2, count) for _ in truths], axis=1)
        # Who is lost before the exposure is told: broken assignment.
        lost = [(self._arm[:, k] == 1) & (rng.random(count) < t.lost) for k, t in enumerate(truths)]
        self._is_lost = np.stack(lost, axis=1)
        self._is_exposed = np.zeros((count, len(truths)), np.bool_)

    def rows_of_day(
        self, rng: np.random.Generator, sessions: Sessions, *, day: int, on: date, user_digits: int, app_version: str
    ) -> list[dict]:
        """Exposures with a user's first session from the first day on; outcomes right after it."""
        found: list[dict] = []
        is_first = np.concatenate([[True], np.diff(sessions.user) > 0])[: len(sessions.user)]
        places = np.flatnonzero(is_first)
        users = sessions.user[places]
        for k, truth in enumerate(self._truths):
            did, asked = rng.random(len(users)), rng.random(len(users))
            if day < self._days - (truth.last_days or self._days):
                continue
            fresh = ~self._is_exposed[users, k]
            self._is_exposed[users[fresh], k] = True
            for place, user, y, g in zip(places[fresh], users[fresh], did[fresh], asked[fresh], strict=True):
                if self._is_lost[user, k]:
                    continue
                arm = int(self._arm[user, k])
                at_ms = int(1000 * sessions.start_second[place])
                base = self._row(int(user), day, int(sessions.number[place]), user_digits, app_version)
                fields = {"experiment_id": truth.experiment_id, "variant": ("control", "treatment")[arm]}
                names = [("experiment_exposed", fields, 0)]
                names += [(truth.success_event, {}, FIRST_AFTER_MS)] if y < truth.success[arm] else []
                names += [(truth.guardrail_event, {}, FIRST_AFTER_MS + 100)] if g < truth.guardrail[arm] else []
                for number, (name, properties, after) in enumerate(names):
                    at = _instant(on, at_ms + after)
                    own = {"event_id": f"x{k}{number}-{base['user_id']}", "event_name": name, "event_at": at}
                    found.append(own | {"received_at": at, "feature_id": None} | base | {"properties": properties})
        return found

    def _row(self, user: int, day: int, number: int, user_digits: int, app_version: str) -> dict:
        """What every row of a user's session has."""
        name = f"u{user:0{user_digits}d}"
        return {
            "user_id": name,
            "session_id": f"s{name[1:]}-{day:03d}-{number}",
            "platform": PLATFORMS[self._users.platform[user]],
            "app_version": app_version,
            "country": COUNTRIES[self._users.country[user]],
        }


def _instant(on: date, at_ms: int) -> str:
    later, of_day = divmod(at_ms, 86_400_000)
    clock = f"{of_day // 3_600_000:02d}:{of_day // 60_000 % 60:02d}:{of_day // 1000 % 60:02d}.{of_day % 1000:03d}"
    return f"{on + timedelta(days=later)}T{clock}Z"


def plans(truths: tuple[ExperimentTruth, ...], *, start_on: date, days: int) -> list[dict]:
    """The table `experiments`: each planned as its truth is, read two days before the log ends."""
    found = []
    for truth in truths:
        begins = days - truth.last_days if truth.last_days else 0
        metrics = [
            {"event": truth.success_event},
            {"event": truth.guardrail_event, "role": "guardrail", "direction": "decrease", "margin": 0.1},
        ]
        ends = start_on + timedelta(days=days - 3 if truth.last_days is None else days + 12)
        plan = {
            "shares": {"control": 0.5, "treatment": 0.5},
            "metrics": metrics,
            "window": "1d",
            "starts_on": str(start_on + timedelta(days=begins)),
            "ends_on": str(ends),
            "segments": ["platform"],
        }
        found.append({"experiment_id": truth.experiment_id, "control": "control", "plan": json.dumps(plan)})
    return found
