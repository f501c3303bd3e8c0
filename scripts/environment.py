"""Writes environment.yml (for conda users) from pyproject.toml; `--check` fails when they differ."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment_text(pyproject: dict) -> str:
    """The text of environment.yml: python from conda, everything else as pyproject states it, through pip."""
    project = pyproject["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    lines = [
        "# Generated from pyproject.toml by `make environment`; do not edit.",
        "name: feature-launchpad",
        "channels: [conda-forge]",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
        *(f'      - "{requirement}"' for requirement in requirements),
        "      - -e .",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes the file, or with --check compares it; 1 when they differ."""
    text = environment_text(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    target = ROOT / "environment.yml"
    if "--check" in sys.argv:
        if not target.exists() or target.read_text() != text:
            print("environment.yml differs from pyproject.toml: run `make environment` and commit it")
            return 1
        return 0
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
