"""Calendar days by the locked time zones, whatever the host has; and the engine's own zones held against them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from launchpad_lib.contract.zones import zone, zone_names

ROOT = Path(__file__).resolve().parents[2]
# tzdata 2026.6 knows of a change in Cuba from November 2026 on that the zones built into DuckDB 2.0.0 do not know yet.
ENGINE_IS_BEHIND = {"America/Havana", "Cuba"}


def test_the_engine_and_the_locked_zones_agree_on_local_times_of_2010_to_2031_but_for_the_zones_named_here():
    """Every sixth hour around each month's turn, 598 zones: both implementations are independent of each other."""
    months = [datetime(2010 + m // 12, m % 12 + 1, 1) for m in range(22 * 12)]
    instants = [month + timedelta(hours=h) for month in months for h in (-6, 0, 6)]
    instants += [datetime(2026, 1, 1) + timedelta(hours=6 * i) for i in range(4 * 365)]
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("given", pa.table({"instant": pa.array(instants, pa.timestamp("us"))}))
    differing = set()
    for name in sorted(zone_names()):
        own = [at.replace(tzinfo=UTC).astimezone(zone(name)).replace(tzinfo=None) for at in instants]
        query = "SELECT timezone($zone, timezone('UTC', instant)) FROM given"
        if [row[0] for row in con.execute(query, {"zone": name}).fetchall()] != own:
            differing.add(name)
    assert differing == ENGINE_IS_BEHIND


def test_zones_are_those_of_the_package_where_the_host_has_none_or_others(tmp_path):
    """The host's Europe/Berlin is a copy of Tokyo's file here."""
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe/Berlin").write_bytes(files("tzdata").joinpath("zoneinfo/Asia/Tokyo").read_bytes())
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from datetime import datetime
from zoneinfo import ZoneInfo
from launchpad_lib.contract.zones import zone
at = datetime(2026, 1, 1)
print(at.replace(tzinfo=ZoneInfo("Europe/Berlin")).utcoffset(), at.replace(tzinfo=zone("Europe/Berlin")).utcoffset())
from launchpad_lib.metrics.windows import last_complete_period
print(last_complete_period(datetime(2026, 1, 1, 20), "Europe/Berlin", "day") - last_complete_period(datetime(2026, 1, 1), "UTC", "day"))
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONTZPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    # At 20:00 UTC the day of 1 January is not over in Berlin; in Tokyo it would have been for five hours.
    assert shown.stdout.split() == ["9:00:00", "1:00:00", "0"]


@pytest.mark.parametrize(
    "name", ["localtime", "posixrules", "../../etc/passwd", "", "europe/berlin", "Mars/Base", "UTC\0"]
)
def test_a_name_that_is_no_zone_is_refused(name):
    with pytest.raises(ValueError, match="is no IANA time zone"):
        zone(name)
