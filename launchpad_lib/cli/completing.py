"""`launchpad completion`: what a shell needs to complete commands, options and files."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")
FILES = {"params", "file"}
FOLDERS = {"lake", "reports", "spool", "folder", "one", "other"}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds completion."""
    completion = commands.add_parser(
        "completion",
        help="print the completion of a shell",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""to keep it:
  bash  launchpad completion bash > ~/.local/share/bash-completion/completions/launchpad
  zsh   launchpad completion zsh > DIR/_launchpad, where DIR is in $fpath before compinit
  fish  launchpad completion fish > ~/.config/fish/completions/launchpad.fish""",
    )
    completion.set_defaults(run=_completion)
    completion.add_argument("shell", choices=SHELLS)


def _completion(arguments: argparse.Namespace) -> int:
    import shtab

    for command in _commands(arguments.parser):
        for action in command._actions:
            if action.dest in FILES | FOLDERS and action.nargs != 0:
                action.complete = shtab.FILE if action.dest in FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(arguments.parser, shell=arguments.shell))
    return 0


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [parser, *(found for action in below for one in action.choices.values() for found in _commands(one))]
