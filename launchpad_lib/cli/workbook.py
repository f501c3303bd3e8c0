"""`launchpad init`, `new`, `params`, `metrics` and `app`: a workbook, its notebooks, what they take and
what they say.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds init, new, params, metrics and app."""
    start = commands.add_parser("init", help="make a workbook: notebooks, params, a simulated product to try them on")
    start.set_defaults(run=_init)
    start.add_argument("folder", help="folder of the new workbook; nothing in it is overwritten")
    own = commands.add_parser("new", help="make a notebook of your own in this workbook")
    own.set_defaults(run=_new)
    own.add_argument("name", help="its name: letters, digits, _ and -")
    own.add_argument("--lake", help="the lake it reads when run by hand (default: that of params/weekly.yaml)")
    parameters = commands.add_parser("params", help="list parameters of the run or of a notebook")
    parameters.set_defaults(run=_params)
    parameters.add_argument("notebook", nargs="?", help="for example funnels (default: those of a run)")
    figures = commands.add_parser("metrics", help="list the metrics, or what one of them means")
    figures.set_defaults(run=_metrics)
    figures.add_argument("name", nargs="?", help="for example completion_rate_user (default: all)")
    figures.add_argument("--markdown", action="store_true", help="as Markdown: the glossary, or one row of it")
    app = commands.add_parser("app", help="the notebooks as live pages whose parameters are controls")
    app.set_defaults(run=_app)
    app.add_argument(
        "--params", help="params file whose lake and parameters the pages have (default: the notebooks' own)"
    )
    app.add_argument("--port", type=int, default=8866, help="default: 8866")
    app.add_argument("--ip", default="127.0.0.1", help="address to listen at; others than loopback ask for a token")
    app.add_argument("--host", action="append", default=[], help="a further name by which the app is asked for")
    app.add_argument("--token", action="store_true", help="ask for a token on loopback too")
    app.add_argument("--pages", type=int, default=8, help="pages that may be open at once (default: 8)")
    app.add_argument("--notebooks", help="folder of the notebooks (default: those of this workbook)")


def _init(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.workbook_making import init_workbook

    written = init_workbook(Path(arguments.folder))
    print(f"{arguments.folder}: a workbook of {len(written)} files; next: cd {arguments.folder} && launchpad report")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.parameters import load_run
    from launchpad_lib.runner.workbook import USUAL_PARAMS, this_workbook
    from launchpad_lib.runner.workbook_making import new_notebook

    root = this_workbook()
    usual = root / USUAL_PARAMS
    lake = arguments.lake or (load_run(usual).lake if usual.is_file() else "data/lake")
    path = new_notebook(arguments.name, root=root, lake=lake)
    print(f"{path}: run it in JupyterLab, or name {arguments.name} in the `sequence` of a params file")
    return 0


def _params(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.own_notebooks import model_for
    from launchpad_lib.runner.parameter_table import describe
    from launchpad_lib.runner.parameters import RunParams
    from launchpad_lib.runner.workbook import nearest_workbook

    notebooks = (nearest_workbook(Path.cwd()) or Path.cwd()) / "notebooks"
    print(describe(model_for(arguments.notebook, notebooks=notebooks) if arguments.notebook else RunParams))
    return 0


def _metrics(arguments: argparse.Namespace) -> int:
    from launchpad_lib.cli.metric_cards import markdown, show_metric, show_metrics

    if arguments.markdown:
        print(markdown(arguments.name), end="")
    elif arguments.name is None:
        show_metrics()
    else:
        show_metric(arguments.name)
    return 0


def _app(arguments: argparse.Namespace) -> int:
    from launchpad_lib.app.serving import serve_app
    from launchpad_lib.runner.workbook import this_workbook, workbook_of

    params = Path(arguments.params) if arguments.params else None
    root = workbook_of(params) if params else None
    return serve_app(
        Path(arguments.notebooks) if arguments.notebooks else (root or this_workbook()) / "notebooks",
        port=arguments.port,
        ip=arguments.ip,
        params=params,
        hosts=arguments.host,
        has_token=arguments.token,
        most_kernels=arguments.pages,
    )
