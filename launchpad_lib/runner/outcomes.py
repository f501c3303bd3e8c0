"""What became of a run's notebooks, as the manifest and the terminal say it; and the tables that they hand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq

from launchpad_lib.contract.manifest import Manifest, NotebookRun, Status, TableWritten
from launchpad_lib.contract.sentences import listed
from launchpad_lib.runner.execution import Executed
from launchpad_lib.runner.summary_words import page_name


def worst(statuses: Iterable[Status]) -> Status:
    """The status of a run: failed where a notebook failed, else refused where one refused, else ok.

    >>> worst(["ok", "refused", "ok"]), worst([])
    ('refused', 'ok')
    """
    return max(statuses, key=get_args(Status).index, default="ok")


def summary(done: Sequence[Executed]) -> str:
    """One line for the end of a run: its status, and which notebooks are not ok."""
    status = worst(one.status for one in done)
    names = [one.name for one in done if one.status == status]
    return "ok" if status == "ok" else f"{status}, {len(names)} of {len(done)} notebooks ({', '.join(names)})"


def notebook_record(one: Executed) -> NotebookRun:
    """A notebook in the manifest. `reason` is why it failed or refused; what a failed one said is not taken."""
    return NotebookRun.model_validate(
        {
            "name": one.name,
            "title": one.title,
            "status": one.status,
            "reason": one.reason,
            "seconds": one.seconds,
            "html": f"{one.name}.html",
            "verdict": one.said.verdict,
            "findings": one.said.findings,
            "notes": one.said.notes,
        }
    )


def verdict_of(manifest: Manifest) -> str | None:
    """What a run says first: its scorecard's verdict, unless no feature needs action there and a page asks for it.

    An experiment that harms is no feature's row: "nothing got worse" above it would be read as all clear.
    """
    if manifest.verdict is None or any(row.severity == "act" for row in manifest.scorecard):
        return manifest.verdict
    grave = (n.verdict for n in manifest.notebooks if n.verdict and any(f.severity == "act" for f in n.findings))
    said = next(grave, manifest.verdict)
    failed = [page_name(n.title) for n in manifest.notebooks if n.status == "failed"]
    return f"{said.removesuffix('.')}; {listed(failed, most=2)} failed." if failed else said


def write_tables(done: Iterable[Executed], folder: Path) -> list[TableWritten]:
    """Writes every result table as `tables/NAME.parquet`; returns what the manifest lists.

    A table has one home: where a second notebook shows a table of the same name, its rows go to
    `tables/NAME.NOTEBOOK.parquet`, because rows of two questions under one name could not be told apart.
    """
    listed: list[TableWritten] = []
    for one in done:
        for name, rows in one.said.tables:
            is_taken = any(t.name == name for t in listed)
            path = f"tables/{name}.{one.name}.parquet" if is_taken else f"tables/{name}.parquet"
            (folder / "tables").mkdir(exist_ok=True)
            pq.write_table(rows, folder / path, compression="zstd")
            listed.append(
                TableWritten(
                    name=name, notebook=one.name, path=path, rows=rows.num_rows, columns=tuple(rows.column_names)
                )
            )
    return listed
