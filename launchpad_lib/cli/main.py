"""`launchpad`: the command.

Each group of commands has a file; heavy imports are inside them, so that help is instant.
"""

from __future__ import annotations

import argparse
import os
import sys

from launchpad_lib.cli import (
    alerting,
    annotating,
    collecting,
    completing,
    erasing,
    keeping,
    querying,
    reporting,
    runs,
    simulating,
    streaming,
    workbook,
)

GROUPS = (
    reporting,
    runs,
    alerting,
    annotating,
    querying,
    keeping,
    erasing,
    workbook,
    simulating,
    collecting,
    streaming,
    completing,
)


class _Version(argparse.Action):
    """Says the version; it is looked up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"launchpad {version('feature-launchpad')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    """The command with all of its commands."""
    parser = argparse.ArgumentParser(prog="launchpad", description="Did the feature work, and is it healthy?")
    parser.set_defaults(parser=parser)  # completion is made of it
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(dest="command", required=True)
    for group in GROUPS:
        group.add_commands(commands)
    return parser


QUERY_STOPPED = "Query interrupted"  # what DuckDB makes of Ctrl-C during a query


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all well or refused for want of data, 1 a notebook failed or a run is not as it was written,
    2 bad parameters or input, 130 stopped.
    """
    try:
        try:
            return _dispatch(_parser().parse_args(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough; what Python still wants to flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"launchpad: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, RuntimeError) as stop:
        if isinstance(stop, RuntimeError) and str(stop) != QUERY_STOPPED:
            raise
        print("launchpad: stopped; nothing half-written is kept", file=sys.stderr)
        return 130


def _dispatch(arguments: argparse.Namespace) -> int:
    """Each command brings its own function."""
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
