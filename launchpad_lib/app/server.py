"""The server of the live pages: Voila's kernels and sockets behind a gate, with pages of our own.

Of Voila's addresses one is kept, the socket of a kernel, over which comm messages go and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import tornado.ioloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from voila.app import Voila
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from launchpad_lib.app.gate import LOOPBACK, Gated
from launchpad_lib.app.handlers import Apps, Landing, LivePage, NewKernel, OldAddress, RunFile
from launchpad_lib.app.kernels import CULL_IDLE_SECONDS, CULL_INTERVAL_SECONDS, KernelPool

MESSAGES = ["comm_open", "comm_msg", "comm_close", "kernel_info_request"]
EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # only named, to be told apart
KERNEL = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


class Serving(NamedTuple):
    """What the server is started with; paths are absolute, `hosts` are further names that are ours."""

    notebooks: str
    params: str | None
    reports: str
    run_name: str | None
    ip: str
    port: int
    hosts: list[str]
    has_token: bool
    most_kernels: int
    warm_kernels: int
    scratch: str


class KernelSocket(VoilaKernelWebsocketHandler):
    """The socket of a page; its kernel ends with it."""

    def on_close(self) -> None:
        """A page that is gone asks nothing more."""
        super().on_close()
        pool: KernelPool = self.settings["launchpad_kernels"]
        asyncio.get_running_loop().create_task(pool.end(self.kernel_id))


class LiveServer(Voila):
    """Voila without its pages, its files and its list of files."""

    serving: Serving

    def start(self) -> None:
        """Serves until a signal."""
        from launchpad_lib.app.session import code_that_waits

        serving = self.serving
        self.connection_dir = serving.scratch
        settings = self.init_settings()
        self.kernel_manager.allowed_message_types = MESSAGES
        pool = KernelPool(
            self.kernel_manager,
            code=code_that_waits(serving.notebooks, serving.params),
            cwd=serving.notebooks,
            most=serving.most_kernels,
            warm=serving.warm_kernels,
        )
        apps = Apps(Path(serving.notebooks), Path(serving.reports), serving.run_name)
        settings |= {"launchpad_kernels": pool, "launchpad_apps": apps, "websocket_max_message_size": 1 << 20}
        self.app = Gated(
            hosts=LOOPBACK | {serving.ip} | {h.lower() for h in serving.hosts},
            any_address=serving.ip in EVERYWHERE,
            **settings,
        )
        self.app.add_handlers(".*$", self.init_handlers())
        try:
            sockets = bind_sockets(serving.port, serving.ip)
        except OSError as error:
            print(
                f"ip={serving.ip!r}, port={serving.port}: cannot be listened at ({error.strerror}); choose others",
                file=sys.stderr,
            )
            sys.exit(2)
        HTTPServer(self.app, max_body_size=1 << 16, max_header_size=1 << 15).add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        self.ioloop = tornado.ioloop.IOLoop.current()
        self.ioloop.add_callback(pool.fill)
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._handle_signal_stop)
        shown = "127.0.0.1" if serving.ip in EVERYWHERE else f"[{serving.ip}]" if ":" in serving.ip else serving.ip
        token = f"?token={self.token}" if self.token else ""
        print(f"The apps are at http://{shown}:{self.port}/{token}", flush=True)
        try:
            self.ioloop.start()
        finally:
            self.ioloop.run_sync(self.kernel_manager.shutdown_all)

    def init_handlers(self) -> list:
        """All there is."""
        return [
            (r"/", Landing),
            (r"/index\.html", Landing),
            (r"/kernels", NewKernel),
            (rf"/api/kernels/{KERNEL}/channels", KernelSocket),
            (r"/runs/(.*)", RunFile),
            (r"/voila/render/([\w-]+)\.ipynb", OldAddress),
            (r"/([\w-]+)\.html", LivePage),
            (r"/(.*)", LivePage),
        ]


def serve(serving: Serving) -> None:
    """Serves until it is told to end."""
    server = LiveServer(
        ip=serving.ip,
        port=serving.port,
        open_browser=False,
        root_dir=serving.notebooks,
        log_level=logging.ERROR,
        token=secrets.token_urlsafe(24) if serving.has_token else "",
    )
    server.serving = serving
    config = server.config
    config.MappingKernelManager.cull_idle_timeout = CULL_IDLE_SECONDS
    config.MappingKernelManager.cull_interval = CULL_INTERVAL_SECONDS
    config.MappingKernelManager.cull_connected = True
    config.ZMQChannelsWebsocketConnection.limit_rate = False  # a page is one large message
    config.IdentityProvider.cookie_options = {"samesite": "Lax"}
    server.update_config(config)
    server.initialize([])
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    server.start()


def main(text: str) -> None:
    """`text` is a Serving as JSON."""
    serve(Serving(**json.loads(text)))
