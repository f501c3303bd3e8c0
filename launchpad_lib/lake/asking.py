"""One question in SQL to the views of a lake, on a connection that reads their files and nothing else.

Two locks, each enough for what is known: the engine may touch no file but those of the views, and what is asked may
only read. The second is needed because a SELECT of DuckDB can write (a COPY as the body of a WITH), over those files
too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import duckdb

from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.contract.sql import file_list, literal
from launchpad_lib.lake.opening import MEMORY_LIMIT, THREADS
from launchpad_lib.lake.warehouse import WarehouseViews, create_views

READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "STATEMENT_NODE"}
# No other: among the engine's table functions are some that run SQL or write files.
TABLE_FUNCTIONS = {"unnest", "range", "generate_series", "repeat", "json_each", "json_tree", "duckdb_columns",
                   "duckdb_functions", "duckdb_views", "histogram"}  # fmt: skip


T = TypeVar("T")


@contextmanager
def answered(
    sql: str, views: WarehouseViews, *, spill: str
) -> Iterator[tuple[list[str], Iterator[list[tuple[Any, ...]]]]]:
    """The answer's column names and its rows, some thousand at a time. `spill` is a folder for what is larger than
    memory.

    Raises:
        ValueError: it is not one statement that only reads, or the engine cannot answer it.
    """
    held = views.held  # as long as these are open the files stay
    con = duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY_LIMIT, "temp_directory": spill})
    try:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")
        create_views(con, views.queries)
        con.execute("SET autoinstall_known_extensions = false")
        con.execute("SET autoload_known_extensions = false")
        con.execute(f"SET allowed_paths = {file_list(views.files)}")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        try:
            _refuse_unless_it_only_reads(con, sql, views.queries)
            with ThreadPoolExecutor(1) as pool:
                _stoppable(con, pool.submit(con.execute, sql))
                names = [column[0] for column in con.description or []]
                yield names, _parts(con, pool)
        except duckdb.InterruptException as stopped:
            raise KeyboardInterrupt from stopped
        except duckdb.Error as error:
            raise ValueError(_sentence(str(error), views.queries)) from error
    finally:
        con.close()
        for file in held:
            file.close()


def _parts(con: duckdb.DuckDBPyConnection, pool: ThreadPoolExecutor) -> Iterator[list[tuple[Any, ...]]]:
    while rows := _stoppable(con, pool.submit(con.fetchmany, 4096)):
        yield rows


def _stoppable(con: duckdb.DuckDBPyConnection, work: Future[T]) -> T:
    """What a thread is given. In the main thread the engine would hear Ctrl-C only when it is done."""
    try:
        return work.result()
    except KeyboardInterrupt:
        con.interrupt()
        raise


def _refuse_unless_it_only_reads(con: duckdb.DuckDBPyConnection, sql: str, views: Iterable[str]) -> None:
    parsed = json.loads(con.execute(f"SELECT json_serialize_sql({literal(sql)})").fetchall()[0][0])
    if parsed["error"]:
        told = parsed["error_message"]
        if parsed.get("error_type") == "parser":
            raise ValueError(_sentence(told, {}))
        raise ValueError(f"sql={quoted(sql)}: only a SELECT is answered, and nothing is written; write one")
    if len(parsed["statements"]) != 1:
        raise ValueError(
            f"sql={quoted(sql)}: holds {len(parsed['statements'])} statements, and one is answered at a time; "
            "write one SELECT"
        )
    for node in _nodes(parsed):
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in READING_NODES:
            raise ValueError(f"sql={quoted(sql)}: only reads are answered, and nothing is written; leave that part out")
        if kind == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                raise ValueError(
                    f"sql: the table function {quoted(name)} is not answered, since only the lake's views are "
                    f"read, neither other files nor the network; name one of {', '.join(views)}"
                )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _sentence(told: str, views: Mapping[str, str]) -> str:
    """What the engine says, as one sentence with a remedy."""
    if found := re.search(r"Table with name (.+?) does not exist!", told, re.DOTALL):
        return f"sql: there is no view {quoted(found[1])}; {nearest(found[1], views)}"
    if told.startswith("Permission Error"):
        return (
            "sql: only the views of the lake are read, neither other files nor the network; name one of "
            f"{', '.join(views)}"
        )
    said, _, place = told.partition("\n\nLINE ")
    said = said.split("Candidate functions:")[0]
    said = " ".join(re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", said).split()).rstrip(".;!")
    at = place.partition(":")[0]
    return f"sql: {said}{f' (line {at})' if at.isdigit() else ''}; correct the query"
