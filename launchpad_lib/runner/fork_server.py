"""The process that kernels are forked from: it imports what notebooks import, once, and forks a kernel per request.

It is single-threaded, so forking it is safe; it never creates a ZeroMQ context, a DuckDB connection or a thread. V8
(vl_convert) is not preloaded: it starts threads. `runner.forked_kernels` starts it and asks it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys

from launchpad_lib import findings

PRELOADED = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.interactiveshell",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "tornado.platform.asyncio",
    "cProfile",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "tzdata",
    "duckdb",
    "ibis",
    "ibis.backends.duckdb",
    "ibis.backends.sql.compilers.duckdb",
    "deltalake",
    "altair",
    "scipy.stats",
    "sklearn.linear_model",
    "launchpad_lib.charts",
    "launchpad_lib.inference",
    "launchpad_lib.metrics",
    "launchpad_lib.metrics.signals",
    "launchpad_lib.risk",
    "launchpad_lib.lake",
    "launchpad_lib.trends",
    "launchpad_lib.page.output",
    "launchpad_lib.page.run_results",
    "launchpad_lib.page.scorecards",
    "launchpad_lib.contract.wording",
    *(f"launchpad_lib.findings.{found.name}" for found in pkgutil.iter_modules(findings.__path__)),
)


def serve(listener_fd: int, lifeline_fd: int, *more: str) -> None:
    """The server: imports, `more` too, then forks one kernel per request until the lifeline closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernels' ends are reaped by the system
    listener, lifeline = socket.socket(fileno=listener_fd), socket.socket(fileno=lifeline_fd)
    import gc
    import select

    gc.disable()  # what imports make stays, and looking for waste among it would be a quarter of their time
    for name in (*PRELOADED, *more):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _without_debugger()
    with contextlib.suppress(Exception):  # whatever it is, it then shows in the kernel that needs it
        _used_once()
    gc.freeze()  # a collection in a kernel then leaves the shared pages alone
    gc.enable()
    while True:
        ready, _, _ = select.select([listener, lifeline], [], [])
        if lifeline in ready:
            os._exit(0)  # nothing to save; an orderly end would only list what imported libraries leave behind
        connection, _ = listener.accept()
        with connection:
            request = connection.makefile("rb").readline()
            if not request:
                continue
            pid = os.fork()
            if pid == 0:
                listener.close()
                lifeline.close()
                _become_kernel(connection, json.loads(request))
            connection.sendall(b"%d\n" % pid)


def _without_debugger() -> None:
    """Kernels of a run offer no debugger: nobody attaches to them, and debugpy was most of the time a kernel takes to
    start.

    A notebook that imports debugpy itself gets it.
    """
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # so its import fails, and ipykernel goes without
    with contextlib.suppress(ImportError):
        importlib.import_module("ipykernel.debugger")
    del sys.modules["debugpy"]


def _used_once() -> None:
    """What libraries make of themselves at their first use (parsers, schemas, compiled kernels), once for all kernels.

    Neither a connection nor a thread is made.
    """
    import altair
    import ibis
    import narwhals
    import pandas

    from launchpad_lib.contract.sql import SQL_TYPES
    from launchpad_lib.lake.event_log import named_type
    from launchpad_lib.metrics.kernels.compiling import load_compiled

    load_compiled()
    drawing = altair.Chart(pandas.DataFrame({"x": ["a"], "y": [1.0]})).mark_bar().encode(x="x:N", y="y:Q")
    altair.layer(drawing).properties(title="x").to_dict()
    rows = ibis.memtable({"x": ["a"], "y": [1.0]})
    asked = rows.group_by("x").agg(y=rows.y.sum().cast("int64")).filter(rows.x.notnull()).order_by("x").limit(1)
    ibis.to_sql(asked, dialect="duckdb")
    asked.schema().to_pandas()
    # Both look through all installed packages: the engine of a table in memory, and kinds of data frames.
    ibis.duckdb  # noqa: B018
    narwhals.from_native(None, pass_through=True)
    for kind in SQL_TYPES.values():
        named_type(kind, may_be_null=True)


def _become_kernel(connection: socket.socket, request: dict) -> None:
    """Runs in the fork; never returns. The connection stays open: its end tells the runner of ours."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["ipykernel_launcher", *request["arguments"]]
        sys.path[:1] = [""]  # a kernel finds modules where its notebook is, not where the run was started
        from ipykernel import kernelapp

        # The parent's pid is read from the environment when ipykernel is imported, which is long ago here.
        kernelapp.launch_new_instance(argv=[*request["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    # -m makes this module __main__; kernels must not find its names in their namespace, so the real one serves.
    from launchpad_lib.runner import fork_server

    fork_server.serve(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
