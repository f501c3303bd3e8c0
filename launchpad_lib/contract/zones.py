"""Time zones of the locked package `tzdata`, never of the host: the same calendar days on every machine.

The engine has zones of its own, built into it; a test holds the two together and lists where they differ.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from zoneinfo import ZoneInfo

_PACKAGE = "tzdata"


@functools.cache
def zone_names() -> frozenset[str]:
    """Every IANA name, such as Europe/Berlin."""
    return frozenset(files(_PACKAGE).joinpath("zones").read_text(encoding="utf-8").split())


@functools.cache
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ValueError: it is none.

    >>> from datetime import datetime
    >>> datetime(2026, 7, 1, tzinfo=zone("Europe/Berlin")).utcoffset()
    datetime.timedelta(seconds=7200)
    """
    if name not in zone_names():
        raise ValueError(f"{name!r} is no IANA time zone; write for example Europe/Berlin")
    with files(_PACKAGE).joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
