"""Kernels that start at once: forked from a server that has already imported what notebooks import.

A notebook's kernel spends most of a second on imports before its first cell. `kernel_server` starts one process that
imports them once; `ForkedProvisioner` (chosen through jupyter_client's entry points) asks it to fork a kernel instead
of starting a new interpreter. Everything else of a kernel is as usual: own process, own memory, own connection file.

Without the server (`runner.fork_server`), or for a kernel of another interpreter, the provisioner starts a process as
jupyter_client does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from launchpad_lib.contract.scratch_folders import ScratchFolder

SERVER_VARIABLE = "LAUNCHPAD_KERNEL_SERVER"
PROVISIONER_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"
PROVISIONER_NAME = "launchpad-forked"
_numbers = itertools.count(1)  # a path of a socket has at most some hundred bytes: short names


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

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """The kernel is spoken to over sockets beside the server's own.

        A free TCP port that is found now may be another program's by the time the kernel listens there.
        """
        address, manager = os.environ.get(SERVER_VARIABLE), self.parent
        if address and manager is not None and _kernel_arguments(manager.format_kernel_cmd()) is not None:
            manager.transport, manager.ip = "ipc", str(Path(address).with_name(f"k{next(_numbers)}"))
        return await super().pre_launch(**kwargs)

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
def kernel_server(*more: str) -> Iterator[subprocess.Popen | None]:
    """Runs the server (given) while kernels are wanted; it and its kernels end with this process, however that ends.

    Modules that are named (`more`) are imported once for all kernels, too.

    Where forking is not to be had (Windows), or the server does not start, kernels are started the usual way.
    """
    if not hasattr(os, "fork"):
        yield None
        return
    with ScratchFolder("run") as folder:
        address = str(Path(folder) / "kernels")
        ours, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        # Requests that come while the server still imports wait in the backlog.
        listener.listen(64)
        handed = [listener.fileno(), theirs.fileno()]
        server = subprocess.Popen(
            [sys.executable, "-m", "launchpad_lib.runner.fork_server", *map(str, handed), *more], pass_fds=handed
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
