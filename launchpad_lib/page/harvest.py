"""What an executed notebook said, taken out of its typed outputs: verdict, findings, metrics, tables, and whether it
refused.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

import nbformat
import pyarrow as pa

from launchpad_lib.contract.arrow import ARROW_TYPES
from launchpad_lib.contract.catalogue import RESULT_TABLES
from launchpad_lib.contract.names import nearest
from launchpad_lib.page.notes import NOTE_MIME, note_text
from launchpad_lib.page.output import FINDINGS_MIME, METRIC_MIME, SCORECARD_MIME, TABLE_MIME


class SaidTable(NamedTuple):
    """A result table of the catalogue with all of its rows, under its declared columns and types."""

    name: str
    rows: pa.Table


class Said(NamedTuple):
    """What a page says, for the manifest and the index.

    `verdict` and `findings` are those of `conclude`.
    `scorecard` are the rows of a scorecard, of which the verdict is the run's.
    `notes` are the analyst's (`note`).
    `refused_because` is set where the page as a whole has no answer: it concluded so, or every headline metric that it
    shows is refused and nothing else was found.
    """

    verdict: str | None
    findings: list[dict]
    metrics: list[dict]
    tables: list[SaidTable]
    refused_because: str | None
    scorecard: list[dict] = []
    notes: list[str] = []


NOTHING_SAID = Said(None, [], [], [], None)


def harvest(notebook: nbformat.NotebookNode, *, name: str) -> Said:
    """Reads the typed outputs of an executed notebook.

    Raises:
        ValueError: it shows a table that is not in the catalogue, or one table twice, or concludes twice, or a value
            does not fit its column: the notebook is wrong, not the data.
    """
    concluded = [data[FINDINGS_MIME] for _, data in _outputs(notebook) if FINDINGS_MIME in data]
    if len(concluded) > 1:
        raise ValueError(
            f"conclude: called {len(concluded)} times in {name}; conclude once, in the cell tagged `answer`"
        )
    said = concluded[0] if concluded else {}
    findings = [finding | {"page": name} for finding in said.get("findings", [])]
    metrics = harvest_metrics(notebook, name=name)
    refused = said.get("refused_because") or _nothing_known(metrics, findings)
    rows: list[dict] = next((data[SCORECARD_MIME] for _, data in _outputs(notebook) if SCORECARD_MIME in data), [])
    notes = [note_text(data[NOTE_MIME]) for _, data in _outputs(notebook) if NOTE_MIME in data]
    return Said(said.get("verdict"), findings, metrics, _tables(notebook, name), refused, rows, notes)


def harvest_metrics(notebook: nbformat.NotebookNode, *, name: str) -> list[dict]:
    """The typed metrics in an executed notebook's outputs, in order, each with its `status` and the `anchor` of its
    heading.
    """
    found = []
    for anchor, data in _outputs(notebook):
        record = data.get(METRIC_MIME)
        if record:
            status = "refused" if record["refused_because"] else "ok"
            found.append({"notebook": name, **record, "status": status, "anchor": anchor})
    return found


def anchor_of(heading: str) -> str:
    """The id of a heading on its page.

    >>> anchor_of("Where do people stop?"), anchor_of("¿Qué pasó?"), anchor_of("?!")
    ('where-do-people-stop', 'que-paso', 'section')
    """
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"


def _outputs(notebook: nbformat.NotebookNode) -> list[tuple[str | None, dict]]:
    """Every output's data with the anchor of the last heading above it, in order; a heading said again is numbered, as
    on the page.
    """
    found, anchor = [], None
    taken: Counter[str] = Counter()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#{2,6} +(.+?)\s*$", cell.source, re.MULTILINE):
                anchor = anchor_of(heading)
                taken[anchor] += 1
                anchor += f"-{taken[anchor]}" if taken[anchor] > 1 else ""
        found += [(anchor, output.get("data", {})) for output in cell.get("outputs", [])]
    return found


def _nothing_known(metrics: list[dict], findings: list[dict]) -> str | None:
    """The first reason, where a page shows headline metrics, none has a number, and no finding says more than
    "unknown".
    """
    is_silent = all(f["severity"] == "unknown" for f in findings)
    reasons = [m["refused_because"] for m in metrics]
    return reasons[0] if reasons and all(reasons) and is_silent else None


def _tables(notebook: nbformat.NotebookNode, page: str) -> list[SaidTable]:
    found: dict[str, SaidTable] = {}
    for _, data in _outputs(notebook):
        if TABLE_MIME not in data:
            continue
        name = data[TABLE_MIME]["name"]
        if name in found:
            raise ValueError(f"table {name}: shown twice by {page}; show it once, with all of its rows")
        if name not in RESULT_TABLES:
            raise ValueError(f"table {name}: is not in the catalogue; {nearest(name, RESULT_TABLES)}")
        found[name] = SaidTable(name, _typed(name, data[TABLE_MIME]["rows"]))
    return list(found.values())


def _typed(name: str, rows: list[list[Any]]) -> pa.Table:
    """The rows under the declared columns and types; text in a column of instants is ISO 8601."""
    columns = RESULT_TABLES[name].columns
    arrays = []
    for place, column in enumerate(columns):
        values = [row[place] for row in rows]
        try:
            if column.type == "timestamp":
                values = [None if v is None else datetime.fromisoformat(v).replace(tzinfo=None) for v in values]
            elif column.type in ("string", "json"):  # names from the data may be numbers
                values = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
            arrays.append(pa.array(values, ARROW_TYPES.get(column.type, pa.string())))
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise ValueError(
                f"table {name}: column {column.name} is no {column.type} ({error}); mend the column"
            ) from error
    return pa.table(arrays, schema=pa.schema([pa.field(c.name, a.type) for c, a in zip(columns, arrays, strict=True)]))
