"""Sessions of simulated users as arrays, drawn day by day: who comes, what each does there, what completing changes.

A latent propensity raises activity, and so both completing and coming back: that is the confounding. A first
completion adds the feature's `return_effect` to the probability of being active on each later day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from launchpad_lib.simulation.truth import Truth

SECOND_SESSION = 0.45
PLATFORMS, PLATFORM_SHARES = ("web", "ios", "android"), (0.5, 0.25, 0.25)
COUNTRIES, COUNTRY_SHARES = ("DE", "US", "FR", "GB"), (0.4, 0.3, 0.2, 0.1)
VARIANTS = ("control", "treatment")
LEAST_VIEWS, MOST_VIEWS = 6, 14
USES_PER_ATTEMPT = 0.8


class Users(NamedTuple):
    """One element per user: activity and start probabilities, places in `PLATFORMS`, `COUNTRIES` and `VARIANTS`."""

    activity: np.ndarray
    quiz_start: np.ndarray
    flow_starts: np.ndarray
    platform: np.ndarray
    country: np.ndarray
    variant: np.ndarray


class Sessions(NamedTuple):
    """One element per session of one day, in order of user and time; attempts have a column per flow.

    `start_second` is of the day. Counts: `views` of pages, `interactions` of a quiz, `uses` of a feature. `amount` in
    cents.
    """

    user: np.ndarray
    number: np.ndarray
    start_second: np.ndarray
    views: np.ndarray
    quiz_started: np.ndarray
    quiz_exposed: np.ndarray
    interactions: np.ndarray
    quiz_completed: np.ndarray
    quiz_shared: np.ndarray
    started: np.ndarray
    uses: np.ndarray
    completed: np.ndarray
    shared: np.ndarray
    amount: np.ndarray


def draw_users(rng: np.random.Generator, *, users: int, truth: Truth) -> Users:
    """Users with their propensity and traits, which nothing else depends on."""
    propensity = rng.normal(size=users)
    strength = truth.confounding_strength
    raised = np.exp(strength * propensity)
    return Users(
        activity=1 / (1 + np.exp(-(0.2 + 2 * strength * propensity))),
        quiz_start=np.clip(truth.start_rate_mean + 0.4 * strength * propensity, 0.05, 0.9),
        flow_starts=np.minimum(np.array([f.start_rate for f in truth.flows]) * raised[:, None], 0.9),
        platform=rng.choice(len(PLATFORMS), size=users, p=PLATFORM_SHARES).astype(np.int8),
        country=rng.choice(len(COUNTRIES), size=users, p=COUNTRY_SHARES).astype(np.int8),
        variant=rng.integers(0, len(VARIANTS), users).astype(np.int8),
    )


class History:
    """What completing has changed so far for each of these users; `day` after `day` draws their sessions."""

    def __init__(self, users: Users, *, days: int, truth: Truth) -> None:
        self._users, self._days, self._truth = users, days, truth
        self._is_exposed = np.zeros(len(users.activity), dtype=np.bool_)
        # The quiz, then the flows; what is completed twice has its effect once.
        self._has_completed = np.zeros((len(users.activity), 1 + len(truth.flows)), dtype=np.bool_)
        self._effects = np.array([truth.return_effect, *(f.return_effect for f in truth.flows)])

    def draw_day(self, rng: np.random.Generator, day: int) -> Sessions:
        """The sessions of the next day; days are to be drawn in order."""
        people, truth = self._users, self._truth
        chance = np.clip(people.activity + self._has_completed @ self._effects, 0.02, 0.98)
        is_active, is_back = rng.random(len(chance)) < chance, rng.random(len(chance)) < SECOND_SESSION
        active = np.flatnonzero(is_active)
        user = np.repeat(active, 1 + is_back[active])
        number = np.concatenate([[0], (np.diff(user) == 0).astype(np.int64)])[: len(user)]
        count = len(user)
        quiz = rng.random(count) < people.quiz_start[user]
        quiz_done = quiz & (rng.random(count) < truth.completion_rate)
        share_rates = np.array([truth.share_rate_control, truth.share_rate_treatment])
        flows = [self._attempts(rng, flow, day, user) for flow in range(len(truth.flows))]
        started, uses, completed, shared, amount = (np.stack(c, axis=1) for c in zip(*flows, strict=True))
        sessions = Sessions(
            user=user,
            number=number,
            start_second=(8 + 6 * number) * 3600 + rng.uniform(0, 5 * 3600, count),
            views=rng.integers(LEAST_VIEWS, MOST_VIEWS + 1, count),
            quiz_started=quiz,
            quiz_exposed=self._exposures(user, quiz),
            interactions=rng.integers(truth.interactions_low, truth.interactions_high + 1, count),
            quiz_completed=quiz_done,
            quiz_shared=quiz_done & (rng.random(count) < share_rates[people.variant[user]]),
            started=started,
            uses=uses,
            completed=completed,
            shared=shared,
            amount=amount,
        )
        self._has_completed[user[quiz_done], 0] = True
        for flow in range(len(truth.flows)):
            self._has_completed[user[completed[:, flow]], 1 + flow] = True
        return sessions

    def _attempts(self, rng: np.random.Generator, flow: int, day: int, user: np.ndarray) -> tuple[np.ndarray, ...]:
        """Attempts at one feature, at most one a session: started, uses, completed, shared, amount in cents."""
        told, count = self._truth.flows[flow], len(user)
        is_there = told.last_days is None or day >= self._days - told.last_days
        started = (rng.random(count) < self._users.flow_starts[user, flow]) & is_there
        completed = started & (rng.random(count) < told.completion_rate)
        amount = np.zeros(count, dtype=np.int64)
        if told.has_amount:
            amount[completed] = np.round(100 * np.exp(rng.normal(3.8, 0.7, int(completed.sum())))).astype(np.int64)
        uses = np.where(started, rng.poisson(USES_PER_ATTEMPT, count), 0)
        return started, uses, completed, completed & (rng.random(count) < told.share_rate), amount

    def _exposures(self, user: np.ndarray, quiz: np.ndarray) -> np.ndarray:
        """A user is exposed to the experiment once: with the first quiz."""
        fresh = np.flatnonzero(quiz & ~self._is_exposed[user])
        fresh = fresh[np.concatenate([[True], np.diff(user[fresh]) > 0])[: len(fresh)]]
        exposed = np.zeros(len(user), dtype=np.bool_)
        exposed[fresh] = True
        self._is_exposed[user[fresh]] = True
        return exposed
