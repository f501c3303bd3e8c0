"""Small line charts that the server draws itself: a few hundred bytes each, on any page, without a script.

They stand beside the number that they show, so they have no tooltip; the numbers are in the run's tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from markupsafe import Markup

from launchpad_lib.page.markup import plain

WIDTH, HEIGHT = 300, 92
LEFT, RIGHT, TOP, BOTTOM = 34, 238, 8, 76
SPARK_WIDTH, SPARK_HEIGHT = 150, 40
MOST_POINTS = 366
SMALL = 30
"""Fewer units than these are a hollow point beside the line: one of them would move it by more than 3 points."""
STEPS = (1, 2, 2.5, 3, 4, 5, 6, 8, 10)


class Day(Protocol):
    """A day of a series; `value` None is a gap."""

    @property
    def day(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...
    @property
    def n(self) -> float | None: ...
    @property
    def is_complete(self) -> bool: ...


def round_top(most: float) -> float:
    """The least round number that is not under `most`, for the top of an axis that begins at 0.

    >>> round_top(0.47), round_top(403), round_top(0), round_top(1.0)
    (0.5, 500.0, 1.0, 1.0)
    """
    if not math.isfinite(most) or most <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(most))
    step = next((s for s in STEPS if s * size >= most * (1 - 1e-9)), 10)
    return float(f"{step * size:.6g}")


def band_chart(days: Sequence[Day], *, name: str, written, is_share: bool = False) -> Markup:
    """A number day by day with its interval as a band, from 0 (or the least, where that is under 0).

    A day that is not over is hollow and joined by a dashed line, one of few units hollow and alone; a gap stays one.
    Nothing where fewer than two days can be told.

    Args:
        days: in order.
        name: what it is, for those who hear the page: the alternative text begins with it.
        written: a function that writes a value, as on the page.
        is_share: the axis ends at 1 at most.
    """
    shown = list(days)[-MOST_POINTS:]
    while shown and not _is_known(shown[0]):
        shown.pop(0)
    known = [_is_known(d) for d in shown]
    solid = [_is_known(d) and d.is_complete and not _is_small(d) for d in shown]
    points = [d for d, is_solid in zip(shown, solid, strict=True) if is_solid or (_is_known(d) and not d.is_complete)]
    if sum(solid) < 1 or len(points) < 2:
        return Markup("")
    values = [v for d in points for v in (d.value, d.ci_high) if v is not None and math.isfinite(v)]
    lows = [v for d in points for v in (d.value, d.ci_low) if v is not None and math.isfinite(v)]
    # One wide band of a thin day would flatten the line: the axis follows the line, bands are cut at its top.
    line_most = max(d.value for d in points if d.value is not None)
    top = round_top(min(max(values), max(2.5 * line_most, 1e-12)) if line_most > 0 else max(values))
    top = min(top, 1.0) if is_share and line_most <= 1 else top
    bottom = 0.0 if min(lows) >= 0 else -round_top(-min(lows))

    def x(i: int) -> float:
        return LEFT + (RIGHT - LEFT) * i / max(len(shown) - 1, 1)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (min(max(value, bottom), top) - bottom) / (top - bottom)

    marks = []
    for level in (bottom, (bottom + top) / 2, top):
        marks.append(f'<line class="hair" x1="{LEFT}" x2="{RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
    for level in (bottom, top):
        marks.append(f'<text x="{LEFT - 5}" y="{y(level) + 4:.1f}" text-anchor="end">{plain(written(level))}</text>')
    for run in _runs([is_solid and _whole(d) for d, is_solid in zip(shown, solid, strict=True)]):
        upper = [f"{x(i):.1f},{y(shown[i].ci_high or 0):.1f}" for i in run]
        lower = [f"{x(i):.1f},{y(shown[i].ci_low or 0):.1f}" for i in reversed(run)]
        marks.append(f'<path class="bd" d="M{" L".join(upper + lower)}Z"/>')
    for run in _runs(solid):
        line = " ".join(f"{x(i):.1f},{y(shown[i].value or 0):.1f}" for i in run)
        marks.append(f'<polyline class="ln" points="{line}"/>')
    last_known = max((i for i, is_solid in enumerate(solid) if is_solid), default=None)
    for i, day in enumerate(shown):
        if known[i] and not solid[i]:
            if not day.is_complete and i and solid[i - 1]:
                ends = f"{x(i - 1):.1f},{y(shown[i - 1].value or 0):.1f} {x(i):.1f},{y(day.value or 0):.1f}"
                marks.append(f'<polyline class="ln" stroke-dasharray="2 3" points="{ends}"/>')
            marks.append(f'<circle class="hol" cx="{x(i):.1f}" cy="{y(day.value or 0):.1f}" r="3"/>')
    if last_known is not None:
        at = shown[last_known].value or 0
        marks.append(f'<circle class="dot" cx="{x(last_known):.1f}" cy="{y(at):.1f}" r="3"/>')
        marks.append(f'<text class="k" x="{RIGHT + 7}" y="{y(at) + 4:.1f}">{plain(written(at))}</text>')
    for i, anchor in ((0, "start"), (len(shown) - 1, "end")):
        marks.append(
            f'<text x="{x(i):.1f}" y="{HEIGHT - 2}" text-anchor="{anchor}">{plain(day_words(shown[i].day))}</text>'
        )
    told = _alt(name, points, written)
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{plain(told)}">{"".join(marks)}</svg>')


def spark(values: Sequence[float | None], *, top: float, limit: float | None = None) -> Markup:
    """A line without axes from 0 to `top`, the same for all of a column, with a limit across it.

    It repeats what stands beside it, so it is hidden from those who hear the page.

    >>> "ref" in spark([0.5, None, 1.2, 0.7], top=2, limit=1)
    True
    """
    shown = list(values)[-MOST_POINTS:]
    known = [i for i, v in enumerate(shown) if v is not None and math.isfinite(v)]
    if len(known) < 2 or top <= 0:
        return Markup("")

    def x(i: int) -> float:
        return 2 + (SPARK_WIDTH - 8) * i / (len(shown) - 1)

    def y(value: float) -> float:
        return SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 6) * min(max(value / top, 0), 1)

    marks = []
    if limit is not None:
        marks.append(f'<line class="ref" x1="2" x2="{SPARK_WIDTH - 6}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>')
    for run in _runs([i in known for i in range(len(shown))]):
        marks.append(f'<polyline class="ln" points="{" ".join(f"{x(i):.1f},{y(shown[i] or 0):.1f}" for i in run)}"/>')
    marks.append(f'<circle class="dot" cx="{x(known[-1]):.1f}" cy="{y(shown[known[-1]] or 0):.1f}" r="2.5"/>')
    return Markup(
        f'<svg width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" '
        f'preserveAspectRatio="xMinYMid" aria-hidden="true">{"".join(marks)}</svg>'
    )


def day_words(day: str) -> str:
    """A date as it is read; the year stands in the page's head.

    >>> day_words("2026-01-05"), day_words("2026-01-05 08:00:00"), day_words("no date")
    ('5 Jan', '5 Jan', 'no date')
    """
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    year, _, rest = day.partition("-")
    month, _, number = rest[:5].partition("-")
    if not (year.isdigit() and month.isdigit() and number.isdigit() and 1 <= int(month) <= 12):
        return day
    return f"{int(number)} {months[int(month) - 1]}"


def _is_known(day: Day) -> bool:
    return day.value is not None and math.isfinite(day.value)


def _is_small(day: Day) -> bool:
    return day.n is not None and day.n < SMALL


def _whole(day: Day) -> bool:
    return all(v is not None and math.isfinite(v) for v in (day.value, day.ci_low, day.ci_high))


def _runs(kept: Sequence[bool]) -> list[list[int]]:
    """Positions that follow each other without a gap."""
    runs: list[list[int]] = []
    for i, is_kept in enumerate(kept):
        if is_kept and i and kept[i - 1]:
            runs[-1].append(i)
        elif is_kept:
            runs.append([i])
    return runs


def _alt(name: str, points: Sequence[Day], written) -> str:
    """What the line shows, in words: the highest, the lowest and the last value."""
    most = max(points, key=lambda d: d.value or 0)
    least = min(points, key=lambda d: d.value or 0)
    last = points[-1]
    open_words = "" if last.is_complete else ", which is not over"
    return (
        f"{name}, {day_words(points[0].day)} to {day_words(last.day)}: highest {written(most.value)} on "
        f"{day_words(most.day)}, lowest {written(least.value)} on {day_words(least.day)}, last {written(last.value)}"
        f"{open_words}"
    )
