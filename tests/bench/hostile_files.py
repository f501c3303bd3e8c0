"""Hostile files by seeded mutation: each is ingested in full, in part with reasons, or refused in one sentence.

    python -m tests.bench.hostile_files [--files 1000] [--seed 13]

Well-formed files of every kind that Launchpad reads are cut, overwritten, repeated, spliced and given other names. Of
each: a traceback is what no `ValueError` of one sentence is; *silent* is a file whose rows are neither in the lake nor
refused (rows read = accepted + copies + refused, and the table has just as many more).
"""

from __future__ import annotations

import argparse
import collections
import gzip
import io
import json
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from deltalake import DeltaTable

from launchpad_lib.ingestion import SourceSpec, ingest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = [
    {"event_id": f"e{n}", "event_name": "seen", "user_id": f"u{n % 7}", "event_at": f"2026-01-05T00:{n:02}:00Z", "n": n}
    for n in range(40)
]


def well_formed() -> dict[str, bytes]:
    """A file of every kind, by name."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    table = ",".join(ROWS[0]) + "\n" + "".join(",".join(map(str, row.values())) + "\n" for row in ROWS)
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), parquet)
    return {
        "a.csv": table.encode(),
        "a.tsv": table.replace(",", "\t").encode(),
        "a.jsonl": lines,
        "a.jsonl.gz": gzip.compress(lines, mtime=0),
        "a.csv.gz": gzip.compress(table.encode(), mtime=0),
        "a.jsonl.zst": zstandard.compress(lines),
        "a.json": json.dumps(ROWS).encode(),
        "a.parquet": parquet.getvalue(),
    }


def mutated(files: dict[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """One file, changed once to four times."""
    name, content = rng.choice(sorted(files.items()))
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, other = rng.randrange(len(data) + 1), bytearray(rng.choice(sorted(files.values())))
        change = rng.randrange(8)
        if change == 0:
            del data[at:]
        elif change == 1 and data:
            data[at - 1] ^= 1 << rng.randrange(8)
        elif change == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 40))
        elif change == 3:
            data[at : at + rng.randint(1, 60)] = b""
        elif change == 4:
            data[at:at] = data[: rng.randint(0, 400)] * rng.randint(1, 50)
        elif change == 5:
            data[at:at] = other[rng.randrange(len(other)) :][:300]
        elif change == 6:
            odd = (
                b"\0",
                b"\r",
                b"\r\n",
                b'"',
                b"\xff\xfe",
                b"\xef\xbb\xbf",
                b"{" * 300,
                b"[" * 300,
                b"1e999",
                b"\xed\xa0\x80",
            )
            data[at:at] = rng.choice(odd)
        else:
            name = rng.choice(sorted(files))
    return name, bytes(data)


def outcome(name: str, data: bytes, place: Path) -> str:
    """What became of it: read, refused in a sentence, traceback or silent."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / name).write_bytes(data)
    try:
        done = ingest(SourceSpec(table="events", path=str(place / name)), lake=place / "lake", ingested_at=NOW)
    except ValueError as error:
        said = str(error)
        return (
            "refused"
            if said and "\n" not in said and len(said) < 1000
            else f"traceback (not one sentence: {said[:300]!r})"
        )
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return f"traceback ({type(error).__name__}: {str(error)[:300]})"
    events = place / "lake" / "events"
    there = DeltaTable(str(events)).to_pyarrow_table().num_rows if events.exists() else 0
    rejected = place / "lake" / "rejected"
    refused = DeltaTable(str(rejected)).to_pyarrow_table().num_rows if rejected.exists() else 0
    if there != done.accepted or refused < done.rejected or (len(data.split()) > 1 and not (done.read or refused)):
        return f"silent ({done}, {there} rows, {refused} refused)"
    return "read"


def main() -> None:
    """Counts of outcomes, and what is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    rng, files = random.Random(arguments.seed), well_formed()
    counts: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(arguments.files):
            name, data = mutated(files, rng)
            began = time.process_time()
            said = outcome(name, data, Path(scratch) / "place")
            slowest = max(slowest, time.process_time() - began)
            counts[said.partition(" ")[0]] += 1
            if said not in ("read", "refused"):
                print(f"{number} {name} {len(data)} bytes: {said}", flush=True)
    print(f"{arguments.files} files (seed {arguments.seed}): {dict(counts)}; at most {slowest:.1f} s of CPU")


if __name__ == "__main__":
    main()
