"""Start trials of one part of the log: when they begin, who is treated, who comes back, and what was known before.

Rows of a unit are folded an instant at a time: what lies at the trial's own instant is not before it, so that ties need
no order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
GAP_US = 30 * MINUTE_US
NEVER = np.iinfo(np.int64).max
NOTHING = np.iinfo(np.int64).min
WINDOWS = np.array([1, 3, 7, 14, 28], np.int64)

# Columns of the matrix that `fill_trials` writes. "lagged": as of the beginning of the window before the trial.
KNOWN = (
    *(f"events_{w}d" for w in WINDOWS),
    *(f"active_days_{w}d" for w in WINDOWS),
    "recency",
    "is_first_session",
    "tenure",
    "sessions",
    "earlier_trials",
    "session_events",
    "session_minutes",
    "session_kinds",
    "session_restart",
)
LAGGED = (*(f"lagged_events_{w}d" for w in WINDOWS), "lagged_recency", "lagged_sessions")
WRITTEN = (*KNOWN, *LAGGED, "events_before", "did_control")


@njit(cache=True, nogil=True)
def session_slots(at, session, slot):  # pragma: no cover (compiled)
    """Writes the number of each row's session within its unit; gives how many there are.

    A row with a session of the client (not 0) belongs to it, wherever it stands; the others form a session until a gap
    of more than 30 minutes among them.
    """
    rows = len(at)
    hashes = np.empty(rows, np.int64)
    runs, slots = 0, 0
    last_hash, last_at = np.int64(0), np.int64(0)
    for i in range(rows):
        if session[i] == 0:
            continue
        if runs == 0 or session[i] != last_hash:
            hashes[runs] = session[i]
            runs += 1
            last_hash = session[i]
        slot[i] = runs - 1
    of_run = np.empty(runs, np.int32)
    order = np.argsort(hashes[:runs])
    for k in range(runs):
        if k == 0 or hashes[order[k]] != hashes[order[k - 1]]:
            slots += 1
        of_run[order[k]] = slots - 1
    is_open = False
    for i in range(rows):
        if session[i] != 0:
            slot[i] = of_run[slot[i]]
            continue
        if not is_open or at[i] - last_at > GAP_US:
            slots += 1
            own = slots - 1
        is_open = True
        last_at = at[i]
        slot[i] = own
    return slots


@njit(cache=True, nogil=True)
def count_trials(starts, at, day, begins, done, daily, latest, first_done, counts):  # pragma: no cover (compiled)
    """Per unit and question: the first instant of doing it (NEVER without), and counts of trials that are compared, of
    those whose outcome is not over, and of those that would begin after doing it.

    `begins`, `done`: a bit for each question; `daily`: the questions whose trials begin at the first event of a day.
    """
    questions = first_done.shape[1]
    for unit in range(len(starts) - 1):
        low, high = starts[unit], starts[unit + 1]
        for q in range(questions):
            first_done[unit, q] = NEVER
        for i in range(low, high):
            mask = done[i]
            if mask:
                for q in range(questions):
                    if (mask >> q) & 1 and first_done[unit, q] == NEVER:
                        first_done[unit, q] = at[i]
        i, today = low, np.int64(0)
        while i < high:
            t, mask = at[i], np.int64(0)
            if i == low or day[i] > today:
                mask, today = daily, np.int64(day[i])
            while i < high and at[i] == t:
                mask |= begins[i]
                i += 1
            if mask:
                for q in range(questions):
                    if (mask >> q) & 1:
                        counts[unit, q, 2 if t > first_done[unit, q] else 1 if t > latest else 0] += 1


@njit(cache=True, nogil=True)
def _after(at, instant):  # pragma: no cover (compiled)
    """The first place whose instant is later."""
    low, high = 0, len(at)
    while low < high:
        middle = (low + high) // 2
        if at[middle] > instant:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True)
def _bits(mask):  # pragma: no cover (compiled)
    found = 0
    while mask:
        mask &= mask - np.uint64(1)
        found += 1
    return found


@njit(cache=True, nogil=True)
def fill_trials(
    starts, at, day, session, kind, begins, done, controls, daily, latest, grace, outcome, first_done, kept, ends,
    unit_of, row_of, instant_of, treated, returned, known,
):  # fmt: skip  # pragma: no cover (compiled)
    """Writes one row per trial: its unit, the log's row that begins it, instant, treated, returned, and `WRITTEN`.

    `controls`: a bit for each question whose negative-control event this is; `kept`: for each unit and question,
    whether its trials are written; `ends[q]`: where the question's next one goes.
    """
    questions = first_done.shape[1]
    widths = len(WINDOWS)
    for unit in range(len(starts) - 1):
        is_kept = False
        for q in range(questions):
            is_kept |= kept[unit, q]
        if not is_kept:
            continue
        low, high = starts[unit], starts[unit + 1]
        own, rows = at[low:high], high - low
        slot = np.empty(rows, np.int32)
        slots = session_slots(own, session[low:high], slot)
        events_of, kinds_of = np.zeros(slots, np.int64), np.zeros(slots, np.uint64)
        began_of, before_of, last_of = np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        started_of = np.zeros(slots, np.int64)
        sessions_at, sessions = np.empty(slots, np.int64), 0
        days, n_days = np.empty(rows, np.int64), 0
        tail, day_tail, lag_tail = np.zeros(widths, np.int64), np.zeros(widths, np.int64), np.zeros(widths, np.int64)
        trials_before = np.zeros(questions, np.int64)
        ahead, lag_begin, lag_end, lag_sessions = 0, 0, 0, 0
        previous = NOTHING
        i = 0
        while i < rows:
            t = own[i]
            j = i
            begun = np.int64(0)
            while j < rows and own[j] == t:
                begun |= begins[low + j]
                j += 1
            today = np.int64(day[low + i])
            if n_days == 0 or today > days[n_days - 1]:
                begun |= daily
                days[n_days] = today
                n_days += 1
            today = days[n_days - 1]
            lag_at = t - DAY_US - outcome
            is_ready = False
            for q in range(questions):
                if not ((begun >> q) & 1 and kept[unit, q] and t <= first_done[unit, q] and t <= latest):
                    continue
                if not is_ready:
                    is_ready = True
                    for w in range(widths):
                        while own[tail[w]] < t - WINDOWS[w] * DAY_US:
                            tail[w] += 1
                        while days[day_tail[w]] < today - WINDOWS[w]:
                            day_tail[w] += 1
                        while own[lag_tail[w]] < lag_at - WINDOWS[w] * DAY_US:
                            lag_tail[w] += 1
                    while own[lag_begin] < lag_at:
                        lag_begin += 1
                    while own[lag_end] < t - DAY_US:
                        lag_end += 1
                    while lag_sessions < sessions and sessions_at[lag_sessions] < lag_at:
                        lag_sessions += 1
                    while ahead < rows and own[ahead] <= t + grace:
                        last_of[slot[ahead]] = own[ahead]
                        ahead += 1
                r = i
                if not (daily >> q) & 1:
                    while not (begins[low + r] >> q) & 1:
                        r += 1
                s = slot[r]
                is_open = events_of[s] > 0
                end = last_of[s]
                after = _after(own, end)
                k = ends[q]
                ends[q] += 1
                unit_of[k] = unit
                row_of[k] = low + r
                instant_of[k] = t
                treated[k] = first_done[unit, q] <= end
                r = i
                while r < after and not (controls[low + r] >> q) & 1:
                    r += 1
                returned[k] = after < rows and own[after] <= end + outcome
                for w in range(widths):
                    known[k, w] = np.log1p(i - tail[w])
                    known[k, widths + w] = n_days - 1 - day_tail[w]
                    known[k, len(KNOWN) + w] = np.log1p(lag_begin - lag_tail[w])
                before = before_of[s] if is_open else previous
                column = 2 * widths
                known[k, column] = np.log1p((t - before) / DAY_US) if before != NOTHING else 0.0
                known[k, column + 1] = before == NOTHING
                known[k, column + 2] = np.log1p((t - own[0]) / DAY_US)
                known[k, column + 3] = np.log1p(sessions - is_open)
                known[k, column + 4] = np.log1p(trials_before[q])
                known[k, column + 5] = np.log1p(events_of[s])
                known[k, column + 6] = np.log1p((t - began_of[s]) / MINUTE_US) if is_open else 0.0
                known[k, column + 7] = _bits(kinds_of[s])
                known[k, column + 8] = (started_of[s] >> q) & 1
                column = len(KNOWN) + widths
                is_known = lag_begin > 0
                known[k, column] = np.log1p((lag_at - own[lag_begin - 1]) / DAY_US) if is_known else 0.0
                known[k, column + 1] = np.log1p(lag_sessions)
                known[k, column + 2] = lag_end - lag_begin if is_known else np.nan
                known[k, column + 3] = r < after
            for r in range(i, j):
                s = slot[r]
                if events_of[s] == 0:
                    began_of[s] = t
                    before_of[s] = previous
                    sessions_at[sessions] = t
                    sessions += 1
                events_of[s] += 1
                kinds_of[s] |= np.uint64(1) << np.uint64(kind[low + r])
                started_of[s] |= begins[low + r]
            for q in range(questions):
                trials_before[q] += (begun >> q) & 1
            previous = t
            i = j
