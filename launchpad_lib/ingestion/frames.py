"""An own data frame as events: through the same door as a file, opened as a lake."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.scratch_folders import ScratchFolder
from launchpad_lib.contract.sentences import counted
from launchpad_lib.ingestion.files.sink import ingest
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec, Unit
from launchpad_lib.lake.opening import Lake, open_lake

FILE = "frame.parquet"


def from_frame(
    df: Any,
    *,
    user: str,
    event: str,
    at: str,
    timezone: str = "UTC",
    unit: Unit | None = None,
    time_format: str | None = None,
    observed_through: str | None = None,
) -> Lake:
    """A data frame of events as a lake: `from_frame(...).events` is what every metric takes.

    Its rows go through the door of a file and are held against the same contract: a row that breaks it is in
    `rejected` with its reason, and a warning says how many are. Columns named as ours (`event_id`, `session_id`,
    `platform`, ...) are ours; every other one is a property. The lake lies in a temporary folder and goes with what
    was opened.

    Args:
        df: a pandas frame, or whatever else Arrow can read (polars, Arrow tables); its index is left out.
        user: the column that tells who did it; looked up literally, as are the next two.
        event: the column that names what was done.
        at: the column that says when: instants, ISO 8601 texts, or numbers with `unit`.
        timezone: IANA name for times that state none.
        unit: of times that are numbers, since 1970.
        time_format: the form of times that are other texts, as for strptime.
        observed_through: date or UTC instant through which the data are complete; derived where it is not named.

    Raises:
        ValueError: no such column, no row, no row that keeps the contract, or columns that cannot be read; one
            sentence.

    >>> import pandas as pd
    >>> from launchpad_lib.metrics import funnel
    >>> log = pd.DataFrame(
    ...     {
    ...         "who": ["ada", "ada", "bob"],
    ...         "did": ["visit", "buy", "visit"],
    ...         "when": ["2026-01-01T09:00Z", "2026-01-01T10:00Z", "2026-01-02T09:00Z"],
    ...     }
    ... )
    >>> data = from_frame(log, user="who", event="did", at="when", observed_through="2026-01-31")
    >>> steps = funnel(data.events, steps=["visit", "buy"], window="7d", observed_through=data.observed_through)
    >>> steps.order_by("step").to_pandas()["users"].tolist()
    [2, 1]

    >>> from_frame(log, user="who", event="didd", at="when")
    Traceback (most recent call last):
    ValueError: from_frame: event='didd' is no column of the frame; did you mean 'did'?
    """
    table = _table(df)
    columns = {"user_id": str(user), "event_name": str(event), "event_at": str(at)}
    for argument, name in zip(("user", "event", "at"), columns.values(), strict=True):
        if name not in table.column_names:
            raise ValueError(
                f"from_frame: {argument}={name!r} is no column of the frame; {nearest(name, table.column_names)}"
            )
    if not table.num_rows:
        raise ValueError("from_frame: the frame has no row; give one event a row")
    folder = ScratchFolder("frame")
    try:
        pq.write_table(table, Path(folder.name) / FILE)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"from_frame: the frame cannot be kept in a temporary folder ({_short(error)})") from error
    opened = _opened(Path(folder.name), columns, timezone, unit, time_format, observed_through)
    # As long as a table of it is held, its files are there.
    opened.events.get_backend().frame_folder = folder
    return opened


def _opened(
    folder: Path,
    columns: Mapping[str, str],
    timezone: str,
    unit: Unit | None,
    time_format: str | None,
    observed_through: str | None,
) -> Lake:
    try:
        source = SourceSpec.model_validate(
            {
                "table": "events",
                "path": FILE,
                "columns": columns,
                "timezone": timezone,
                "units": {"event_at": unit} if unit else {},
                "formats": {"event_at": time_format} if time_format else {},
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        argument = {"units": "unit: ", "timezone": "timezone: "}.get(str(next(iter(first["loc"]), "")), "")
        raise ValueError(f"from_frame: {argument}{said.replace('formats.event_at', 'time_format')}") from error
    try:
        done = ingest(source, lake=folder / "lake", ingested_at=datetime.now(UTC), root=folder)
    except IngestError as error:
        raise ValueError(f"from_frame: {_in_our_words(str(error), columns)}") from None
    opened = open_lake(folder / "lake", observed_through=observed_through)
    if done.rejected:
        first = opened.rejected.order_by("line").limit(1).to_pandas().iloc[0]
        warnings.warn(
            f"from_frame: {done.rejected:,} of {counted(done.read, 'row')} were refused, the first is row "
            f"{first.line}: {_in_our_words(first.reason, columns)}; all of them are in `.rejected`",
            stacklevel=3,
        )
    return opened


def _table(df: Any) -> pa.Table:
    """The frame in Arrow, categories as their values; names of columns are texts."""
    import pandas as pd

    try:
        if isinstance(df, pd.DataFrame):
            named = df.set_axis([str(c) for c in df.columns], axis="columns")
            twice = named.columns[named.columns.duplicated()]
            if len(twice):
                raise ValueError(f"from_frame: column {twice[0]!r} stands twice in the frame; rename one")
            table = pa.Table.from_pandas(named, preserve_index=False)
        elif hasattr(df, "__arrow_c_stream__"):
            table = pa.table(df)
        else:
            raise ValueError(
                f"from_frame: df is a {type(df).__name__}; give a pandas frame or another that Arrow reads"
            )
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(
            f"from_frame: the frame cannot be read ({_short(error)}); give each column one type"
        ) from error
    fields = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(fields))


def _in_our_words(sentence: str, columns: Mapping[str, str]) -> str:
    """A sentence of the files' door with what the caller can change in place of a mapping."""
    said = sentence.removeprefix(f"{FILE}: ")
    said = re.sub(r"`units: \{event_at: (\w+)\}`", r"`unit='\1'`", said)
    said = re.sub(r"`formats: \{event_at: ('[^`]*')\}`", r"`time_format=\1`", said)
    said = said.replace("a file's mapping may state `units` or `formats`", "`unit` or `time_format` may be stated")
    for ours, theirs in columns.items():
        said = re.sub(rf"\b{ours}\b", theirs.replace("\\", r"\\"), said)
    return said


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
