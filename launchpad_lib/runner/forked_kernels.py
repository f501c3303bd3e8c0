"""Kernels that start at once: forked from a server that has already imported what notebooks import.

A notebook's kernel spends most of a second on imports before its first cell. `kernel_server` starts one process that
imports them once; `ForkedProvisioner` (chosen through jupyter_client's entry points) asks it to fork a kernel instead
of starting a new interpreter. Everything else of a kernel is as usual: own process, own memory, own connection file.

The server is single-threaded, so forking it is safe; it never creates a ZeroMQ context, a DuckDB connection or a
thread. V8 (vl_convert) is not preloaded: it starts threads. Without the server, or for a kernel of another interpreter,
the provisioner starts a process as jupyter_client does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from launchpad_lib import findings

SERVER_VARIABLE = "LAUNCHPAD_KERNEL_SERVER"
PROVISIONER_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"
PROVISIONER_NAME = "launchpad-forked"
PRELOADED = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "IPython.core.interactiveshell",
    "pandas",
    "pyarrow.parquet",
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
    "launchpad_lib.risk",
    "launchpad_lib.lake",
    "launchpad_lib.trends",
    "launchpad_lib.page.output",
    "launchpad_lib.contract.wording",
    *(f"launchpad_lib.findings.{found.name}" for found in pkgutil.iter_modules(findings.__path__)),
)


class ForkedProcess:
    """A forked kernel, seen from the runner: the few methods of `subprocess.Popen` that a provisioner uses.

    The kernel is the server's child, so it cannot be waited for here; it holds one end of a socket, and the end of
    that stream is its death, however it died.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, lifeline: socket.socket) -> None:
        self.pid = pid
        self._lifeline = lifeline
        self._lifeline.setblocking(False)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while it lives; 1 after (how it ended is the server's to know)."""
        if self.returncode is None:
            try:
                if self._lifeline.recv(64) == b"":
                    self._ended()
            except BlockingIOError:
                pass
            except OSError:
                self._ended()
        return self.returncode

    def _ended(self) -> None:
        self.returncode = 1
        self._lifeline.close()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; subprocess.TimeoutExpired when it takes longer."""
        limit = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
            time.sleep(0.01)
        return self.returncode or 0

    def send_signal(self, signum: int) -> None:
        """Sends a signal unless it is known to be dead."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)


class ForkedProvisioner(LocalProvisioner):
    """Launches a local kernel by asking the server named in LAUNCHPAD_KERNEL_SERVER for a fork."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        address = os.environ.get(SERVER_VARIABLE)
        arguments = _kernel_arguments(cmd)
        if not address or arguments is None:
            return await super().launch_kernel(cmd, **kwargs)
        cwd = str(kwargs.get("cwd") or Path.cwd())
        try:
            process = _ask(address, arguments, cwd=cwd, env=dict(kwargs.get("env") or os.environ))
        except OSError:
            return await super().launch_kernel(cmd, **kwargs)
        # What jupyter_client asks of a process is less than a Popen, and ForkedProcess has it.
        self.process = process  # type: ignore[assignment]
        self.pid = process.pid
        self.pgid = self.pid
        self.cwd = Path(cwd)
        return self.connection_info


def _kernel_arguments(cmd: list[str]) -> list[str] | None:
    """What follows `-m ipykernel_launcher`; None for a kernel that is not ours to fork (another program or
    interpreter).
    """
    if "ipykernel_launcher" not in cmd or Path(cmd[0]).resolve() != Path(sys.executable).resolve():
        return None
    return cmd[cmd.index("ipykernel_launcher") + 1 :]


def _ask(address: str, arguments: list[str], *, cwd: str, env: dict[str, str]) -> ForkedProcess:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
        connection.sendall(json.dumps({"arguments": arguments, "cwd": cwd, "env": env}).encode() + b"\n")
        reply = connection.makefile("rb").readline()
        if not reply:
            raise OSError("the kernel server closed the connection")
        return ForkedProcess(int(reply), connection)
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def kernel_server() -> Iterator[subprocess.Popen | None]:
    """Runs the server (given) while kernels are wanted; it and its kernels end with this process, however that ends.

    Where forking is not to be had (Windows), or the server does not start, kernels are started the usual way.
    """
    if not hasattr(os, "fork"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="launchpad-") as folder:
        address = str(Path(folder) / "kernels")
        ours, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        # Requests that come while the server still imports wait in the backlog.
        listener.listen(64)
        handed = [listener.fileno(), theirs.fileno()]
        server = subprocess.Popen(
            [sys.executable, "-m", "launchpad_lib.runner.forked_kernels", *map(str, handed)], pass_fds=handed
        )
        theirs.close()
        listener.close()
        before = {name: os.environ.get(name) for name in (SERVER_VARIABLE, PROVISIONER_VARIABLE)}
        try:
            os.environ.update({SERVER_VARIABLE: address, PROVISIONER_VARIABLE: PROVISIONER_NAME})
            _forget_default_provisioner()
            yield server
        except BaseException:
            server.kill()  # it may be at its imports for seconds, and nobody needs them any more
            raise
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            _forget_default_provisioner()
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()
            server.wait()


def _forget_default_provisioner() -> None:
    """jupyter_client reads the variable once per process; this makes it read it again."""
    from jupyter_client.provisioning.factory import KernelProvisionerFactory

    KernelProvisionerFactory.clear_instance()


def serve(listener_fd: int, lifeline_fd: int) -> None:
    """The server: imports, then forks one kernel per request until the lifeline closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernels' ends are reaped by the system
    listener, lifeline = socket.socket(fileno=listener_fd), socket.socket(fileno=lifeline_fd)
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(Exception):  # whatever it is, it then shows in the kernel that needs it
        _used_once()
    import gc
    import select

    gc.collect()
    gc.freeze()  # a collection in a kernel then leaves the shared pages alone
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


def _used_once() -> None:
    """What libraries make of themselves at their first use (parsers, schemas, compiled kernels), once for all kernels.

    Neither a connection nor a thread is made.
    """
    import altair
    import ibis
    import pandas

    from launchpad_lib.metrics.kernels.compiling import load_compiled

    load_compiled()
    drawing = altair.Chart(pandas.DataFrame({"x": ["a"], "y": [1.0]})).mark_bar().encode(x="x:N", y="y:Q")
    altair.layer(drawing).properties(title="x").to_dict()
    rows = ibis.memtable({"x": ["a"], "y": [1.0]})
    asked = rows.group_by("x").agg(y=rows.y.sum().cast("int64")).filter(rows.x.notnull()).order_by("x").limit(1)
    ibis.to_sql(asked, dialect="duckdb")
    asked.schema().to_pandas()


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
    from launchpad_lib.runner import forked_kernels

    forked_kernels.serve(int(sys.argv[1]), int(sys.argv[2]))
