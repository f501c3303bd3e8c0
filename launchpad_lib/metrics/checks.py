"""What cannot be computed is refused in one sentence: by the metric functions themselves, whoever calls them.

Unknown names are asked of the table (one DISTINCT, remembered for each table expression as long as it lives; those of a
lake are kept in its index); what only the numbers show (nobody entered, nobody mature) is a column of the result. A
wrong type of argument is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.metrics.remembered import names_of_lake, remembered
from launchpad_lib.metrics.windows import is_storable, property_value

COMPLETE = "is_complete"
READ = "is_read"  # the condition of a fold that only says which rows it needs
KINDS = {"event_name": "event", "feature_id": "feature"}
NO_EVENTS = "the log holds no event of a known user"
_seen: WeakKeyDictionary[ir.Table, dict[str, set[str]]] = WeakKeyDictionary()


@ibis.udf.scalar.builtin(name="json_keys", signature=(("json",), "array<string>"))
def _json_keys(text): ...


@ibis.udf.scalar.builtin(name="format", signature=(("string", "int64"), "string"))
def _format(template, number): ...


def known_table(table: object, *, needs: Iterable[str] = (), argument: str = "events") -> ir.Table:
    """The table, where it is one and has the columns needed.

    Raises:
        ValueError: no Ibis table (a data frame, say), a column is missing, or an instant is text.
    """
    if not isinstance(table, ir.Table):
        kind = f"{type(table).__module__.split('.')[0]} {type(table).__name__}"
        raise ValueError(
            f"{argument}: is a {kind}, and must be an Ibis table; write ibis.memtable(frame) for a data frame"
        )
    for name in needs:
        if name not in table.columns:
            raise ValueError(
                f"{argument}: has no column {name!r}; {nearest(name, table.columns)} (rename it: "
                f"{argument}.rename({name}=...))"
            )
        if name.endswith("_at") and table[name].type().is_string():
            raise ValueError(
                f"{argument}: column {name!r} is text, which has no order in time; make it an instant in UTC first, "
                "for example with pandas.to_datetime(..., utc=True)"
            )
    return table


def name_list(given: object, *, argument: str) -> list:
    """Names given as a list.

    Raises:
        ValueError: one text, which would be read letter by letter, or no list at all.
    """
    if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset):
        raise ValueError(f"{argument}={shown(given)}: must be a list of names; write [{shown(given)}] for one")
    return list(given)


def unknown_names(
    events: ir.Table,
    *,
    event_names: Iterable[str] = (),
    properties: Iterable[str | None] = (),
    feature_ids: Iterable[str] = (),
) -> str | None:
    """None where every event and feature occurs in the log and every property is a column or a JSON key; else one
    sentence.

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable([{"user_id": "u", "event_name": "quiz_started", "event_at": datetime(2026, 1, 1)}])
    >>> unknown_names(events, event_names=["quiz_start"])
    "event 'quiz_start': does not occur in the log; did you mean 'quiz_started'?"
    """
    events = known_table(events)
    event_names, properties, feature_ids = (
        _texts(kind, given)
        for kind, given in (("event", event_names), ("property", properties), ("feature", feature_ids))
    )
    for kind, column, wanted in (("event", "event_name", event_names), ("feature", "feature_id", feature_ids)):
        for name in _not_seen(events, column, wanted):
            known = _seen[events][column]
            return f"{kind} {quoted(name)}: does not occur in the log; {nearest(name, known)}"
    for name in dict.fromkeys(p for p in properties if p and p not in events.columns):
        if not _has_property(events, name):
            known = {*events.columns, *_keys(events)}
            return (
                f"property {quoted(name)}: is neither a column nor a key of `properties` in the log; "
                f"{nearest(name, known)}"
            )
    return None


def _texts(kind: str, names: Iterable[Any]) -> list[Any]:
    """The names; a list where one name is meant would be looked up as a whole."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ValueError(f"{kind}={shown(names)}: must be a list of names; write [{shown(names)}] for one")
    held = list(names)
    wrong = next((name for name in held if name is not None and not isinstance(name, str)), None)
    if wrong is not None:
        raise ValueError(f"{kind}={shown(wrong)}: must be one name, as text; write for example {kind}='checkout'")
    return held


def _not_seen(events: ir.Table, column: str, names: Iterable[str]) -> list[str]:
    """The names that do not occur, from one DISTINCT at the most. What was seen once stays seen; what was not is asked
    again, for a log may grow.
    """
    seen = _seen.setdefault(events, {})
    wanted = list(dict.fromkeys(names))
    if any(name not in seen.get(column, ()) for name in wanted):
        seen[column] = names_in(events, column)
    return [name for name in wanted if name not in seen[column]] if wanted else []


def names_in(events: ir.Table, column: str) -> set[str]:
    """The values of event_name or feature_id: known of a lake's events, one DISTINCT of any other table."""
    lake = names_of_lake(events)
    if lake is not None:
        return set(lake.get(KINDS[column], ()))
    return remembered(events, ("names", column), lambda: _values(events, column))


def _values(events: ir.Table, column: str) -> set[str]:
    return set(events.select(name=events[column]).distinct().to_pandas()["name"].dropna())


def _has_property(events: ir.Table, name: str) -> bool:
    """Whether any event has the property; the search ends at the first one."""
    if "properties" not in events.columns or not is_storable(name):
        return False
    lake = names_of_lake(events)
    if lake is not None:
        return name in lake.get("property", ())
    seen = _seen.setdefault(events, {}).setdefault("properties", set())
    if name not in seen:
        found = _may_hold(events, name).filter(lambda t: property_value(t, name).notnull()).limit(1).count().execute()
        if found:
            seen.add(name)
    return name in seen


def _may_hold(events: ir.Table, name: str) -> ir.Table:
    """The events whose text may have the key: it stands there as it is, or something is written with a backslash.

    To find a text costs a fraction of reading JSON.
    """
    held = events.properties
    if not held.type().is_string():
        return events
    return events.filter(held.contains(name) | held.contains("\\"))


def _keys(events: ir.Table) -> set[str]:
    if "properties" not in events.columns:
        return set()
    lake = names_of_lake(events)
    if lake is not None:
        return set(lake.get("property", ()))
    held = events.properties
    document = held.try_cast("json") if held.type().is_string() else held.cast("json")
    return set(events.select(key=_json_keys(document).unnest()).distinct().to_pandas()["key"].dropna())


def nobody_mature(
    users: int | None, *, immature: int | None, what: str, observed_through: datetime | None = None
) -> str | None:
    """None where somebody can be counted; else why a rate has no number.

    >>> print(nobody_mature(0, immature=12, what="day 7"))
    day 7: no user has been observed to the end (12 still open), so there is no rate yet; wait or ask for a shorter time
    """
    if users:
        return None
    still_open, nobody = _sentences(what, observed_through)
    return still_open.format(int(immature)) if immature else nobody.format()


def _sentences(what: str, observed_through: datetime | None) -> tuple[str, str]:
    what = what.replace("{", "{{").replace("}", "}}")
    seen = f" by {observed_through:%Y-%m-%d %H:%M} UTC" if observed_through else ""
    return (
        f"{what}: no user has been observed to the end{seen} ({{:,}} still open), so there is no rate yet; "
        "wait or ask for a shorter time",
        f"{what}: nobody entered{seen}, so there is no rate; check the event names and the period",
    )


def nobody_counted(
    n: ir.IntegerValue, *, immature: ir.IntegerValue, what: str, observed_through: datetime | None = None
) -> ir.StringValue:
    """`nobody_mature` as a column: NULL where n is above 0."""
    still_open, nobody = _sentences(what, observed_through)
    return ibis.cases(
        (n > 0, ibis.null(dt.string)),
        (immature > 0, _format(still_open, immature.cast(dt.int64))),
        else_=nobody.format(),
    )


def because(is_refused: ir.BooleanValue, sentence: str) -> ir.StringValue:
    """The column `refused_because`: the sentence where the row has no number, else NULL."""
    return ibis.ifelse(is_refused, sentence, ibis.null(dt.string))


def counted_table(kinds: Mapping[str, dt.DataType], /, **columns: Sequence | np.ndarray) -> ir.Table:
    """A table of what a kernel counted: every column with its type, in the order of `kinds`; None is NULL.

    >>> counted_table({"users": dt.int64}, users=[3]).to_pandas()["users"].tolist()
    [3]
    """
    schema = ibis.schema(kinds)
    arrays = {
        field.name: pa.array(columns[field.name], type=field.type, from_pandas=False) for field in schema.to_pyarrow()
    }
    return ibis.memtable(pa.table(arrays), schema=schema)


def refused_table(like: ir.Table, sentence: str, **named: Sequence) -> ir.Table:
    """The table that was asked for without its numbers: the rows that can be named, or one, each with the sentence."""
    schema = like.schema()
    rows = max((len(v) for v in named.values()), default=1)
    columns = {name: named.get(name, [None] * rows) for name in schema.names if name != "refused_because"}
    columns["refused_because"] = [sentence] * rows
    if COMPLETE in columns:  # a mask of complete periods is never open
        columns[COMPLETE] = [False] * rows
    if "refused_because" not in schema:
        schema = ibis.schema({**dict(schema.items()), "refused_because": dt.string})
    nullable = ibis.schema({name: kind.copy(nullable=True) for name, kind in schema.items()})
    arrays = {field.name: pa.array(list(columns[field.name]), field.type) for field in nullable.to_pyarrow()}
    return ibis.memtable(pa.table(arrays), schema=nullable)


def never_empty(rows: ir.Table, sentence: str | ir.StringScalar) -> ir.Table:
    """The rows with `refused_because` (NULL where they have none); where there is no row at all, one that says why."""
    reason = rows["refused_because"] if "refused_because" in rows.columns else ibis.null(dt.string)
    rows = rows.mutate(refused_because=reason, is_there=ibis.literal(True))
    one = ibis.memtable({"otherwise": [""]}).select(
        otherwise=ibis.literal(sentence) if isinstance(sentence, str) else sentence
    )
    found = one.left_join(rows, ibis.literal(True))
    told = ibis.ifelse(found.is_there.isnull(), found.otherwise, found.refused_because)
    whole = {COMPLETE: found[COMPLETE].fill_null(False)} if COMPLETE in found.columns else {}
    return found.mutate(refused_because=told, **whole).drop("otherwise", "is_there")


def with_columns(events: ir.Table, names: Iterable[str | None]) -> ir.Table:
    """The table with a text column for each name that it lacks: gives a refused result the columns it would
    have had.
    """
    return events.mutate(**{n: ibis.null(dt.string) for n in names if n and n not in events.columns})
