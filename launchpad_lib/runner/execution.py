"""Executes one notebook with papermill and says what became of it: ok, refused (the data cannot answer) or failed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

from launchpad_lib.contract.estimates import Refused
from launchpad_lib.contract.findings import refused_conclusion
from launchpad_lib.contract.manifest import Status
from launchpad_lib.page.blocks import notebook_title
from launchpad_lib.page.harvest import NOTHING_SAID, Said, harvest
from launchpad_lib.runner.stopping import Kernels, Stopped

START_SECONDS = 60
KERNEL_ARGUMENTS = [
    "--log-level=40",  # ipykernel warns of TCP on loopback at every start
    "--HistoryManager.enabled=False",  # the cells of a report are not what somebody typed
]


class _Client(PapermillNotebookClient):
    """papermill's own client, which tells of its kernel, so that a run that is stopped need not wait for it."""

    def __init__(self, nb_man, *, kernels: Kernels, **options) -> None:
        self._kernels, self._manager = kernels, None
        super().__init__(nb_man, **options)

    def create_kernel_manager(self):
        self._manager = super().create_kernel_manager()
        self._kernels.begin(self._manager)
        return self._manager

    async def async_start_new_kernel(self, **options):
        await super().async_start_new_kernel(**options)
        self._kernels.started(self._manager)

    start_new_kernel = run_sync(async_start_new_kernel)

    def execute(self, **options):
        try:
            return super().execute(**options)
        finally:
            self._kernels.end(self._manager)


class CountedEngine(NBClientEngine):
    """papermill's own engine, which tells of every finished cell and of its kernel."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,
        kernel_name,
        *,
        out: Path,
        on_cell: Callable[[], None],
        kernels: Kernels,
        execution_timeout: int,
        **options,
    ):
        complete = nb_man.cell_complete

        def cell_complete(cell, cell_index=None, **more):
            complete(cell, cell_index=cell_index, **more)
            on_cell()

        nb_man.cell_complete = cell_complete
        client = _Client(
            nb_man,
            kernels=kernels,
            log=logger,
            kernel_name=kernel_name,
            timeout=execution_timeout,
            startup_timeout=START_SECONDS,
            shutdown_kernel="immediate",
            extra_arguments=KERNEL_ARGUMENTS,
        )
        try:
            return client.execute()
        except BaseException:  # no kernel, a dead one, a cell that took too long: what there is is written at the end
            nb_man.output_path = str(out)
            raise


papermill_engines.register("launchpad", CountedEngine)


class Executed(NamedTuple):
    """What became of a notebook, and what it said.

    Where it failed or refused, `reason` is readable text; otherwise None.

    Refused: it raised `contract.estimates.Refused`, or it said so (`page.harvest`). Whatever else it raised is a
    failure.
    """

    name: str
    title: str
    status: Status
    seconds: float
    reason: str | None
    notebook: nbformat.NotebookNode
    said: Said


def parameter_names(notebook: nbformat.NotebookNode) -> set[str]:
    """The names assigned in the cell tagged `parameters`."""
    import ast

    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    statements = [s for c in cells for s in ast.parse(c.source).body]
    targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    targets += [s.target for s in statements if isinstance(s, ast.AnnAssign)]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def cell_count(source: Path) -> int:
    """How many cells a run of the notebook will go through (papermill adds one with the parameters); 1 when
    unreadable.
    """
    try:
        return len(json.loads(source.read_text(encoding="utf-8"))["cells"]) + 1
    except Exception:  # whatever is wrong with it, `execute` says so
        return 1


def title_of_file(source: Path) -> str:
    """The title of a notebook, read without a look at whether it is valid; its name where it cannot be read."""
    try:
        return notebook_title(nbformat.v4.reads(source.read_text("utf-8")), otherwise=source.stem)
    except Exception:  # whatever is wrong with it, `execute` says so
        return source.stem


def execute(
    source: Path,
    *,
    out: Path,
    parameters: dict,
    timeout_seconds: int,
    kernel_name: str = "python3",
    on_cell: Callable[[], None],
    kernels: Kernels,
) -> Executed:
    """Runs a notebook and keeps it as `out`; whatever goes wrong is told in the result, never raised.

    Raises:
        Stopped: the run was stopped; what this notebook has said is of no use.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what happened is told in the result
    started = time.monotonic()
    error, refused, title = None, None, source.stem
    try:
        notebook = nbformat.read(source, as_version=4)
        title = notebook_title(notebook, otherwise=source.stem)
        unknown = set(parameters) ^ parameter_names(notebook)
        if unknown:
            raise ValueError(
                f"the `parameters` cell and the declared parameters differ in {', '.join(sorted(unknown))}; "
                "make them equal"
            )
        papermill.execute_notebook(
            str(source),
            str(out),
            parameters=parameters,
            kernel_name=kernel_name,
            progress_bar=False,
            log_output=False,
            execution_timeout=timeout_seconds,
            engine_name="launchpad",
            # papermill would write the whole notebook before and after every cell, and twice more: a third of the
            # runner's work. It is read when it has ended, however it ended; then it is written, once.
            request_save_on_cell_execute=False,
            out=out,
            on_cell=on_cell,
            kernels=kernels,
        )
    except papermill.PapermillExecutionError as failure:
        if failure.ename == Refused.__name__:
            refused = str(failure.evalue)
        else:
            error = f"{failure.ename}: {failure.evalue}"
    except CellTimeoutError:
        error = (
            f"a cell took longer than {timeout_seconds} s and was stopped; raise timeout_seconds or give it less data"
        )
    except DeadKernelError:
        error = "the kernel died (often: out of memory); run the notebook by hand to see where"
    except Exception as failure:  # the run goes on whatever a notebook does
        error = f"{type(failure).__name__}: {failure}"
    if kernels.is_stopped:
        raise Stopped
    if not out.exists():
        nbformat.write(nbformat.v4.new_notebook(), out)
    executed = nbformat.read(out, as_version=4)
    said = NOTHING_SAID
    if error is None:
        try:
            said = harvest(executed, name=source.stem)
        except ValueError as fault:
            error = str(fault)
    if refused and said.verdict is None:  # it stopped before it could conclude: that is its conclusion
        concluded = refused_conclusion(refused)
        findings = [f._asdict() | {"page": source.stem} for f in concluded.findings]
        said = said._replace(verdict=concluded.verdict, findings=findings)
    reason = error or refused or said.refused_because
    status: Status = "failed" if error else "refused" if reason else "ok"
    return Executed(source.stem, title, status, round(time.monotonic() - started, 2), reason, executed, said)
