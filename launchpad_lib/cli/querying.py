"""`launchpad sql`: one question in SQL to the views of a lake; `launchpad rejected`: what it refused, by reason."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import sys
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from launchpad_lib.cli.reporting import run_in_its_workbook
from launchpad_lib.contract.scratch_folders import ScratchFolder

SHOWN_ROWS = 40
COUNTED_ROWS = 1_000_000
NARROWEST = 10  # letters of a column that can be read
Parts = Iterator[list[tuple[Any, ...]]]


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds sql and rejected."""
    asking = commands.add_parser(
        "sql",
        help="one SELECT to the lake's views, and LAKE/warehouse.duckdb brought up to date",
        epilog="The views and their columns: docs/sql.md. Nothing is written but that file.",
    )
    asking.set_defaults(run=_sql)
    asking.add_argument("query", nargs="?", help='the SELECT, in quotes; "-" reads it from standard input')
    asking.add_argument("-f", "--file", help="read the SELECT from this file")
    asking.add_argument("--lake", help="folder of the Delta tables (default: that of the params file)")
    asking.add_argument(
        "--params", help="params file whose lake is read (default: params/weekly.yaml of this workbook)"
    )
    form = asking.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_const", dest="form", const="csv", help="every row, as CSV")
    form.add_argument("--json", action="store_const", dest="form", const="json", help="every row, as a JSON array")
    asking.add_argument(
        "--rows", type=int, default=SHOWN_ROWS, help=f"rows that the table shows at most (default: {SHOWN_ROWS})"
    )
    refused = commands.add_parser("rejected", help="refused rows of a lake by reason, each with an example")
    refused.set_defaults(run=_rejected)
    refused.add_argument("lake", help="folder of the Delta tables")
    refused.add_argument("--reason", help="only reasons that contain this text")
    refused.add_argument("--source", help="only files or streams whose name contains this text")
    shape = refused.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_const", dest="form", const="csv", help="every reason, as CSV")
    shape.add_argument("--json", action="store_const", dest="form", const="json", help="every reason, as a JSON array")


def _rejected(arguments: argparse.Namespace) -> int:
    from launchpad_lib.lake.rejects import refused_by_reason

    names, rows = refused_by_reason(arguments.lake, reason=arguments.reason, source=arguments.source)
    show = {"csv": _show_csv, "json": _show_json}.get(arguments.form)
    if show:
        show(names, iter([rows]))
    else:
        _show_table(names, iter([rows]), shown=SHOWN_ROWS)
    sys.stdout.flush()
    return 0


def _sql(arguments: argparse.Namespace) -> int:
    from launchpad_lib.lake.asking import answered
    from launchpad_lib.lake.warehouse import named_through, warehouse_views, write_warehouse

    if arguments.rows < 1:
        raise ValueError(f"rows={arguments.rows}: must be at least 1; choose for example {SHOWN_ROWS}")
    if arguments.lake and arguments.params:
        raise ValueError(f"lake={arguments.lake!r}: is named beside --params, which has a lake; leave one of them out")
    sql = _question(arguments.query, arguments.file)
    with contextlib.ExitStack() as stack:
        if arguments.lake:
            lake, versions, through = Path(arguments.lake), {}, named_through(arguments.lake)
        else:
            run = stack.enter_context(run_in_its_workbook(arguments.params, say=lambda _: None))
            lake, versions, through = Path(run.lake), run.lake_versions, run.observed_through
            if not lake.is_dir():
                ask = f"run `launchpad ingest {arguments.params or ''}".rstrip() + "` first"
                raise ValueError(
                    f"lake={run.lake!r}: there is no such folder; {ask}, or name a lake by --lake or --params"
                )
        views = warehouse_views(lake, versions=versions, observed_through=through)
        with contextlib.suppress(OSError):  # a lake that cannot be written is answered all the same
            write_warehouse(lake, views, through=through)
        spill = stack.enter_context(ScratchFolder("sql"))
        names, parts = stack.enter_context(answered(sql, views, spill=spill))
        show = {"csv": _show_csv, "json": _show_json}.get(arguments.form)
        if show:
            show(names, parts)
        else:
            _show_table(names, parts, shown=arguments.rows)
        sys.stdout.flush()
    return 0


def _question(query: str | None, file: str | None) -> str:
    if (query is None) == (file is None):
        said = "both a query and --file are given" if file else "no query is given"
        raise ValueError(f'sql: {said}; write one, for example launchpad sql "SELECT count(*) FROM fact_events"')
    try:
        text = Path(file).read_text(encoding="utf-8") if file else sys.stdin.read() if query == "-" else str(query)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        where = f"file={file!r}" if file else "sql='-'"
        raise ValueError(f"{where}: cannot be read ({reason}); name a text file with one SELECT") from error
    if not text.strip().strip(";"):
        raise ValueError('sql: the query is empty; write one, for example "SELECT count(*) FROM fact_events"')
    return text


def _show_table(names: list[str], parts: Parts, *, shown: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from launchpad_lib.contract.legible import visible

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    rows: list[tuple[Any, ...]] = []
    more, is_counted = 0, True
    for part in parts:
        taken = part[: shown - len(rows)]
        rows += taken
        more += len(part) - len(taken)
        if more > COUNTED_ROWS:
            more, is_counted = COUNTED_ROWS, False
            break
    console = Console(highlight=False)
    cells = [[Text("NULL", "dim") if v is None else Text(visible(_text(v))) for v in row] for row in rows]
    if len(names) * NARROWEST > console.width:  # too many columns side by side: one under the other
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for number, row in enumerate(cells):
            if number:
                table.add_row()
            for name, cell in zip(names, row, strict=True):
                table.add_row(Text(visible(name)), cell)
    else:
        for number, name in enumerate(names):
            is_number = any(isinstance(r[number], int | float | Decimal) for r in rows) and not any(
                isinstance(r[number], bool) for r in rows
            )
            table.add_column(Text(visible(name)), justify="right" if is_number else "left", overflow="fold")
        for row in cells:
            table.add_row(*row)
    with console.capture() as drawn:  # rich itself would end the process on a broken pipe
        console.print(table)
        if more:
            console.print(f"and {'' if is_counted else 'more than '}{more:,} more; --csv and --json give every row")
        elif not rows:
            console.print("no rows")
    sys.stdout.write(drawn.get())


def _show_csv(names: list[str], parts: Parts) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for part in parts:
        writer.writerows([["" if v is None else _text(v) for v in row] for row in part])


def _show_json(names: list[str], parts: Parts) -> None:
    unlike = []
    for name in names:  # an object has each name once
        while name in unlike:
            name += "_1"
        unlike.append(name)
    begun = False
    for part in parts:
        for row in part:
            sys.stdout.write(",\n" if begun else "[\n")
            sys.stdout.write(json.dumps(dict(zip(unlike, map(_plain, row), strict=True)), ensure_ascii=False))
            begun = True
    sys.stdout.write("\n]\n" if begun else "[]\n")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ", timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
    if isinstance(value, list | dict | tuple):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    """As JSON has it: an instant as ISO 8601 (UTC), what is no finite number as null."""
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else str(value)
