"""What a source is: which files, which of their columns are ours, in which units and time zone."""

from __future__ import annotations

import difflib
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from launchpad_lib.contract.tables import TABLES
from launchpad_lib.contract.zones import zone_names


class IngestError(ValueError):
    """A source that cannot be read at all; the message names the file, the line, the reason and the remedy."""


class SourceSpec(BaseModel):
    """One source of one table: a file, a folder or a glob, and how its columns become ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Literal["events", "telemetry", "annotations", "features"] = Field(description="the table it fills")
    path: str = Field(description="a file, a folder or a glob; CSV, JSONL (plain or .gz), Parquet")
    columns: dict[str, str] = Field(default_factory=dict, description="ours: theirs")
    constants: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="ours: one value for every row"
    )
    timezone: str = Field(default="UTC", description="IANA name for timestamps that state none")
    units: dict[str, Literal["s", "ms", "us"]] = Field(
        default_factory=dict, description="unit of a numeric time or duration column"
    )
    event_names: dict[str, str] = Field(default_factory=dict, description="theirs: ours")
    properties: dict[str, str] = Field(
        default_factory=dict, description="name in `properties`: theirs; kept as text (events only)"
    )
    natural_key: list[str] = Field(
        default_factory=list, description="our columns that identify a row where it has no id"
    )
    valid_from: datetime | None = Field(default=None, description="rows before are refused")
    valid_until: datetime | None = Field(default=None, description="rows at or after are refused")

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        if value not in zone_names():
            near = difflib.get_close_matches(value, zone_names(), n=1)
            raise ValueError(
                f"{value!r} is not an IANA time zone; {f'did you mean {near[0]!r}?' if near else 'write for example Europe/Berlin'}"
            )
        return value

    @model_validator(mode="after")
    def _columns_are_ours(self) -> SourceSpec:
        known = {c.name for c in TABLES[self.table].columns}
        for place in ("columns", "constants", "units"):
            for name in getattr(self, place):
                if name not in known and not (place == "constants" and self.table == "events"):
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(sorted(known))}"
                    raise ValueError(f"{place}: {name!r} is no column of {self.table}; {hint}")
        if self.properties and self.table != "events":
            raise ValueError(
                f"properties: only events have properties, not {self.table}; map the field under `columns`"
            )
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ValueError(f"{both[0]!r} stands under both `columns` and `constants`; keep one")
        for name in (*self.columns.values(), *self.properties.values()):
            if name in ("__line", "__raw", "__object"):
                raise ValueError(f"{name!r} is a name of the reader's own and cannot be mapped; rename that field")
        for name in self.natural_key:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ValueError(
                    f"natural_key: {name!r} is no column of {self.table}; {f'did you mean {near[0]!r}?' if near else 'name our columns'}"
                )
        return self

    def wanted(self) -> set[str]:
        """Their fields that the table needs as columns of their own."""
        return {c.name for c in TABLES[self.table].columns} | set(self.columns.values()) | set(self.properties.values())

    def files(self, root: Path) -> list[Path]:
        """The files of this source in name order.

        Raises:
            IngestError: no file is there.
        """
        asked = Path(self.path).expanduser()
        place = root / asked
        if place.is_dir():
            found = [p for p in place.rglob("*") if p.is_file() and not p.name.startswith((".", "_"))]
        elif place.is_file():
            found = [place]
        else:
            base, pattern = (
                (Path(asked.anchor), str(asked.relative_to(asked.anchor)))
                if asked.is_absolute()
                else (root, str(asked))
            )
            found = [p for p in base.glob(pattern) if p.is_file()]
        if not found:
            raise IngestError(
                f"{self.path}: no such file or folder; correct `path` of the {self.table} source or put the file there"
            )
        return sorted(found)
