"""Kernels of the app: some wait warm, a page has one of its own, and there are never more than so many."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

CULL_IDLE_SECONDS = 1800
CULL_INTERVAL_SECONDS = 60
WARM_SECONDS = 120


class TooMany(Exception):
    """As many pages are open as may be."""


class KernelPool:
    """Hands out kernels that wait for a page (`session.ready`); one that was handed out is never handed out again."""

    def __init__(self, manager: Any, *, code: str, cwd: str, most: int, warm: int) -> None:
        """`code` makes a kernel wait; at most `most` pages have one, and `warm` more wait for the next pages."""
        self._manager, self._code, self._cwd = manager, code, cwd
        self._most, self._warm = most, warm
        self._ready: list[str] = []
        self._given: set[str] = set()
        self._asked = 0
        self._warming: set[asyncio.Task[None]] = set()

    async def take(self) -> str:
        """The id of a kernel that waits for a page.

        Raises:
            TooMany: as many are given as may be.
            RuntimeError: a kernel did not start; the message says why.
        """
        self._given = {k for k in self._given if k in self._manager}  # those that idled away are gone
        if len(self._given) + self._asked >= self._most:
            raise TooMany
        self._asked += 1
        try:
            while self._warming and not self._waiting():
                await asyncio.wait(self._warming, return_when=asyncio.FIRST_COMPLETED)
            kernel = self._ready.pop(0) if self._waiting() else await self._start()
            self._given.add(kernel)
        finally:
            self._asked -= 1
        self.fill()
        return kernel

    def fill(self) -> None:
        """Warms as many as are to wait."""
        while len(self._waiting()) + len(self._warming) < self._warm:
            task = asyncio.get_running_loop().create_task(self._warmed())
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def end(self, kernel: str) -> None:
        """Ends the kernel of a page that was closed."""
        with contextlib.suppress(Exception):  # it may have ended by itself
            await self._manager.shutdown_kernel(kernel, now=True)

    def _waiting(self) -> list[str]:
        self._ready = [k for k in self._ready if k in self._manager]
        return self._ready

    async def _warmed(self) -> None:
        with contextlib.suppress(RuntimeError):  # who asks for one is told
            self._ready.append(await self._start())

    async def _start(self) -> str:
        """Starts one and waits until it is ready."""
        kernel = await self._manager.start_kernel(path=self._cwd)
        client = self._manager.get_kernel(kernel).client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=WARM_SECONDS)
            reply = await client.execute_interactive(
                self._code, store_history=False, timeout=WARM_SECONDS, output_hook=lambda _: None
            )
            fault = reply["content"].get("evalue") if reply["content"]["status"] != "ok" else None
        except (RuntimeError, TimeoutError) as error:
            fault = str(error) or type(error).__name__
        finally:
            client.stop_channels()
        if fault is not None:
            await self.end(kernel)
            raise RuntimeError(fault)
        return kernel
