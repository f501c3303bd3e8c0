"""What a run says while it works: a bar per notebook on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TextIO

from launchpad_lib.contract.manifest import Status

if TYPE_CHECKING:
    from rich.progress import TaskID


class Progress(AbstractContextManager, Protocol):
    """Told of every step of a run; calls may come from several threads."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def start(self, name: str, *, cells: int) -> None:
        """A notebook begins."""

    def advance(self, name: str) -> None:
        """One more of its cells is done."""

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """A notebook ended; `reason` is why it failed or refused."""


class PlainProgress:
    """One line per finished step, for logs and CI."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, line: str) -> None:
        """Prints the line at once."""
        print(line, file=self._stream, flush=True)

    def start(self, name: str, *, cells: int) -> None:
        """Says nothing: a log has a line for what is done."""

    def advance(self, name: str) -> None:
        """Says nothing."""

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Says how it ended."""
        self.say(_ended(name, status, seconds, reason))


class TerminalProgress:
    """A bar per notebook that counts its cells (rich)."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=28), TaskProgressColumn(), TimeElapsedColumn()
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Prints above the bars."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def start(self, name: str, *, cells: int) -> None:
        """Adds the notebook's bar."""
        self._tasks[name] = self._bars.add_task(name, total=cells)

    def advance(self, name: str) -> None:
        """Moves its bar on by one cell."""
        self._bars.advance(self._tasks[name])

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Fills the bar, or says why it stopped."""
        task = self._tasks[name]
        if status == "ok":
            self._bars.update(task, completed=self._bars.tasks[task].total)
        else:
            colour = "red" if status == "failed" else "yellow"
            self._bars.update(task, description=f"[{colour}]{name} {status}[/{colour}]")
            self.say(_ended(name, status, seconds, reason))
        self._bars.stop_task(task)


def _ended(name: str, status: Status, seconds: float, reason: str | None) -> str:
    if status == "ok":
        return f"{name}: ok in {seconds:.1f} s"
    return f"{name}: {status} after {seconds:.1f} s ({' '.join((reason or '').split())})"


def progress_for(stream: TextIO) -> PlainProgress | TerminalProgress:
    """Bars on a terminal, lines elsewhere."""
    return TerminalProgress() if stream.isatty() else PlainProgress(stream)
