"""Many alerts of one rule at once: one message to people, and each of them begins and ends by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad_lib.delivery.grouping import MOST_ALONE
from launchpad_lib.delivery.sent_log import SENT_LOG, sent_log
from launchpad_lib.runner.alerts import send_alerts
from launchpad_lib.runner.parameters import RunParams
from tests.delivery.receivers import Http
from tests.runner.test_alerts import kept, params, rule

SLACK = {"kind": "slack", "url_env": "SLACK_URL", "attempts": 1}
HOOK = {"kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET", "attempts": 1}


class Weeks:
    """Runs one after the other; how many messages each channel got."""

    def __init__(self, reports: Path, slack: Http, hook: Http) -> None:
        self.reports, self.slack, self.hook, self.number = reports, slack, hook, 0
        asked = rule("states.state", "degraded now", to=["people"])
        other = rule("states.state", "fell silent", to=["people"])
        self.run: RunParams = params(asked, other, reports=reports, channels={"people": SLACK, "machine": HOOK})

    def next(self, **words: int) -> tuple[int, int]:
        self.number += 1
        before = len(self.slack.came), len(self.hook.came)
        names = [(f"f{n:02}", word.replace("_", " ")) for word, many in words.items() for n in range(many)]
        states = {name: word for name, word in [*((f"f{n:02}", "healthy") for n in range(60)), *names]}
        rows = [{"feature_id": n, "state": w, "reason": "so it is"} for n, w in states.items()]
        send_alerts(self.run, kept(self.reports, f"r{self.number}", day=self.number, tables={"states": rows}), reports=self.reports)  # fmt: skip
        return len(self.slack.came) - before[0], len(self.hook.came) - before[1]

    def open(self, channel: str) -> set[str | None]:
        with sent_log(self.reports, is_dry=True) as log:
            return {one.feature_id for one in log.open_alerts("small", channel).values()}


@pytest.fixture
def weeks(tmp_path, monkeypatch):
    with Http() as slack, Http() as hook:
        monkeypatch.setenv("SLACK_URL", slack.address)
        monkeypatch.setenv("HOOK_URL", hook.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        yield Weeks(tmp_path, slack, hook)


def features(many: int) -> set[str]:
    return {f"f{n:02}" for n in range(many)}


def test_a_machine_gets_each_and_people_one_message(weeks):
    asked = rule("states.state", "degraded now", to=["people", "machine"])
    weeks.run = weeks.run.model_copy(update={"alerts": [asked]})
    assert weeks.next(degraded_now=7) == (1, 7) and weeks.next() == (1, 7)
    assert len({body["data"]["key"] for body in weeks.hook.bodies}) == 7


def test_sixty_alerts_of_a_rule_are_one_message_to_people(weeks):
    assert weeks.next(degraded_now=60) == (1, 0)
    said = str(weeks.slack.bodies[0])
    assert "60 alerts of one rule: states.state degraded now" in said
    assert "f00: degraded now" in said and "f19: degraded now" in said and "f20" not in said and "and 40 more" in said
    assert weeks.open("people") == features(60)
    assert weeks.next(degraded_now=60) == (0, 0), "each was told"


def test_each_of_them_ends_and_begins_by_itself(weeks):
    weeks.next(degraded_now=60)
    assert weeks.next(degraded_now=58) == (2, 0) and weeks.open("people") == features(58)
    assert weeks.next(degraded_now=60) == (2, 0), "these two begin anew"
    assert weeks.next() == (1, 0) and weeks.open("people") == set()
    assert "60 alerts of one rule" in str(weeks.slack.bodies[-1])
    assert weeks.next(degraded_now=60) == (1, 0), "a new occurrence, so a new message id"
    assert weeks.next(degraded_now=59) == (1, 0)


def test_as_many_as_stand_alone_stand_alone_and_two_rules_are_never_one_message(weeks):
    assert weeks.next(degraded_now=MOST_ALONE) == (MOST_ALONE, 0)
    # f00 to f19 fall silent: that ends no alert of the other rule, of which f20 to f39 begin.
    assert weeks.next(degraded_now=40, fell_silent=20) == (2, 0)


def test_one_that_did_not_arrive_is_due_again_whole(weeks):
    weeks.slack.answers[:] = [500]
    assert weeks.next(degraded_now=60) == (1, 0) and weeks.open("people") == set()
    weeks.slack.answers[:] = [200]
    assert weeks.next(degraded_now=60) == (1, 0) and weeks.open("people") == features(60)
    lines = (weeks.reports / SENT_LOG).read_text().splitlines()
    assert sum('"members"' in line for line in lines) == 4, "each try has a line before and one after"
