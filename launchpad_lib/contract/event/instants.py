"""What an instant may look like: ISO 8601, extended or basic, four digits of a year; everything else needs a stated
unit or format.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from launchpad_lib.contract.event.rules import no_zone, not_a_timestamp, skipped_by_clocks
from launchpad_lib.contract.zones import zone

_ZONE = r"(?P<zone>[Zz]|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?|[A-Za-z]{3,}(?:/[A-Za-z_+\-0-9]+)*)"
_HOUR = r"(?:[01]\d|2[0-3])"
_EXTENDED = (
    rf"(?P<d>\d{{4}}-\d\d-\d\d)(?:[Tt ](?P<t>{_HOUR}(?::[0-5]\d(?::[0-5]\d)?)?)(?:[.,](?P<f>\d+))?(?: ?{_ZONE})?)?"
)
_BASIC = rf"(?P<d>\d{{8}})(?:[Tt](?P<t>{_HOUR}(?:[0-5]\d(?:[0-5]\d)?)?)(?:[.,](?P<f>\d+))?(?: ?{_ZONE})?)?"
_FORMS = [re.compile(form, re.ASCII) for form in (_EXTENDED, _BASIC)]
_PLAIN = {20, 22, 23, 24, 25, 26, 27}


class NotAnInstantError(ValueError):
    """The text is no instant; the message is the reason."""


def instant(field: str, value: object, *, zone: tzinfo | None = None) -> datetime:
    """The instant in UTC; what is finer than a microsecond is cut off.

    Args:
        zone: of times that state none, and then a bare date is its first instant; None where the zone must be stated.

    Raises:
        NotAnInstantError: it is none, or outside the years 1 to 9999 in UTC.
    """
    if isinstance(value, datetime):
        return _in_utc(field, value, value)
    text = value if isinstance(value, str) else ""
    if (
        len(text) in _PLAIN
        and text[-1] == "Z"
        and text[10] == "T"
        and text[4] == text[7] == "-"
        and text[13] == text[16] == ":"
        and (len(text) == 20 or text[19] == ".")
        and text.isascii()
    ):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise NotAnInstantError(not_a_timestamp(field, value)) from None
    found = next((m for form in _FORMS if (m := form.fullmatch(text))), None)
    if found is None:
        raise NotAnInstantError(not_a_timestamp(field, value))
    day, clock = found["d"].replace("-", ""), (found["t"] or "").replace(":", "").ljust(6, "0")
    # A fraction belongs to seconds; of minutes and hours nobody writes one.
    if found["f"] and len((found["t"] or "").replace(":", "")) != 6:
        raise NotAnInstantError(not_a_timestamp(field, value))
    try:
        local = datetime.strptime(day + clock, "%Y%m%d%H%M%S")
    except ValueError:
        raise NotAnInstantError(not_a_timestamp(field, value)) from None
    local = local.replace(microsecond=int((found["f"] or "0")[:6].ljust(6, "0")))
    stated = _zone_of(field, value, found["zone"]) or zone
    if stated is None:
        raise NotAnInstantError(no_zone(field, value))
    # Of a local time that exists twice the later one is taken.
    return _in_utc(field, value, local.replace(tzinfo=stated, fold=1))


def _zone_of(field: str, value: object, text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in "Zz" or text.upper() in ("UTC", "GMT"):
        return UTC
    if text[0] in "+-":
        digits = text[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return timezone(offset if text[0] == "+" else -offset)
    try:
        return zone(text)
    except ValueError:
        raise NotAnInstantError(not_a_timestamp(field, value)) from None


def _in_utc(field: str, value: object, local: datetime) -> datetime:
    try:
        at = local.replace(tzinfo=UTC) if local.tzinfo is None else local.astimezone(UTC)
        if isinstance(local.tzinfo, ZoneInfo) and at.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(
            tzinfo=None, fold=0
        ):
            raise NotAnInstantError(skipped_by_clocks(field, value, local.tzinfo.key))
    except OverflowError:
        raise NotAnInstantError(not_a_timestamp(field, value)) from None
    return at
