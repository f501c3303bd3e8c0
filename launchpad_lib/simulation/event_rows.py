"""The events of a day's sessions as an Arrow table: numbers in compiled code, texts once per distinct value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from launchpad_lib.simulation.sessions import COUNTRIES, PLATFORMS, VARIANTS, Sessions, Users
from launchpad_lib.simulation.texts import Parts, fixed_texts, numbered
from launchpad_lib.simulation.truth import Flow, Truth

EXPOSED, STARTED, SLID, CHOSEN, COMPLETED, VIEWED, SHARED, PAGE = range(8)
QUIZ_EVENTS = (
    "experiment_exposed",
    "quiz_started",
    "slider_adjusted",
    "option_selected",
    "quiz_completed",
    "result_viewed",
    "result_shared",
    "page_viewed",
)
FLOW_EVENTS = 4  # started, used, completed, shared
FIRST_VIEWS = 3  # pages seen before anything is started
OPTIONS, SLIDER_VALUES = ("light", "fast", "cheap"), 99
QUIZ = {"quiz_id": "laptop"}
# Texts of properties by their code; an amount in cents follows them.
NOTHING, OF_QUIZ, OF_RESULT, OF_SHARE, OF_EXPOSURE = 0, 1, 2, 3, 4
OF_OPTION = OF_EXPOSURE + len(VARIANTS)
OF_SLIDER = OF_OPTION + len(OPTIONS)
OF_AMOUNT = OF_SLIDER + SLIDER_VALUES
PROPERTIES = (
    {},
    QUIZ,
    {"result": "A"},
    {"channel": "link"},
    *({"experiment_id": "result_layout", "variant": v} for v in VARIANTS),
    *({"option": o} for o in OPTIONS),
    *({"slider": "budget", "value": v} for v in range(1, SLIDER_VALUES + 1)),
)


class Place(NamedTuple):
    """Which rows these are: number and date of the day, numbers of the first user and event, digits of their ids."""

    day: int
    on: date
    first_user: int
    user_digits: int
    first_event: int
    event_digits: int


def event_rows(
    rng: np.random.Generator, sessions: Sessions, users: Users, place: Place, *, app_version: str, truth: Truth
) -> pa.Table:
    """The events in order of session and time, columns as in `tables.EVENTS`; instants in whole milliseconds."""
    lengths = sizes(sessions)
    count = int(lengths.sum())
    browsing = [
        place
        for place, name in enumerate(truth.features)
        if name != "configurator" and truth.days_before_the_end(name) is None
    ]
    session, name, feature, properties, at_ms = _filled(
        lengths,
        count,
        sessions,
        users.variant[sessions.user],
        np.array([truth.features.index(f.feature_id) for f in truth.flows], dtype=np.int8),
        truth.features.index("configurator"),
        np.array(browsing, dtype=np.int8)[rng.integers(0, len(browsing), count)],
        rng.random(count) < 0.5,
        rng.integers(0, SLIDER_VALUES, count),
        rng.integers(0, len(OPTIONS), count),
        rng.exponential(25, count) + 1,
    )
    received_ms = at_ms + (1000 * rng.exponential(2, count)).astype(np.int64)
    midnight_ms = np.datetime64(place.on, "ms").astype(np.int64)
    user = sessions.user[session]
    who = numbered("u", place.first_user + np.arange(len(users.platform)), place.user_digits)
    visits = _session_ids(sessions, place)
    columns = {
        "event_id": numbered("e", place.first_event + np.arange(count), place.event_digits),
        "event_name": _coded(name, [*QUIZ_EVENTS, *(n for f in truth.flows for n in _names(f))]),
        "event_at": pa.array(1000 * (midnight_ms + at_ms), pa.timestamp("us")),
        "received_at": pa.array(1000 * (midnight_ms + received_ms), pa.timestamp("us")),
        "feature_id": _coded(feature, truth.features),
        "user_id": pa.DictionaryArray.from_arrays(pa.array(user.astype(np.int32)), who),
        "session_id": pa.DictionaryArray.from_arrays(pa.array(session), visits),
        "platform": _coded(users.platform[user], PLATFORMS),
        "app_version": _coded(np.zeros(count, dtype=np.int8), [app_version]),
        "country": _coded(users.country[user], COUNTRIES),
        "properties": _properties(properties),
    }
    return pa.table(columns)


def _session_ids(sessions: Sessions, place: Place) -> pa.Array:
    user, day = place.first_user + sessions.user, np.full(len(sessions.user), place.day)
    parts: Parts = ["s", (user, place.user_digits), "-", (day, 3), "-", (sessions.number, 1)]
    return fixed_texts(parts, len(user))


def _names(flow: Flow) -> tuple[str, ...]:
    return flow.start_event, flow.use_event, flow.complete_event, flow.share_event


def _coded(codes: np.ndarray, texts: Iterable[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(texts), pa.string()))


def _properties(codes: np.ndarray) -> pa.DictionaryArray:
    """Each distinct amount is one text more; the codes of the others stand as they are."""
    is_amount = codes >= OF_AMOUNT
    amounts, place = np.unique(codes[is_amount] - OF_AMOUNT, return_inverse=True)
    codes = codes.astype(np.int32)
    codes[is_amount] = OF_AMOUNT + place
    texts = [*PROPERTIES, *({"amount": int(a) / 100} for a in amounts)]
    return _coded(codes, [json.dumps(t, separators=(",", ":")) for t in texts])


def sizes(s: Sessions) -> np.ndarray:
    """How many events each session has."""
    quiz = s.quiz_exposed + s.quiz_started * (1 + s.interactions) + 2 * s.quiz_completed + s.quiz_shared
    return s.views + quiz + (s.started + s.uses + s.completed + s.shared).sum(axis=1)


@njit(cache=True, nogil=True)
def _filled(lengths, count, s, variant, flow_features, quiz_feature, pages, is_slider, slider, option, gaps):
    """Per event: its session, codes of name, feature and properties, and the millisecond of the day.

    A session sees `FIRST_VIEWS` pages; then come the attempts, the last flow first, then the quiz, then other pages.
    """
    session = np.empty(count, np.int32)
    name = np.full(count, PAGE, np.int8)
    feature = pages.copy()
    properties = np.zeros(count, np.int64)
    at_ms = np.empty(count, np.int64)
    event = 0
    for i in range(len(lengths)):
        n = event + FIRST_VIEWS
        for flow in range(len(flow_features) - 1, -1, -1):
            if s.started[i, flow]:
                first = PAGE + 1 + FLOW_EVENTS * flow
                done = n + 1 + s.uses[i, flow]
                last = done + s.completed[i, flow] + s.shared[i, flow]
                feature[n:last] = flow_features[flow]
                name[n], name[n + 1 : done] = first, first + 1
                if s.completed[i, flow]:
                    name[done] = first + 2
                    if s.amount[i, flow] > 0:
                        properties[done] = OF_AMOUNT + s.amount[i, flow]
                if s.shared[i, flow]:
                    name[done + 1] = first + 3
                n = last
        if s.quiz_started[i]:
            begin = n
            if s.quiz_exposed[i]:
                name[n], properties[n] = EXPOSED, OF_EXPOSURE + variant[i]
                n += 1
            name[n], properties[n] = STARTED, OF_QUIZ
            n += 1
            for k in range(n, n + s.interactions[i]):
                if is_slider[k]:
                    name[k], properties[k] = SLID, OF_SLIDER + slider[k]
                else:
                    name[k], properties[k] = CHOSEN, OF_OPTION + option[k]
            n += s.interactions[i]
            if s.quiz_completed[i]:
                name[n], properties[n] = COMPLETED, OF_QUIZ
                name[n + 1], properties[n + 1] = VIEWED, OF_RESULT
                n += 2
            if s.quiz_shared[i]:
                name[n], properties[n] = SHARED, OF_SHARE
                n += 1
            feature[begin:n] = quiz_feature
        at = s.start_second[i]
        for k in range(event, event + lengths[i]):
            at += gaps[k]
            session[k], at_ms[k] = i, int(1000 * at)
        event += lengths[i]
    return session, name, feature, properties, at_ms
