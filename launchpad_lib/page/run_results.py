"""What the earlier notebooks of a run said, handed to one that comes after them: a folder that the runner writes and
`read_results` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from launchpad_lib.contract.findings import Finding
from launchpad_lib.page.harvest import Said

PAGES = "pages.json"


class EarlierPage(NamedTuple):
    """One notebook: ok, refused or failed; why; and its findings."""

    status: str
    reason: str | None
    findings: tuple[Finding, ...]


class RunResults(NamedTuple):
    """Of one run: its pages so far by notebook, and their result tables by name; empty without a run."""

    pages: Mapping[str, EarlierPage] = {}
    tables: Mapping[str, pd.DataFrame] = {}

    @property
    def is_run(self) -> bool:
        """Whether a run stands behind it."""
        return bool(self.pages)


NO_RUN = RunResults()


def write_results(folder: Path, pages: Iterable[tuple[str, str, str | None, Said]], *, tables: Iterable[str]) -> None:
    """Writes what pages (name, status, reason, what was said) have found so far.

    Args:
        tables: which result tables are handed on; of one that two pages show, the first one's.
    """
    folder.mkdir(exist_ok=True)
    wanted, told = set(tables), {}
    for name, status, reason, said in pages:
        findings = [{k: v for k, v in f.items() if k != "page"} for f in said.findings]
        told[name] = {"status": status, "reason": reason, "findings": findings}
        for table, rows in said.tables:
            if table in wanted:
                wanted.discard(table)
                pq.write_table(rows, folder / f"{table}.parquet")
    (folder / PAGES).write_text(json.dumps(told), encoding="utf-8")


def read_results(folder: str | None) -> RunResults:
    """What `write_results` wrote; nothing where there is no such folder, as by hand, or when a run is over.

    >>> read_results(None).is_run
    False
    """
    if folder is None or not (Path(folder) / PAGES).is_file():
        return NO_RUN
    told = json.loads((Path(folder) / PAGES).read_text(encoding="utf-8"))
    pages = {
        name: EarlierPage(page["status"], page["reason"], tuple(Finding(**f) for f in page["findings"]))
        for name, page in told.items()
    }
    tables = {path.stem: pq.read_table(path).to_pandas() for path in sorted(Path(folder).glob("*.parquet"))}
    return RunResults(pages, tables)
