"""A part of a file as columns of fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from launchpad_lib.ingestion.files.fields import Kind


class TextRows(NamedTuple):
    """`table`: a column per field plus `__line` (of the file, from 1); JSON adds `__object`, the whole object, and what
    its reader knows beside it.

    `broken`: (line, reason, raw) of unreadable rows.

    `names`: every field there is. `raw`: the rows as they were written, for given lines. `kind`: what the values are
    like.
    """

    table: pa.Table
    broken: list[tuple[int, str, str]]
    names: list[str]
    raw: Callable[[list[int]], list[str]]
    kind: Kind
