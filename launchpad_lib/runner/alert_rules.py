"""The alert rules of a params file: on what, when, for how long, how grave, to whom; checked before anything runs."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from launchpad_lib.contract.catalogue import METRICS, RESULT_TABLES
from launchpad_lib.contract.findings import VERDICTS, Severity
from launchpad_lib.contract.named import FeatureId
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import Column
from launchpad_lib.delivery.message import AlertSeverity

COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
LIVE = ("events", "users", "completion_rate", "p95_latency_ms", "p95_delivery_seconds", "refused", "gaps")
"""Figures of `launchpad live` that a rule may watch."""
CHANGED = ("rose", "fell", "worse", "better")
SEVERITIES = get_args(Severity)
STATES = frozenset({*VERDICTS, *SEVERITIES, "fell silent", "burns its budget", "degraded now"})
CLOSED = ("health", "worked", "state", "verdict", "severity")
"""Columns of result tables that hold words of a closed vocabulary."""
UNTOLD = frozenset({"cannot tell", "refused", "not asked", "unknown", "fell silent"})
"""Words that leave it open whether another word would be true."""
TIMES = ("observed_on", "active_on", "week_on", "period_on", "day")
"""The columns that say of which bucket a row is, where a table has several of one thing."""
NUMBER = re.compile(r"(change\s+)?(>=|<=|==|!=|>|<)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(%?)")
LASTS = re.compile(r"([1-9]\d{0,3}) (runs?|buckets?)")


class When(NamedTuple):
    """A condition as it was read: a comparison with a limit, or some words of which one must stand there."""

    of_change: bool = False
    sign: str | None = None
    limit: float = 0.0
    words: tuple[str, ...] = ()

    def holds(self, value: Any) -> bool | None:
        """Whether it holds of a value; None where there is none, or it is no number."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.sign is None:
            said = str(value).lower() if isinstance(value, bool) else str(value)
            return True if said in self.words else None if said in UNTOLD else False
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return bool(COMPARISONS[self.sign](value, self.limit)) if is_number else None


class Lasts(NamedTuple):
    """How long a condition must hold: in so many runs one after the other, or buckets of one run."""

    number: int
    unit: Literal["run", "bucket"]


def read_when(text: str) -> When:
    """A condition from its text; a limit with % is a share.

    >>> read_when("> 5 %"), read_when("worse | degraded now").words
    (When(of_change=False, sign='>', limit=0.05, words=()), ('worse', 'degraded now'))
    """
    compared = NUMBER.fullmatch(text.strip())
    if compared:
        limit = float(compared[3]) / (100 if compared[4] else 1)
        return When(bool(compared[1]), compared[2], limit)
    return When(words=tuple(word.strip() for word in text.split("|") if word.strip()))


class AlertRule(BaseModel):
    """One rule: of what, when, for how long, of which feature, how grave, to which channels."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    metric: str = Field(
        description="a metric (`launchpad metrics`), TABLE.COLUMN of a result table, finding or finding.PAGE, "
        "or live.FIGURE"
    )
    when: str = Field(
        description="> 0.05, >= 3, < 95 %, change > 0.05, worse, or words of which one must stand there: "
        "degraded now | fell silent"
    )
    for_: str = Field(default="1 run", alias="for", description="how long it must hold: 2 runs, or 3 buckets")
    feature: FeatureId | None = Field(default=None, description="only of this feature; empty: of each by itself")
    severity: AlertSeverity = Field(default="warning", description="as PagerDuty has them")
    sure: bool = Field(default=False, description="only where the whole interval lies beyond the limit")
    to: list[str] = Field(min_length=1, description="names of `channels`")
    name: str = Field(default="", max_length=80, description="what the messages call it")

    @property
    def told(self) -> str:
        """What it asks; two rules that ask the same are one."""
        lasting = "" if self.for_ == "1 run" else f" for {self.for_}"
        whose = "" if self.feature is None else f" of {self.feature}"
        return f"{self.metric}{whose} {self.when}{lasting}{' surely' if self.sure else ''}"

    @property
    def condition(self) -> When:
        """`when` as it was read."""
        return read_when(self.when)

    @property
    def lasts(self) -> Lasts:
        """`for` as it was read."""
        found = LASTS.fullmatch(self.for_)
        if found is None:  # the validator below has seen to it
            raise ValueError(f"for={self.for_!r}: write for example '2 runs' or '3 buckets'")
        return Lasts(int(found[1]), "run" if found[2].startswith("run") else "bucket")

    @property
    def is_live(self) -> bool:
        """Whether `launchpad live` judges it, and no run."""
        return self.metric.startswith("live.")

    @property
    def column(self) -> Column | None:
        """The column of a result table that it watches."""
        table, _, column = self.metric.partition(".")
        if table in RESULT_TABLES:
            return next((c for c in RESULT_TABLES[table].columns if c.name == column), None)
        return None

    @field_validator("for_")
    @classmethod
    def _for_has_a_unit(cls, said: str) -> str:
        if not LASTS.fullmatch(said):
            raise ValueError(
                f"{said[:80]!r} is no number of runs or buckets; write for example '2 runs' or '3 buckets'"
            )
        return said

    @field_validator("metric")
    @classmethod
    def _is_in_the_catalogue(cls, said: str) -> str:
        table, dot, column = said.partition(".")
        if said in METRICS or table == "finding":
            return said
        if table == "live" and dot:
            if column not in LIVE:
                raise ValueError(f"{column[:60]!r} is no figure of `launchpad live`; {nearest(column, LIVE)}")
        elif table in RESULT_TABLES and dot:
            names = [c.name for c in RESULT_TABLES[table].columns]
            if column not in names:
                raise ValueError(f"{column[:60]!r} is no column of the table {table}; {nearest(column, names)}")
        else:
            known = [*METRICS, *(f"{t}." for t in RESULT_TABLES), "finding"]
            raise ValueError(f"{said[:60]!r} is no metric, table or finding; {nearest(said, known)}")
        return said

    @model_validator(mode="after")
    def _fits_together(self) -> AlertRule:
        condition, lasts = self.condition, self.lasts
        if condition.sign is None and not condition.words:
            raise ValueError(f"when={self.when!r}: says nothing; write for example '> 0.05' or 'worse'")
        if condition.sign is None and any(mark in self.when for mark in "<>="):
            raise ValueError(
                f"when={self.when[:60]!r}: is no comparison; write for example '> 0.05' or 'change < -2 %'"
            )
        wrong = _of_metric(self, condition) or _of_lasting(self, lasts)
        if wrong:
            raise ValueError(wrong)
        if self.sure and (condition.sign not in (">", "<", ">=", "<=") or self.is_live or self.metric not in METRICS):
            raise ValueError("sure: needs a metric with an interval and a limit such as '> 0.05'; leave it out")
        return self


def _of_metric(rule: AlertRule, condition: When) -> str | None:
    """Why a condition cannot be asked of what the rule watches."""
    shown, words = f"when={rule.when[:60]!r}", condition.words
    if rule.metric in METRICS:
        wrong = next((w for w in words if w not in (*CHANGED, "refused")), None)
        return f"{shown}: of a metric write a limit, or {', '.join(CHANGED)} or refused" if wrong else None
    if condition.of_change:
        return f"{shown}: only a metric has a change; write a limit without `change`"
    if rule.metric.partition(".")[0] == "finding":
        wrong = next((w for w in words if w not in SEVERITIES), None)
        ask = f"{shown}: a finding is {', '.join(SEVERITIES)}; write one of them, or several with |"
        return ask if wrong or not words else None
    if rule.is_live:
        return None if condition.sign else f"{shown}: a figure of `launchpad live` is a number; write a limit"
    column = rule.column
    if column is None or column.type in ("int64", "float64"):
        return None if condition.sign else f"{shown}: {rule.metric} is a number; write a limit such as '> 3'"
    if column.type == "boolean":
        return None if set(words) and set(words) <= {"true", "false"} else f"{shown}: write true or false"
    if column.type == "timestamp" or condition.sign:
        return f"{shown}: {rule.metric} is no number; watch a number, a word or true and false"
    if any(part in CLOSED for part in column.name.split("_")):
        wrong = next((w for w in words if w not in STATES), None)
        return f"{shown}: {rule.metric} is never {wrong!r}; {nearest(wrong, STATES)}" if wrong else None
    return None


def _of_lasting(rule: AlertRule, lasts: Lasts) -> str | None:
    """Why a rule cannot be asked for so long."""
    if rule.is_live:
        return f"for={rule.for_!r}: of live figures write buckets" if lasts.number > 1 and lasts.unit == "run" else None
    if lasts.unit == "run" or lasts.number == 1:
        return None
    if rule.metric in METRICS:
        asked = rule.condition
        is_plain = asked.sign is not None and not asked.of_change
        return None if is_plain else f"for={rule.for_!r}: {rule.when} is said once a run; write runs"
    has_time = rule.column is not None and time_column(rule.metric.partition(".")[0]) is not None
    return None if has_time else f"for={rule.for_!r}: {rule.metric} is said once a run; write runs"


def time_column(table: str) -> str | None:
    """The column that says of which bucket a row of a result table is; None where it has one row of each thing.

    >>> time_column("latency_daily"), time_column("states")
    ('observed_on', None)
    """
    return next((c.name for c in RESULT_TABLES[table].columns if c.name in TIMES), None)


def check_channels(rules: list[AlertRule], channels: Mapping[str, object], digest: list[str]) -> None:
    """That every channel which is named is declared, and no two rules ask the same.

    Raises:
        ValueError: one is not.
    """
    for place, names in [*((f"alerts[{i}].to", r.to) for i, r in enumerate(rules)), ("digest", digest)]:
        unknown = next((n for n in names if n not in channels), None)
        if unknown is not None:
            raise ValueError(f"{place}: {unknown[:60]!r} is no channel; {nearest(unknown, channels)}")
    told = [r.told for r in rules]
    twice = next((i for i, t in enumerate(told) if t in told[:i]), None)
    if twice is not None:
        raise ValueError(f"alerts[{twice}]: asks what alerts[{told.index(told[twice])}] asks; name the channels in one")
