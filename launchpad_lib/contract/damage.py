"""What a file that is not as it was written is told as, whoever finds it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["damaged", "rebuilt", "foreign"]
"""`damaged`: rows may be lost or changed, somebody has to act. `rebuilt`: made again by itself, no number hangs on it.
`foreign`: nobody reads it, and it stays."""


class Damage(NamedTuple):
    """One file that is not as it should be: its path beneath the folder examined, what is wrong, and what to do."""

    kind: Kind
    file: str
    what: str
    remedy: str

    @property
    def sentence(self) -> str:
        """Everything in one sentence.

        >>> Damage("damaged", "events/a.parquet", "is missing", "restore it").sentence
        'events/a.parquet is missing; restore it'
        """
        shown = self.file if self.file.isprintable() else repr(self.file)
        return f"{shown} {self.what}; {self.remedy}"


class Damaged(ValueError):
    """Data that are not as they were written: no number may be made of them."""
