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


# In a session key the first "/" ends the user: in the user's own id it is written otherwise.
SESSION_KEY_ESCAPES = (("~", "~0"), ("/", "~1"))


def session_key(began: str) -> str:
    """The SQL of a session's key: user and client session, or user and what tells apart the stretches without one.

    A client's session id is unique within its user only (many trackers count 1, 2, 3 for every user), so the user is in
    the key, and no two pairs have the same key. `began` is the column of the stretch: the instant at which it began.

    >>> session_key("began_at")[-79:]
    "|| CASE WHEN session_id IS NULL THEN '#' || began_at ELSE '/' || session_id END"
    """
    user = "user_id"
    for character, written in SESSION_KEY_ESCAPES:
        user = f"replace({user}, {literal(character)}, {literal(written)})"
    return f"{user} || CASE WHEN session_id IS NULL THEN '#' || {began} ELSE '/' || session_id END"


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
