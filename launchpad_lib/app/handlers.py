"""What the app answers: the newest run's index, a live page for each notebook, and a kernel for a page that asks."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler

from launchpad_lib.app.kernels import KernelPool, TooMany
from launchpad_lib.app.page_parts import LIVE_POLICY, live_page, plain_page
from launchpad_lib.page.markup import POLICY
from launchpad_lib.runner.execution import title_of_file
from launchpad_lib.runner.history import runs_of
from launchpad_lib.runner.own_notebooks import notebook_names
from launchpad_lib.runner.summary_words import page_name

KINDS = frozenset({".html", ".json", ".parquet", ".csv", ".ipynb", ".md"})
"""Files of a run that are given out."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


WORDS = {
    403: "This app asks for its token: open the address that it printed when it was started.",
    404: "There is no such page here.",
}


class App(NamedTuple):
    """One notebook as a page."""

    name: str
    short: str
    title: str

    @property
    def href(self) -> str:
        """Its address."""
        return f"/{quote(self.name)}.html"


class Apps(NamedTuple):
    """The workbook that is served, and where its runs are; `run_name` is that of the params file."""

    notebooks: Path
    reports: Path
    run_name: str | None

    def all(self) -> list[App]:
        """Those that are there, in the order in which they are read."""
        names = [n for n in notebook_names(self.notebooks) if (self.notebooks / f"{n}.ipynb").is_file()]
        titles = [(name, title_of_file(self.notebooks / f"{name}.ipynb")) for name in names]
        return [App(name, page_name(title), title) for name, title in titles]

    def newest_run(self) -> Path | None:
        """The folder of the newest run of that name that has an index."""
        runs = runs_of(self.reports, self.run_name) if self.run_name and self.reports.is_dir() else []
        found = sorted(runs, key=lambda m: m.started_at, reverse=True)
        return next(
            (self.reports / m.run_id for m in found if (self.reports / m.run_id / "index.html").is_file()), None
        )


class Handler(JupyterHandler):
    """What all answers have in common: whoever asks is known, and nothing is kept by anybody on the way."""

    policy = POLICY

    @property
    def content_security_policy(self) -> str:
        """The page's own, and in no frame."""
        return f"{self.policy}; frame-ancestors 'none'"

    def set_default_headers(self) -> None:
        """See HEADERS."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> Any:  # type: ignore[override]
        """A token is asked for where there is one; it does not stay in the address."""
        await super().prepare(_redirect_to_login=False)
        if self.get_query_argument("token", None) is not None and self.request.method == "GET":
            left = [(n, v) for n, values in self.request.query_arguments.items() if n != "token" for v in values]
            query = "&".join(f"{quote(n)}={quote(v)}" for n, v in left)
            self.redirect(f"{self.request.path}?{query}" if query else self.request.path)

    def check_xsrf_cookie(self) -> None:
        """Another site's request ended at the gate."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One sentence, without where in the code it happened."""
        words = WORDS.get(status_code, "This could not be answered.")
        self._no(status_code, words)

    def page(self, html: str) -> None:
        """Answers with a page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(html)

    def _no(self, status: int, sentence: str) -> None:
        self.set_status(status)
        self.page(plain_page("Feature Launchpad", sentence, apps=[]))

    @property
    def apps(self) -> Apps:
        """What is served."""
        return self.settings["launchpad_apps"]


class Landing(Handler):
    """The index of the newest run, whose links lead to the live pages; without a run the list of the apps."""

    def get(self) -> None:
        folder = self.apps.newest_run()
        if folder is None:
            sentence = "There is no run yet; `launchpad report` makes one."
            self.page(plain_page("The apps", sentence, apps=self.apps.all()))
            return
        html = (folder / "index.html").read_text(encoding="utf-8")
        run = quote(folder.name)
        for there in ("manifest.json",):
            html = html.replace(f'href="{there}"', f'href="/runs/{run}/{there}"')
        self.page(html.replace('href="../', 'href="/runs/'))


class LivePage(Handler):
    """A notebook's page; what it shows comes over its kernel's socket."""

    policy = LIVE_POLICY

    def get(self, name: str) -> None:
        apps = self.apps.all()
        app = next((app for app in apps if app.name == name), None)
        if app is None:
            self._no(404, "There is no such notebook here.")
        else:
            self.page(live_page(app, apps=apps))


class OldAddress(Handler):
    """Where Voila had it."""

    def get(self, name: str) -> None:
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"/{quote(name)}.html{query}")


class NewKernel(Handler):
    """A kernel for the page that asks; only a page of ours gets here."""

    async def post(self) -> None:
        pool: KernelPool = self.settings["launchpad_kernels"]
        try:
            said = {"kernel": await pool.take()}
        except TooMany:
            self.set_status(503)
            said = {"sentence": "As many pages are open as this app serves at once; close one, or try again later."}
        except RuntimeError as error:
            self.set_status(503)
            said = {"sentence": f"The app could not start: {error}"}
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(said))


class RunFile(Handler):
    """A file of a run, of the kinds that runs have."""

    def get(self, path: str) -> None:
        root = self.apps.reports.resolve()
        asked = (root / path).resolve()
        is_hidden = any(part.startswith(".") for part in Path(path).parts)
        if is_hidden or not asked.is_relative_to(root) or asked.suffix not in KINDS or not asked.is_file():
            self._no(404, WORDS[404])
            return
        kind = mimetypes.guess_type(asked.name)[0] or "application/octet-stream"
        self.set_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        if asked.suffix == ".html":  # it says its own policy, which knows its script
            self.set_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.finish(asked.read_bytes())
