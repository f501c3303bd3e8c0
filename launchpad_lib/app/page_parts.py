"""The shell of a live page, in the report's own template: navigation, controls, and the script that asks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.markup import POLICY

LIVE_JS = files("launchpad_lib.app").joinpath("templates", "live.js").read_text(encoding="utf-8").strip()
_HASH = base64.b64encode(hashlib.sha256(LIVE_JS.encode()).digest()).decode()
LIVE_POLICY = f"{POLICY}; script-src 'sha256-{_HASH}'; connect-src 'self'"


def live_page(app: Any, *, apps: Sequence[Any]) -> str:
    """The page of one notebook before its first answer."""
    return (
        page_environment("launchpad_lib.app")
        .get_template("live.html.j2")
        .render(app=app, apps=apps, policy=LIVE_POLICY, script=Markup(LIVE_JS))
    )


def plain_page(title: str, sentence: str, *, apps: Sequence[Any]) -> str:
    """A sentence, and the apps where there are some to choose from."""
    return (
        page_environment("launchpad_lib.app")
        .get_template("plain.html.j2")
        .render(title=title, sentence=sentence, apps=apps, policy=POLICY)
    )
