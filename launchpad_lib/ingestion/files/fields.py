"""Their fields as SQL: names are data, so SQL only ever sees positions; a name with dots is a path where no field has
that very name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from launchpad_lib.contract.event.rules import IDS, shown
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.sql import identifier, literal
from launchpad_lib.contract.tables import TABLES, Column
from launchpad_lib.ingestion.files.source import OWN, IngestError, SourceSpec

MADE_IDS = ("event_id", "observation_id")
ID_COLUMNS = (*IDS, "observation_id", "feature_id")
MAX_DOTS = 4
DELIMITERS = (",", ";", "\t", "|")  # one of them stands between the fields of almost every CSV
Kind = Literal["csv", "json", "parquet"]


class Fields(NamedTuple):
    """SQL of each of their fields by its name: `sql` with its type, `text` as text or NULL, `name` as an id or name.

    Which of them are `nested`, and which are texts.
    """

    sql: dict[str, str]
    text: dict[str, str]
    name: dict[str, str]
    has_object: bool
    kind: Kind
    nested: frozenset[str]
    is_text: dict[str, bool]


def fields_of(schema: pa.Schema, *, kind: Kind) -> Fields:
    """The fields of a table of text rows; column i is `ci`."""
    theirs = [n for n in schema.names if n not in OWN]
    types = {n: schema.field(n).type for n in theirs}
    positions = {n: f"c{i}" for i, n in enumerate(theirs)}
    sql, text, name = {}, {}, {}
    for n, at in positions.items():
        if pa.types.is_string(types[n]):
            sql[n], text[n] = f"nullif({at}, '')", f"nullif(trim({at}), '')"
            name[n] = text[n]
        elif pa.types.is_floating(types[n]):
            # JSON has no NaN: a number that is none is left out of the properties.
            sql[n], text[n] = f"CASE WHEN isfinite({at}) THEN {at} END", f"{at}::VARCHAR"
            # A whole number as an id is its digits, so that 1234567.0 here meets 1234567 there.
            whole = f"{at} = floor({at}) AND abs({at}) < 9e15"
            name[n] = f"CASE WHEN {whole} THEN {at}::BIGINT::VARCHAR ELSE {at}::VARCHAR END"
        elif pa.types.is_struct(types[n]) or pa.types.is_map(types[n]):
            sql[n], text[n], name[n] = at, f"to_json({at})::VARCHAR", f"to_json({at})::VARCHAR"
        else:
            sql[n], text[n] = at, f"nullif(trim({at}::VARCHAR), '')"
            name[n] = text[n]
    nested = frozenset(n for n in theirs if pa.types.is_nested(types[n]))
    return Fields(
        sql, text, name, "__object" in schema.names, kind, nested, {n: pa.types.is_string(t) for n, t in types.items()}
    )


def check_mapping(names: Collection[str], *, source: SourceSpec, file: str, is_empty: bool) -> None:
    """Whether a file of these fields has all that the mapping names and the table needs.

    Raises:
        IngestError: it has not.
    """
    if len(names) < 3 and any(name.startswith("sep=") for name in names):
        why = "its first line is Excel's `sep=`, not the header: remove that line, and state `delimiter`"
        raise IngestError(f"{file}: {why}")
    if len(names) == 1 and not is_empty:
        (whole,) = names
        other = max((c for c in DELIMITERS if c != source.delimiter), key=whole.count)
        if whole.count(other):
            why = f"its header is one name, {shown(whole)!r}, at the delimiter {source.delimiter!r}"
            raise IngestError(
                f"{file}: {why}; state `delimiter: {json.dumps(other)}` if that stands between the fields"
            )
    table = TABLES[source.table]
    for place, asked in (("columns", source.columns), ("properties", source.properties)):
        for ours, name in asked.items():
            if name not in names and not is_path(name, names) and not (is_empty and not names):
                raise IngestError(f"{file}: {place}.{ours}={name!r} is no column of this file; {nearest(name, names)}")
    known = {*source.columns, *source.constants, *names, *MADE_IDS}
    missing = [c.name for c in table.columns if c.required and c.name not in known]
    if missing and not is_empty:
        has = ", ".join(list(names)[:20])
        raise IngestError(f"{file}: no column for {', '.join(missing)}; map it under `columns` (the file has {has})")


def mapping_of(fields: Fields, names: Collection[str], *, source: SourceSpec) -> dict[str, str | None]:
    """Our column -> their field or path, or None where this part of the file has none."""
    table = TABLES[source.table]
    mapping = {c.name: source.columns.get(c.name, c.name) for c in table.columns}
    known = {*fields.sql, *({mapping.get("properties")} & set(names))}
    return {
        ours: name if name in known or (ours in source.columns and is_path(name, names)) else None
        for ours, name in mapping.items()
    }


def makes_ids(source: SourceSpec, names: Collection[str]) -> bool:
    """Whether rows get an id from what they say, because a file of these fields has none."""
    made = [c.name for c in TABLES[source.table].columns if c.name in MADE_IDS]
    return any(m not in source.columns and m not in source.constants and m not in names for m in made)


def is_path(name: str, names: Collection[str]) -> bool:
    """Whether the name leads into a field that the file has: `actor.login` where there is `actor`."""
    return name not in names and any(len(steps) > 1 and steps[0] in names for steps in paths(name))


def paths(name: str) -> Iterator[list[str]]:
    """The ways to read a name, the longest literal first: a name is data before it is a path.

    >>> list(paths("a.b.c"))
    [['a.b.c'], ['a.b', 'c'], ['a', 'b.c'], ['a', 'b', 'c']]
    """
    yield [name]
    if name.count(".") > MAX_DOTS:
        yield name.split(".")
        return
    places = [i for i, character in enumerate(name) if character == "."]
    for place in reversed(places):
        for rest in paths(name[place + 1 :]):
            yield [name[:place], *rest]


def reach(record: dict[str, Any], name: str) -> Any:
    """The value of a field or path in one record; None where there is none. A text on the way is read as JSON."""
    if name in record or "." not in name:
        return record.get(name)
    for steps in paths(name):
        value: Any = record
        for step in steps:
            value = _as_object(value).get(step)
            if value is None:
                break
        if value is not None:
            return value
    return None


def _as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def field_sql(name: str, fields: Fields, *, as_name: bool) -> str:  # noqa: FBT001
    """SQL of the text of a field or of a path."""
    if name in fields.sql:
        return fields.name[name] if as_name else fields.text[name]
    found = []
    for steps in paths(name):
        if fields.has_object:
            found.append(f"json_extract_string(__object, {literal(_pointer(steps))})")
        elif len(steps) > 1 and steps[0] in fields.text:
            column = fields.text[steps[0]]
            inner = f"json_extract_string({column}, {literal(_pointer(steps[1:]))})"
            found.append(f"CASE WHEN json_valid({column}) THEN {inner} END")
    return f"nullif(trim(coalesce({', '.join(found)})), '')" if found else "NULL::VARCHAR"


def _pointer(steps: list[str]) -> str:
    """RFC 6901: any name can be a step, whatever quotes or slashes it has."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def text_sql(column: Column, theirs: str | None, source: SourceSpec, fields: Fields, *, has_made_ids: bool) -> str:
    """SQL of the text of one of our columns (not of `properties`)."""
    if column.name in source.constants:
        return literal(source.constants[column.name])
    if theirs is None:
        return _made_id(source, fields) if has_made_ids and column.name in MADE_IDS else "NULL::VARCHAR"
    text = field_sql(theirs, fields, as_name=column.type == "string")
    if column.name in ID_COLUMNS and fields.kind != "parquet" and source.table != "events":
        # What has no types writes whole numbers as pandas does: with a point and a zero. Of events the judge does this.
        is_float = f"ends_with({text}, '.0') AND regexp_full_match({text}, '-?[0-9]+[.]0')"
        text = f"CASE WHEN {is_float} THEN left({text}, -2) ELSE {text} END"
    text = _without_nulls(column.name, text, source)
    if column.name == "event_name" and source.event_names:
        arms = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in source.event_names.items())
        return f"CASE {text} {arms} ELSE {text} END"
    return text


def _without_nulls(ours: str, text: str, source: SourceSpec) -> str:
    """SQL of a text, NULL where the mapping says that it means missing."""
    nulls = source.nulls.get(ours)
    return nulls.sql(text) if nulls else text


def _made_id(source: SourceSpec, fields: Fields) -> str:
    """An id from the natural key, or from the whole row and its how-manieth occurrence in the file.

    Without a stated key, equal rows are several events, not duplicates; the same file still gives the same ids.
    """
    constants = _constants_sql(source)
    if source.natural_key:
        parts = [_key_part(ours, source, fields) for ours in source.natural_key]
        return f"md5(concat_ws('\x1e', {constants}, {', '.join(_present(p) for p in parts if p != 'NULL::VARCHAR')}))"
    whole = whole_row_sql(fields)
    return f"md5(concat_ws('\x1e', {constants}, {', '.join(_present(w) for w in whole)}, __nth::VARCHAR))"


def _key_part(ours: str, source: SourceSpec, fields: Fields) -> str:
    theirs = source.columns.get(ours, ours)
    sql = fields.sql.get(theirs) or field_sql(theirs, fields, as_name=False)
    return _without_nulls(ours, f"({sql})::VARCHAR", source) if ours in source.nulls else sql


def whole_row_sql(fields: Fields) -> list[str]:
    """SQL of all that a row says."""
    return ["trim(__object, ' \t\r\n')"] if fields.has_object else list(fields.sql.values())


def _constants_sql(source: SourceSpec) -> str:
    return literal("|".join(f"{k}={v}" for k, v in sorted(source.constants.items())))


def _present(sql: str) -> str:
    return f"coalesce({sql}::VARCHAR, '\x1f')"


def extra_properties_sql(source: SourceSpec, fields: Fields) -> str:
    """Of a source without objects: every field that fills no column of ours, as JSON with its type; a NULL one is left
    out.
    """
    used, taken = used_fields(source), {*property_constants(source), *source.properties}
    values = {n if n not in taken else f"event.{n}": sql for n, sql in fields.sql.items() if n not in used}
    is_nested = any(n in fields.nested for n in fields.sql if n not in used)
    values |= {k: literal(v) for k, v in property_constants(source).items()}
    values |= {
        k: _without_nulls(
            k, f"({fields.sql[v]})::VARCHAR" if v in fields.sql else field_sql(v, fields, as_name=False), source
        )
        for k, v in source.properties.items()
    }
    if not values:
        return "'{}'"
    if is_nested:  # their NULLs are left out, too, which costs reading what was written
        pairs = ", ".join(f"{literal(k)}, {sql}" for k, sql in values.items())
        return f"json_merge_patch('{{}}'::JSON, json_object({pairs}))::VARCHAR"
    parts = [
        f"CASE WHEN ({sql}) IS NULL THEN '' ELSE ',' || to_json({literal(k)}) || ':' || to_json({sql}) END"
        for k, sql in values.items()
    ]
    return f"'{{' || ({' || '.join(parts)})[2:] || '}}'"


def used_fields(source: SourceSpec) -> set[str]:
    """Their fields that fill a column of ours or are named under `properties`."""
    known = {c.name for c in TABLES[source.table].columns}
    return {source.columns.get(n, n) for n in known if n not in source.constants} | set(source.properties.values())


def property_constants(source: SourceSpec) -> dict[str, str]:
    """Constants that are no column of ours, as text."""
    known = {c.name for c in TABLES[source.table].columns}
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in source.constants.items() if k not in known}


def quoted(name: str) -> str:
    """The column of a judged table that holds the value of one of ours."""
    return identifier("v_" + name)
