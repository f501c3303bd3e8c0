"""Names and values in SQL: quoted here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

SQL_TYPES = {
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "float64": "DOUBLE",
    "int64": "BIGINT",
    "boolean": "BOOLEAN",
    "json": "VARCHAR",
}


def identifier(name: str) -> str:
    """A name as an SQL identifier; quotes in it are doubled.

    >>> print(identifier('a "b" c'))
    "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A value as an SQL string literal; quotes in it are doubled, a boolean is true or false.

    >>> literal("it's"), literal(True)
    ("'it''s'", "'true'")
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"


def file_list(paths: Iterable[object]) -> str:
    """Paths as the list that `read_parquet` takes.

    >>> file_list(["a.parquet", "it's.parquet"])
    "['a.parquet', 'it''s.parquet']"
    """
    return "[" + ", ".join(literal(p) for p in paths) + "]"
