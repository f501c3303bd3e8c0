"""What a run says while it works: bars on a terminal, plain lines elsewhere, JSON for programs, or only what failed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Literal, Protocol, TextIO

from launchpad_lib.contract.manifest import Status
from launchpad_lib.contract.sentences import counted
from launchpad_lib.runner.durations import Durations
from launchpad_lib.runner.told_runs import Begun, Ended, ended_words, expected_words


class Progress(AbstractContextManager, Protocol):
    """Told of every step of a run; calls may come from several threads."""

    def begin(self, run: Begun) -> None:
        """The run begins."""

    def doing(self, what: str) -> None:
        """What it is at, beside its notebooks: for example `checking the parameters`."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def start(self, name: str, *, cells: int) -> None:
        """A notebook begins."""

    def advance(self, name: str) -> None:
        """One more of its cells is done."""

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """A notebook ended; `reason` is why it failed or refused."""

    def end(self, run: Ended) -> None:
        """The run is published."""


class _Silent:
    """Says nothing; the others say what they have to."""

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, run: Begun) -> None:
        """Says nothing."""

    def doing(self, what: str) -> None:
        """Says nothing."""

    def say(self, line: str) -> None:
        """Says nothing."""

    def start(self, name: str, *, cells: int) -> None:
        """Says nothing."""

    def advance(self, name: str) -> None:
        """Says nothing."""

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Says nothing."""

    def end(self, run: Ended) -> None:
        """Says nothing."""


class PlainProgress(_Silent):
    """One line per finished step, for logs and CI."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = line_writer(stream or sys.stdout)

    def begin(self, run: Begun) -> None:
        """Says how long it may take, where runs before it tell."""
        if run.usual.whole is not None:
            self.say(f"{run.run_id}: {counted(len(run.notebooks), 'notebook')}, {expected_words(run.usual)}")

    def say(self, line: str) -> None:
        """Prints the line at once."""
        self._line(line)

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Says how it ended."""
        self.say(ended_words(name, status, seconds, reason))

    def end(self, run: Ended) -> None:
        """Says where to look."""
        self.say(run.said)


class QuietProgress(_Silent):
    """Only what failed, on standard error; the exit status says the same."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = line_writer(stream or sys.stderr)

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Says it of a notebook that failed."""
        if status == "failed":
            self._line(f"launchpad: {ended_words(name, status, seconds, reason)}")


class JsonProgress(_Silent):
    """One JSON object a line, its field `event` first; docs/runs.md has the events and their fields."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = line_writer(stream or sys.stdout)
        self._usual, self._lock = Durations(), Lock()
        self._cells: dict[str, list[int]] = {}

    def _tell(self, event: str, **fields: object) -> None:
        self._line(json.dumps({"event": event, **fields}, ensure_ascii=False))

    def begin(self, run: Begun) -> None:
        """run_started: with the seconds that may be expected."""
        self._usual = run.usual
        told = {"run_id": run.run_id, "name": run.name, "notebooks": list(run.notebooks)}
        self._tell("run_started", **told, expected_seconds=run.usual.whole)

    def doing(self, what: str) -> None:
        """doing: what the run is at."""
        self._tell("doing", text=what)

    def say(self, line: str) -> None:
        """said: a line for people."""
        self._tell("said", text=line)

    def start(self, name: str, *, cells: int) -> None:
        """notebook_started: with its cells and the seconds that may be expected."""
        self._cells[name] = [0, cells]
        self._tell("notebook_started", notebook=name, cells=cells, expected_seconds=self._usual.notebooks.get(name))

    def advance(self, name: str) -> None:
        """cell_done: so many of its cells."""
        with self._lock:
            self._cells[name][0] += 1
            done, cells = self._cells[name]
        self._tell("cell_done", notebook=name, done=done, cells=cells)

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """notebook_ended: with its status, and why it failed or refused."""
        self._tell("notebook_ended", notebook=name, status=status, seconds=round(seconds, 2), reason=reason)

    def end(self, run: Ended) -> None:
        """run_ended: with its status and the page to open."""
        self._tell("run_ended", run_id=run.run_id, status=run.status, index=run.page)


def line_writer(stream: TextIO) -> Callable[[str], None]:
    """Writes whole lines at once, from any thread. Where nobody reads any more, the run goes on unheard."""
    lock = Lock()

    def write(line: str) -> None:
        with lock:
            try:
                stream.write(f"{line}\n")
                stream.flush()
            except BrokenPipeError:
                # What Python still holds back for it goes nowhere, or its end would tell of it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return write


Form = Literal["plain", "quiet", "json"]


def progress_for(stream: TextIO, *, form: Form | None = None) -> Progress:
    """What was asked for; otherwise bars on a terminal that can draw them, lines elsewhere."""
    if form == "quiet":
        return QuietProgress()
    if form == "json":
        return JsonProgress(stream)
    if form is None and stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        from launchpad_lib.runner.terminal_progress import TerminalProgress

        return TerminalProgress()
    return PlainProgress(stream)
