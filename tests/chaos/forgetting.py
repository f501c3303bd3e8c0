"""`launchpad forget`, ended at each of the changes that it makes to files, and started again.

python -m tests.chaos.forgetting
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.runner.test_forget import changes_until, filled, forget_after_kill, spool_of


def main() -> None:
    """Prints the number of kills, and of those after which something was left or lost."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        filled(work / "lake")
        spool_of(work / "spool")
        changes, bad = changes_until(work, at=None, copy=Path(scratch) / "whole"), 0
        for at in range(changes):
            wrong = forget_after_kill(work, at=at, copy=Path(scratch) / "killed")
            shutil.rmtree(Path(scratch) / "killed")
            if wrong:
                bad += 1
                print(f"after {at} changes: {wrong}")
        print(f"forget: {changes} kills, {bad} with something left or lost")


if __name__ == "__main__":
    main()
