"""What a source is: which files, which of their columns are ours, in which units and time zone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from launchpad_lib.contract.event.rules import shown
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.contract.zones import zone_names
from launchpad_lib.ingestion.files.null_values import NullValues, null_values

# Names of the readers' own columns.
OWN = ("__line", "__raw", "__object", "__properties", "__odd")
Unit = Literal["ns", "us", "ms", "s", "m", "h", "days"]
SECONDS: dict[str, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "days": 86400.0}


class IngestError(ValueError):
    """A source that cannot be read at all; the message names the file, the line, the reason and the remedy, in one line
    whatever the file is called.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message, characters=len(message)))


class SourceSpec(BaseModel):
    """One source of one table: a file, a folder or a glob, and how its columns become ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Literal["events", "telemetry", "series", "annotations", "features", "experiments"] = Field(
        description="the table it fills"
    )
    path: str = Field(description="a file, a folder or a glob; CSV, JSONL (plain or .gz), Parquet")
    columns: dict[str, str] = Field(default_factory=dict, description="ours: theirs")
    constants: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="ours: one value for every row"
    )
    timezone: str = Field(default="UTC", description="IANA name for timestamps that state none")
    units: dict[str, Unit] = Field(
        default_factory=dict, description="unit of a numeric time (since 1970) or duration column"
    )
    formats: dict[str, str] = Field(
        default_factory=dict, description="form of a time that is not ISO 8601, as for strptime: '%m/%d/%y %H:%M'"
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(
        default=None, description="kind of file, where the name does not say"
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="between the fields of a CSV")
    encoding: str = Field(default="utf-8", description="of a CSV or JSON text, for example latin-1 or utf-16")
    event_names: dict[str, str] = Field(default_factory=dict, description="theirs: ours")
    properties: dict[str, str] = Field(
        default_factory=dict, description="name in `properties`: theirs; kept as text (events only)"
    )
    null_values: dict[str, list[str | int | float | bool]] = Field(
        default_factory=dict,
        description="ours, or a name under `properties`: values of their field that mean missing, such as [-1, N/A]",
    )
    pseudonymise: bool = Field(
        default=False,
        description="keep a keyed hash of user_id in its place (salt: LAUNCHPAD_PSEUDONYM_SALT), and of refused rows "
        "the reason alone",
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
            raise ValueError(f"{value!r} is not an IANA time zone; {nearest(value, zone_names())}")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value!r} is no encoding; write for example latin-1, cp1252 or utf-16") from None
        return value

    @model_validator(mode="after")
    def _times_are_stated_once(self) -> SourceSpec:
        times = {c.name for c in TABLES[self.table].columns if c.type == "timestamp"}
        for name, form in self.formats.items():
            if name not in times:
                raise ValueError(f"formats: {name!r} is no time; {nearest(name, times)}")
            if name in self.units:
                raise ValueError(f"{name!r} stands under both `units` and `formats`; keep one")
            try:
                datetime.strptime(datetime(2026, 1, 31, tzinfo=UTC).strftime(form), form)
            except (ValueError, TypeError):
                raise ValueError(f"formats.{name}={form!r} cannot be read; write for example '%m/%d/%y'") from None
        return self

    @model_validator(mode="after")
    def _columns_are_ours(self) -> SourceSpec:
        known = {c.name for c in TABLES[self.table].columns}
        for place in ("columns", "constants", "units", "formats"):
            for name in getattr(self, place):
                if name not in known and not (place == "constants" and self.table == "events"):
                    raise ValueError(f"{place}: {name!r} is no column of {self.table}; {nearest(name, known)}")
        if self.properties and self.table != "events":
            raise ValueError(
                f"properties: only events have properties, not {self.table}; map the field under `columns`"
            )
        texts = {c.name for c in TABLES[self.table].columns if c.type != "json"} | set(self.properties)
        for name in self.null_values:
            if name in known - texts:
                raise ValueError(
                    f"null_values: {name!r} is a whole object; map its field under `properties`, and name that"
                )
            if name not in texts:
                raise ValueError(
                    f"null_values: {name!r} is no column of {self.table} and no name under `properties`; "
                    f"{nearest(name, texts)}"
                )
        for place in ("columns", "null_values"):
            both = sorted(set(getattr(self, place)) & set(self.constants))
            if both:
                raise ValueError(f"{both[0]!r} stands under both `{place}` and `constants`; keep one")
        for name in (*self.columns.values(), *self.properties.values()):
            if name in OWN:
                raise ValueError(f"{name!r} is a name of the reader's own and cannot be mapped; rename that field")
        for name in self.natural_key:
            if name not in known:
                raise ValueError(f"natural_key: {name!r} is no column of {self.table}; {nearest(name, known)}")
        return self

    @cached_property
    def nulls(self) -> dict[str, NullValues]:
        """Our columns, and names in `properties`, of which some values mean missing."""
        return {name: null_values(listed) for name, listed in self.null_values.items() if listed}

    def wanted(self) -> set[str]:
        """Their fields that the table needs as columns of their own."""
        return {c.name for c in TABLES[self.table].columns} | set(self.columns.values()) | set(self.properties.values())

    def tells_copies(self, names: Collection[str]) -> bool:
        """Whether two rows of a file with these fields can be one event: by an id, or by the stated natural key.

        >>> SourceSpec(table="events", path="x.csv").tells_copies(["user_id", "ts"])
        False
        """
        return bool(self.natural_key) or bool({"event_id"} & {*names, *self.columns, *self.constants})

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
