"""`launchpad params` and `app`: what a workbook takes, and its notebooks as live apps."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds params and app."""
    parameters = commands.add_parser("params", help="list parameters of the run or of a notebook")
    parameters.set_defaults(run=_params)
    parameters.add_argument("notebook", nargs="?", help="for example funnels (default: those of a run)")
    app = commands.add_parser("app", help="the notebooks as live apps (Voila) on this machine")
    app.set_defaults(run=_app)
    app.add_argument("--port", type=int, default=8866, help="default: 8866")
    app.add_argument("--notebooks", default="notebooks", help="folder of the notebooks (default: notebooks)")


def _params(arguments: argparse.Namespace) -> int:
    from launchpad_lib.contract.names import nearest
    from launchpad_lib.runner.parameter_table import describe
    from launchpad_lib.runner.parameters import NOTEBOOKS, ParameterError, RunParams

    if arguments.notebook and arguments.notebook not in NOTEBOOKS:
        raise ParameterError(
            f"notebook={arguments.notebook!r}: there is no such notebook; {nearest(arguments.notebook, NOTEBOOKS)}"
        )
    print(describe(NOTEBOOKS[arguments.notebook] if arguments.notebook else RunParams))
    return 0


def _app(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.app import serve_app

    return serve_app(Path(arguments.notebooks), port=arguments.port)
