"""The kernel's side of a live page: one notebook, asked over one comm; what a browser sends is data, never code."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from launchpad_lib.app.asking import Asking
from launchpad_lib.app.live_notebook import LiveNotebook
from launchpad_lib.app.panel import panel
from launchpad_lib.contract.legible import visible
from launchpad_lib.page.rendering import renderer
from launchpad_lib.runner.parameters import RunParams, load_run
from launchpad_lib.runner.workbook import workbook_of

TARGET = "launchpad"
BETWEEN_PAGES_SECONDS = 0.7
TURN_SECONDS = 0.001
"""Between two statements the kernel hears whether something else is asked meanwhile."""


class Workbook(NamedTuple):
    """Where the notebooks are, and the params file that the apps were started with."""

    notebooks: Path
    root: Path
    run: RunParams | None


def code_that_waits(notebooks: str, params: str | None) -> str:
    """What a kernel runs to wait for a page."""
    return f"from {__name__} import ready as _ready\n_ready({notebooks!r}, {params!r})\ndel _ready"


def ready(notebooks: str, params: str | None) -> None:
    """Makes this kernel wait for a page: everything is imported, and the drawing program runs."""
    from IPython import get_ipython

    run, root = (load_run(Path(params)), workbook_of(Path(params))) if params else (None, Path(notebooks).parent)
    workbook = Workbook(Path(notebooks), root, run)
    held: list[Session] = []
    shell = get_ipython()

    def opened(comm: Any, message: Mapping[str, Any]) -> None:
        if held:  # one page a kernel
            comm.close()
            return
        held.append(Session(comm, workbook, magics=shell.transform_cell))
        held[0].begin(message["content"]["data"])

    shell.kernel.comm_manager.register_target(TARGET, opened)
    renderer().picture({"mark": "point", "data": {"values": [{"x": 1}]}, "encoding": {"x": {"field": "x"}}})


class Session:
    """What is asked is answered in order; a newer question ends the answer to the one before it."""

    def __init__(self, comm: Any, workbook: Workbook, *, magics: Any = str) -> None:
        self._comm, self._workbook, self._magics = comm, workbook, magics
        self._asked: dict[str, Any] = {}
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()
        self._asking: Asking | None = None
        self._live: LiveNotebook | None = None
        comm.on_msg(self._heard)

    def begin(self, data: Mapping[str, Any]) -> None:
        """The first message: the notebook's name and the query of the address."""
        try:
            name = str(data.get("name"))
            asking = Asking(name, notebooks=self._workbook.notebooks, run=self._workbook.run, root=self._workbook.root)
            self._asking = asking
            self._live = LiveNotebook(self._workbook.notebooks / f"{name}.ipynb", magics=self._magics)
            self._say("panel", controls=panel(asking), own=asking.own)
            self._asked = asking.from_address(str(data.get("query", "")))
        except (ValueError, OSError) as error:
            self._say("fault", sentence=visible(str(error)))
            return
        self._start()

    def _heard(self, message: Mapping[str, Any]) -> None:
        data = message["content"]["data"]
        kind = data.get("kind") if isinstance(data, dict) else None
        if self._live is None or self._asking is None:
            return
        if kind == "download":
            self._say("download", name=self._asking.name, page=self._live.page())
        elif kind == "again":
            self._asking = Asking(
                self._asking.name, notebooks=self._workbook.notebooks, run=self._workbook.run, root=self._workbook.root
            )
            self._start(again=True)
        elif kind == "ask" and isinstance(data.get("values"), dict):
            self._asked = {str(name): value for name, value in data["values"].items()}
            self._start()

    def _start(self, *, again: bool = False) -> None:
        self._number += 1
        task = asyncio.get_running_loop().create_task(self._answer(self._number, again=again))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, number: int, *, again: bool) -> None:
        """Runs what the question changes; the page goes out with its first chart, then now and then, then whole."""
        live, asking = self._live, self._asking
        if live is None or asking is None:
            return
        began = time.monotonic()
        try:
            values = asking.values(self._asked)
        except (ValueError, OSError) as error:
            self._say("fault", sentence=visible(str(error)))
            return
        self._say("asked", values=values)
        told, has_told = time.monotonic(), False
        for part in live.run(live.ask(values, again=again)):
            now = time.monotonic()
            if (part.shows_chart and not has_told) or (has_told and now - told > BETWEEN_PAGES_SECONDS):
                self._say("page", html=live.answer(), is_whole=False)
                told, has_told = time.monotonic(), True
            await asyncio.sleep(TURN_SECONDS)
            if number != self._number:
                return
        self._say("page", html=live.answer(), is_whole=True, seconds=round(time.monotonic() - began, 3))

    def _say(self, kind: str, **data: Any) -> None:
        self._comm.send(json.loads(json.dumps({"kind": kind, **data})))
