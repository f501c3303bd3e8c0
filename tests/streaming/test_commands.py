"""The commands as a user types them; what must arrive is what `simulate --to` says it sent."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main


@pytest.fixture
def signals():
    """The worker takes over SIGTERM and SIGINT; they are given back."""
    kept = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    yield
    for sign, handler in kept.items():
        signal.signal(sign, handler)


@pytest.mark.parametrize("target", ["spool", "kafka", "kafka envelope"])
def test_what_simulate_sent_is_what_the_lake_has(request, tmp_path, capsys, signals, target):
    address = f"spool:{tmp_path / 'spool'}"
    if target != "spool":
        address = f"kafka://{request.getfixturevalue('broker').address}/{request.getfixturevalue('topic')}"
    lake = tmp_path / "lake"
    assert (
        main(
            [
                "simulate",
                "--to",
                address,
                "--events",
                "3000",
                "--seed",
                "5",
                *(["--envelope", "50"] if "envelope" in target else []),
            ]
        )
        == 0
    )
    events, refused = (
        int(n.replace(",", ""))
        for n in re.search(
            r"must have ([\d,]+) more events .* and ([\d,]+) more refused", capsys.readouterr().out
        ).groups()
    )
    assert main(["stream", "--from", address, "--lake", str(lake), "--idle-exit-seconds", "0.6"]) == 0
    assert (DeltaTable(str(lake / "events")).count(), DeltaTable(str(lake / "rejected")).count()) == (events, refused)
    assert events == 3000
    assert main(["compact", "--lake", str(lake), "--reports", str(tmp_path)]) == 0
    assert DeltaTable(str(lake / "events")).count() == events


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stream", "--from", "mqtt://x", "--lake", "l"], "no such kind of source"),
        (["stream", "--from", "kafka://u:hush@h:1/t", "--lake", "l"], "LAUNCHPAD_KAFKA_SASL_PLAIN_USERNAME"),
        (["stream", "--from", "spool:/nowhere", "--lake", "l"], "there is no such folder"),
        (["stream", "--from", "spool:.", "--lake", "l", "--commit-every-ms", "0"], "must be 1 to 60000"),
        (["simulate", "--to", "ftp://x"], "write kafka://"),
        (["compact", "--lake", "/nowhere"], "there is no events table"),
    ],
)
def test_bad_input_is_one_sentence_without_secrets_and_exit_2(arguments, sentence, capsys, signals):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said and "hush" not in said and len(said.splitlines()) == 1


def test_a_worker_that_is_told_to_stop_commits_what_it_has_read(tmp_path, signals):
    from tests.streaming.test_spool_to_lake import event, ids

    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "w-000000000000.ndjson").write_text("".join(event(n) for n in range(500)))
    timer = threading.Timer(1.5, signal.raise_signal, args=(signal.SIGTERM,))
    timer.start()
    # A commit is due only every minute, so the stop alone makes this one, and it does not wait for that minute.
    started = time.monotonic()
    assert (
        main(
            [
                "stream",
                "--from",
                f"spool:{tmp_path / 'spool'}",
                "--lake",
                str(tmp_path / "lake"),
                "--commit-every-ms",
                "60000",
            ]
        )
        == 0
    )
    assert time.monotonic() - started < 30
    assert len(ids(tmp_path / "lake")) == 500
