"""Charts as pictures, drawn in a process of its own: what a chart does there costs its picture, never the page or the
run.

The drawing program (V8 with Vega) ends the whole process on some input, and has no limit of time or memory. So one
child process draws for all pages; it is started with the first chart, stopped when a chart takes too long, and started
again when it died. It loads nothing: neither files nor addresses.

Requests and replies are JSON behind their length in four bytes, on the child's standard input and output.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
from typing import IO, Any, NamedTuple
from xml.parsers import expat

from launchpad_lib.contract.legible import visible

MOST_ROWS = 5000
"""Rows of all data sets of one chart together; more are refused before they are drawn."""
MOST_SPEC_BYTES = 2_000_000
MOST_PICTURE_BYTES = 2_000_000
WALL_PER_CPU = 3
"""A busy machine: a picture may take so many times its seconds of computing."""
# The addresses are those under which the bundler keeps its own copies: nothing is fetched. The interpreter evaluates
# expressions without compiling them, so no page has to allow eval.
LIBRARY = """import { View, parse } from "https://cdn.jsdelivr.net/npm/vega@%s/+esm";
import { expressionInterpreter } from "https://cdn.jsdelivr.net/npm/vega-interpreter@2.0.0/+esm";
window.vega = { View, parse, expressionInterpreter };"""
_LENGTH = struct.Struct(">I")


class Picture(NamedTuple):
    """An SVG, or one sentence that says why there is none; and the chart as Vega draws it, compiled from Vega-Lite."""

    svg: str | None
    missing_because: str | None
    vega: dict | None = None


class Limits(NamedTuple):
    """What one picture may cost: seconds of computing, megabytes of memory."""

    seconds: float = 20.0
    megabytes: int = 2000


class _NoReply(Exception):
    """The child is gone, or was stopped; the message says which, in one sentence."""


def sayable(part: Any) -> Any:
    """A specification that every JSON reader and the drawing program take: text visible, numbers finite.

    >>> sayable({"a\\x00": [float("nan"), 1.5, "\\ufffe"]})
    {'a\\\\x00': [None, 1.5, '\\\\ufffe']}
    """
    if isinstance(part, str):
        return visible(part)
    if isinstance(part, dict):
        return {visible(str(k)): sayable(v) for k, v in part.items()}
    if isinstance(part, list | tuple):
        return [sayable(v) for v in part]
    return None if isinstance(part, float) and not math.isfinite(part) else part


def row_count(spec: Any) -> int:
    """Rows that stand in a specification, in all of its data sets."""
    if isinstance(spec, list):
        return sum(row_count(s) for s in spec)
    if not isinstance(spec, dict):
        return 0
    own = sum(len(rows) for rows in spec.get("datasets", {}).values() if isinstance(rows, list))
    data = spec.get("data")
    if isinstance(data, dict) and isinstance(data.get("values"), list):
        own += len(data["values"])
    return own + sum(row_count(v) for k, v in spec.items() if k not in ("datasets", "data"))


class Renderer:
    """Draws pictures in a child process; safe to be used from several threads, one picture at a time."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def picture(self, spec: dict) -> Picture:
        """The chart as SVG; whatever goes wrong is told in the result, never raised. `spec` is `sayable`."""
        rows = row_count(spec)
        if rows > MOST_ROWS:
            return Picture(None, f"It has {rows:,} rows; at most {MOST_ROWS:,} are drawn. Count or sum them first.")
        request = json.dumps({"spec": spec}).encode()
        if len(request) > MOST_SPEC_BYTES:
            return Picture(
                None, f"It is {_megabytes(len(request))} large; at most {_megabytes(MOST_SPEC_BYTES)} are drawn."
            )
        try:
            return Picture(**self._asked(request))
        except _NoReply as end:
            return Picture(None, str(end))

    def png(self, svg: str) -> bytes | None:
        """An SVG of ours as PNG, half as large again, for mail programs; None where it cannot be drawn."""
        try:
            drawn = self._asked(json.dumps({"png_of": svg}).encode()).get("png")
        except _NoReply:
            return None
        return base64.b64decode(drawn) if drawn else None

    def drawing_library(self) -> str | None:
        """Vega as one script; None where it cannot be had: pages then keep their pictures.

        Charts come compiled, so the compiler (Vega-Lite), a third of the whole, stays out of every page.
        """
        try:
            return self._asked(b'{"library": true}').get("library")
        except _NoReply:
            return None

    def close(self) -> None:
        """Ends the child; the next picture starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _asked(self, request: bytes) -> dict:
        """The child's reply to a request."""
        with self._lock:
            child = self._running()
            is_late = threading.Event()

            def end() -> None:
                is_late.set()
                child.kill()

            stop = threading.Timer(self._limits.seconds * WALL_PER_CPU, end)
            stop.daemon = True
            stop.start()
            try:
                _write(child.stdin, request)
                return json.loads(_read(child.stdout))
            except (OSError, EOFError):
                is_out_of_time = is_late.is_set() or child.wait() == -getattr(signal, "SIGXCPU", 0)
                self.close()
                how = f"took longer than {self._limits.seconds:g} s" if is_out_of_time else "ended without a picture"
                raise _NoReply(f"The drawing program {how}.") from None
            finally:
                stop.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            command = [sys.executable, "-m", __name__, *map(str, self._limits)]
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._child


@functools.cache
def renderer() -> Renderer:
    """The one of this process: its child is started with the first chart and ends with this process."""
    return Renderer()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _write(stream: IO[bytes] | None, message: bytes) -> None:
    if stream is None:
        raise EOFError
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def _read(stream: IO[bytes] | None) -> bytes:
    """One message.

    Raises:
        EOFError: there is no more.
    """
    head = stream.read(_LENGTH.size) if stream is not None else b""
    if stream is None or len(head) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(head)
    body = stream.read(size)
    if len(body) < size:
        raise EOFError
    return body


def _limit_memory(limits: Limits) -> None:
    """Where the system knows such limits; elsewhere the time alone is limited."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        size = limits.megabytes << 20
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(limits: Limits) -> None:
    """For the picture that comes next: what the child used before does not count."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + limits.seconds), hard))


# Labels are cut by the drawing program at so many pixels, between the halves of an emoji too, and then it raises.
UNCUT = {
    "axis": {"labelLimit": 0, "titleLimit": 0},
    "legend": {"labelLimit": 0, "titleLimit": 0},
    "header": {"labelLimit": 0, "titleLimit": 0},
    "title": {"limit": 0},
}


def _drawn(spec: dict) -> Picture:
    """The picture, checked to be XML: what is put into a page cannot break out of its place."""
    import vl_convert

    vega = vl_convert.vegalite_to_vega(json.dumps(spec))
    try:
        svg = vl_convert.vega_to_svg(json.dumps(vega), allowed_base_urls=[])
    except Exception:
        if json.dumps(spec, ensure_ascii=False).isascii():
            raise
        config = spec.get("config") or {}
        uncut = config | {part: config.get(part, {}) | no_limit for part, no_limit in UNCUT.items()}
        vega = vl_convert.vegalite_to_vega(json.dumps(spec | {"config": uncut}))
        svg = vl_convert.vega_to_svg(json.dumps(vega), allowed_base_urls=[])
    expat.ParserCreate().Parse(svg.encode(), True)
    return Picture(svg, None, vega)


def _reply(request: dict) -> dict:
    """What the child answers."""
    if "library" in request:
        import vl_convert

        return {"library": vl_convert.javascript_bundle(LIBRARY % vl_convert.get_vega_version())}
    if "png_of" in request:
        import vl_convert

        try:
            return {"png": base64.b64encode(vl_convert.svg_to_png(request["png_of"], scale=1.5)).decode()}
        except ValueError:
            return {"png": None}
    try:
        drawn = _drawn(request["spec"])
    except Exception as fault:
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        told = next((line for line in lines if not line.endswith("failed:")), lines[0]).removeprefix("Error: ")
        return {"svg": None, "missing_because": f"The drawing program refused it: {told[:300]}"}
    size = len((drawn.svg or "").encode())
    if size > MOST_PICTURE_BYTES:
        because = f"It would be {_megabytes(size)} large; at most {_megabytes(MOST_PICTURE_BYTES)} are kept."
        return {"svg": None, "missing_because": because}
    return drawn._asdict()


def serve(limits: Limits) -> None:
    """The child: answers until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a stopped run ends it by closing the pipe
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the drawing program prints is no reply
    _limit_memory(limits)
    with contextlib.suppress(EOFError):
        while True:
            request = json.loads(_read(sys.stdin.buffer))
            _limit_time(limits)
            _write(replies, json.dumps(_reply(request)).encode())


if __name__ == "__main__":
    serve(Limits(float(sys.argv[1]), int(sys.argv[2])))
