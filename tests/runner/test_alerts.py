"""Alert rules: what is refused before a run, what holds in a run, and what is sent from run to run. Worlds by hand."""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from launchpad_lib.cli.main import main
from launchpad_lib.contract.manifest import manifest_text
from launchpad_lib.delivery.sent_log import SENT_LOG, sent_log
from launchpad_lib.runner.alert_judging import judge
from launchpad_lib.runner.alert_rules import LIVE, AlertRule, When, read_when
from launchpad_lib.runner.alerts import run_of, send_alerts, would_send
from launchpad_lib.runner.live import LiveFigures
from launchpad_lib.runner.live_alerts import LiveAlerts
from launchpad_lib.runner.named_things import named_things
from launchpad_lib.runner.parameters import ParameterError, RunParams, load_run
from tests.delivery.receivers import Http
from tests.summaries import HOSTILE, cell, days, feature, found, manifest, notebook, number

HOOK = {"kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET", "attempts": 1}


def rule(metric: str, when: str, **more) -> AlertRule:
    return AlertRule.model_validate({"metric": metric, "when": when, "to": ["ops"]} | more)


def params(*rules: AlertRule | dict, reports: Path = Path("reports"), **more) -> RunParams:
    told = [r.model_dump() if isinstance(r, AlertRule) else r for r in rules]
    base = {
        "name": "small",
        "reports": str(reports),
        "sequence": [["funnels"]],
        "alerts": told,
        "channels": {"ops": HOOK},
    }
    return RunParams.model_validate(base | more)


def kept(reports: Path, run_id: str, *, tables: dict[str, list[dict]] | None = None, day: int = 1, **more):
    """A published run of that day."""
    folder = reports / run_id
    (folder / "tables").mkdir(parents=True)
    written = []
    for name, rows in (tables or {}).items():
        pq.write_table(pa.Table.from_pylist(rows), folder / "tables" / f"{name}.parquet")
        columns = list(rows[0])
        written.append({"name": name, "notebook": "health", "path": f"tables/{name}.parquet", "rows": len(rows), "columns": columns})  # fmt: skip
    said = manifest(
        run_id=run_id, started_at=f"2026-01-{day:02d}T06:00:00+00:00", finished_at=f"2026-01-{day:02d}T06:01:00+00:00",
        tables=written, **more,
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest_text(said), encoding="utf-8")
    return run_of(folder)


def held(asked: AlertRule, run) -> dict[str, bool | None]:
    return {j.subject: j.holds for j in judge(asked, run).judged}


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("> 0.05", 0.06, True),
        ("> 0.05", 0.05, False),
        (">= 5 %", 0.05, True),
        ("< -2", -3, True),
        ("!= 0", 0, False),
        ("== 3", 3.0, True),
        ("> 0", None, None),
        ("> 0", float("nan"), None),
        ("worse", "worse", True),
        ("worse | fell silent", "fell silent", True),
        ("worse", "healthy", False),
        ("worse", "cannot tell", None),
        ("healthy", "fell silent", None),
        ("refused", "refused", True),
        ("true", True, True),
        ("true", False, False),
    ],
)
def test_a_condition_holds_does_not_hold_or_cannot_be_told(text, value, holds):
    assert read_when(text).holds(value) is holds


def test_a_change_is_told_from_a_value():
    assert read_when("change < -2 %") == When(True, "<", -0.02)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"metric": "share_rat", "when": "> 1"}, "did you mean 'share_rate'"),
        ({"metric": "states.stat", "when": "worse"}, "no column of the table states; did you mean 'state'"),
        ({"metric": "live.lag", "when": "> 1"}, "no figure of `launchpad live`"),
        ({"metric": "share_rate", "when": "degraded now"}, "of a metric write a limit, or rose, fell, worse, better"),
        ({"metric": "share_rate", "when": ">> 1"}, "is no comparison"),
        ({"metric": "share_rate", "when": "> 1 or < 0"}, "is no comparison"),
        ({"metric": "share_rate", "when": " "}, "says nothing"),
        ({"metric": "states.state", "when": "degrade now"}, "is never 'degrade now'; did you mean 'degraded now'"),
        ({"metric": "states.state", "when": "> 3"}, "is no number"),
        ({"metric": "budgets.is_alert", "when": "yes"}, "write true or false"),
        ({"metric": "risk.probability", "when": "high"}, "is a number; write a limit"),
        ({"metric": "finding", "when": "bad"}, "a finding is act, watch, unknown, fine"),
        ({"metric": "finding", "when": "change > 3"}, "only a metric has a change"),
        ({"metric": "states.state", "when": "worse", "for": "3 buckets"}, "is said once a run; write runs"),
        ({"metric": "share_rate", "when": "worse", "for": "3 buckets"}, "is said once a run; write runs"),
        ({"metric": "share_rate", "when": "worse", "for": "2 weeks"}, "no number of runs or buckets"),
        ({"metric": "live.gaps", "when": "> 0", "for": "2 runs"}, "of live figures write buckets"),
        ({"metric": "states.state", "when": "worse", "sure": True}, "needs a metric with an interval"),
        ({"metric": "share_rate", "when": "worse", "severity": "bad"}, "'critical', 'error', 'warning' or 'info'"),
        ({"metric": "share_rate", "when": "worse", "to": ["opps"]}, "no channel; did you mean 'ops'"),
        ({"metric": "share_rate", "when": "worse", "to": []}, "at least 1 item"),
        ({"metric": "share_rate", "when": "worse", "fro": "2 runs"}, "did you mean 'for'"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_one_sentence_before_the_run(tmp_path, said, told):
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps({
        "name": "p", "sequence": [["funnels"]], "channels": {"ops": HOOK},
        "alerts": [{"to": ["ops"]} | said],
    }))  # fmt: skip
    with pytest.raises(ParameterError) as error:
        load_run(path)
    assert told in str(error.value) and "\n" not in str(error.value) and "alerts" in str(error.value)


def test_two_rules_that_ask_the_same_are_one_too_many():
    with pytest.raises(ValueError, match=r"alerts\[1\]: asks what alerts\[0\] asks"):
        params(rule("share_rate", "worse"), rule("share_rate", "worse", severity="info"))


def test_a_feature_of_a_rule_is_looked_up_and_the_rules_come_back_from_a_manifest(tmp_path):
    run = params(rule("share_rate", "worse", feature="search", **{"for": "2 runs"}))
    assert ("alerts[0].feature", "feature", "search") in {
        (n.place, n.kind, n.name) for n in named_things(run.model_copy(update={"sequence": []}), notebooks=tmp_path)
    }
    assert RunParams.model_validate(run.model_dump(mode="json")) == run
    assert run.model_dump(mode="json")["alerts"][0]["for"] == "2 runs"


def test_the_live_figures_that_a_rule_may_watch_are_there():
    assert set(LIVE) <= set(LiveFigures._fields)


def test_a_headline_number_is_held_against_a_limit_its_interval_its_change_and_its_course(tmp_path):
    change = {"value": -0.04, "ci_low": -0.06, "ci_high": -0.02, "word": "fell"}
    course = days([0.6, 0.5, None, 0.3, 0.2, 0.9], last_is_open=True)
    said = [
        number("share_rate", 0.5, segment="Search", change=change, series=course),
        number("share_rate", None, segment="checkout"),
    ]
    run = kept(tmp_path, "r", metrics=said, scorecard=[feature("search", feature_name="Search"), feature("checkout")])
    both = lambda when, **more: held(rule("share_rate", when, **more), run)  # noqa: E731
    assert both("> 0.4") == {"Search": True, "checkout": None}
    assert both("> 0.46", sure=True) == {"Search": False, "checkout": None}  # its interval is 0.45 to 0.55
    assert both("< 0.56", sure=True)["Search"] is True and both("< 0.54", sure=True)["Search"] is False
    assert both("change < -3 %")["Search"] is True and both("change < -3 %", sure=True)["Search"] is False
    assert both("worse")["Search"] is True and both("rose | better")["Search"] is False
    assert both("refused") == {"Search": False, "checkout": True}
    # The day that is not over does not count, and a gap is none: 0.5, 0.3, 0.2.
    assert both("< 0.55", **{"for": "3 buckets"})["Search"] is True
    assert both("< 0.55", **{"for": "4 buckets"})["Search"] is False
    assert both("< 0.9", **{"for": "9 buckets"})["Search"] is None
    assert both("> 0.55", **{"for": "2 buckets"})["Search"] is False
    assert held(rule("share_rate", "> 0.4", feature="search"), run) == {"Search": True}
    assert judge(rule("share_rate", "> 0.4", feature="search"), run).judged[0].feature_id == "search"
    assert (
        judge(rule("share_rate", "> 0.4", feature="chat"), run).why_not == "no page of this run says share_rate of chat"
    )
    assert (
        judge(rule("crash_free_users_worst", "< 0.9"), run).why_not == "no page of this run says crash_free_users_worst"
    )


def test_a_lower_number_may_be_the_better_one(tmp_path):
    change = {"value": -4.0, "ci_low": None, "ci_high": None, "word": "fell"}
    said = [number("late_share", 0.1, change=change, higher_is_better=False)]
    run = kept(tmp_path, "r", metrics=said)
    assert held(rule("late_share", "better"), run) == {"": True} and held(rule("late_share", "worse"), run) == {
        "": False
    }


def test_of_a_table_the_newest_bucket_counts_and_who_has_none_cannot_be_told(tmp_path):
    at = [datetime(2026, 1, d) for d in (1, 2, 3)]
    rows = [
        {"feature_id": f, "observed_on": d, "p95_latency_ms": v}
        for f, values in {"a": (100, 400, 500), "b": (900, 900, 100), "c": (900, 900)}.items()
        for d, v in zip(at, values, strict=False)
    ]
    run = kept(tmp_path, "r", tables={"latency_daily": rows[::-1]})
    asked = lambda n: held(rule("latency_daily.p95_latency_ms", "> 300", **{"for": f"{n} buckets"}), run)  # noqa: E731
    assert asked(1) == {"a": True, "b": False, "c": None}
    assert asked(2) == {"a": True, "b": False, "c": None}
    assert asked(3) == {"a": False, "b": False, "c": None}


def test_a_row_that_is_over_does_not_count_and_one_of_several_is_enough(tmp_path):
    started, ended = datetime(2026, 1, 1), datetime(2026, 1, 2)
    one = {"feature_id": "a", "signal": "p95_latency_ms", "started_at": started, "score": 9.0}
    budgets = [{"feature_id": "a", "is_alert": v} for v in (False, None, True)] + [
        {"feature_id": "b", "is_alert": None}
    ]
    tables = {
        "incidents": [one | {"ended_at": ended}, one | {"ended_at": None, "feature_id": "b"}],
        "budgets": budgets,
    }
    run = kept(tmp_path, "r", tables=tables)
    assert held(rule("incidents.score", "> 5"), run) == {"b p95_latency_ms": True}
    assert held(rule("budgets.is_alert", "true"), run) == {"a": True, "b": None}
    assert "wrote the table states" in judge(rule("states.state", "degraded now"), run).why_not


def test_a_finding_is_held_once_a_feature_and_of_one_page_where_it_is_named(tmp_path):
    slow = found("act", "Search got slower.", feature_id="search")
    pages = [
        notebook("latency", findings=[slow, found("watch", "Look.", feature_id="chat")]),
        notebook("risk", findings=[found("act", "Search is degraded.", feature_id="search"), found("act", "Stop.")]),
        notebook("funnels", "failed", findings=[found("act", "Not said.", feature_id="x")]),
    ]
    run = kept(tmp_path, "r", notebooks=pages)
    assert [(j.subject, j.says) for j in judge(rule("finding", "act"), run).judged] == [
        ("search", "Search got slower"),
        ("page risk", "Stop"),
    ]
    assert held(rule("finding.risk", "act | watch"), run) == {"search": True, "page risk": True}


class Weeks:
    """Runs one after the other at one receiver."""

    def __init__(self, reports: Path, run: RunParams, server: Http) -> None:
        self.reports, self.run, self.server, self.number = reports, run, server, 0

    def next(self, **more) -> list[tuple[str, str]]:
        self.number += 1
        before = len(self.server.came)
        published = kept(self.reports, f"r{self.number}", day=self.number, **more)
        send_alerts(self.run, published, reports=self.reports, wait=lambda _: None)
        return [(b["type"].rpartition(".")[2], b["data"]["title"]) for b in self.server.bodies[before:]]


@pytest.fixture
def weeks(tmp_path, monkeypatch):
    with Http() as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        yield lambda *rules, **more: Weeks(tmp_path, params(*rules, reports=tmp_path, **more), server)


def state(word: str, name: str = "search"):
    return {"tables": {"states": [{"feature_id": name, "state": word, "reason": "so it is"}]}}


def test_an_alert_begins_once_ends_once_and_begins_anew(weeks):
    w = weeks(rule("states.state", "degraded now"))
    title = "search: degraded now"
    assert w.next(**state("healthy")) == []
    assert w.next(**state("degraded now")) == [("trigger", title)]
    assert w.next(**state("degraded now")) == []
    assert w.next(**state("cannot tell")) == [], "what cannot be told is not over"
    assert w.next(**state("fell silent")) == []
    assert w.next() == [], "nor is it over when the page failed"
    assert w.next(**state("healthy")) == [("resolve", title)]
    assert w.next(**state("healthy")) == []
    assert w.next(**state("degraded now")) == [("trigger", title)]
    ids = [h["webhook-id"] for _, h, _ in w.server.came]
    assert len(set(ids)) == 3 and len({b["data"]["key"] for b in w.server.bodies}) == 1


def test_one_run_is_sent_once_and_an_older_one_is_only_looked_at(weeks):
    w = weeks(rule("states.state", "degraded now"))
    first = kept(w.reports, "r1", day=1, **state("degraded now"))
    for _ in range(3):
        send_alerts(w.run, first, reports=w.reports)
    send_alerts(w.run, kept(w.reports, "r2", day=2, **state("healthy")), reports=w.reports)
    assert len(w.server.came) == 2
    with pytest.raises(ValueError, match="alerts of a newer run of small were sent already"):
        send_alerts(w.run, first, reports=w.reports)
    assert len(w.server.came) == 2


def test_a_message_that_did_not_arrive_is_sent_by_the_next_run(weeks):
    w = weeks(rule("states.state", "degraded now"))
    w.server.answers[:] = [500, 200]
    w.next(**state("degraded now"))
    w.next(**state("degraded now"))
    w.next(**state("degraded now"))
    assert len(w.server.came) == 2 and len({h["webhook-id"] for _, h, _ in w.server.came}) == 1


def test_a_rule_for_several_runs_waits_for_them(weeks):
    w = weeks(rule("states.state", "degraded now", **{"for": "2 runs"}))
    assert w.next(**state("degraded now")) == []
    assert w.next(**state("healthy")) == []
    assert w.next(**state("degraded now")) == []
    assert [kind for kind, _ in w.next(**state("degraded now"))] == ["trigger"]
    assert w.next() == [] and w.next(**state("degraded now")) == [], (
        "it began; one run that says nothing does not end it"
    )
    assert [kind for kind, _ in w.next(**state("healthy"))] == ["resolve"]


def test_a_finding_is_over_only_where_the_page_that_told_it_stands(weeks):
    w = weeks(rule("finding", "act"))
    page = lambda status, *found_: {"notebooks": [notebook("latency", status, findings=list(found_))]}  # noqa: E731
    slow = found("act", "Search got slower.", feature_id="search")
    assert w.next(**page("ok", slow)) == [("trigger", "Search got slower")]
    assert w.next(**page("failed")) == [] and w.next(**page("refused")) == [] and w.next() == []
    assert w.next(**page("ok")) == [("resolve", "Search got slower")]


def test_an_incident_that_ended_is_over(weeks):
    w = weeks(rule("incidents.score", "> 5"))
    row = {"feature_id": "a", "signal": "x", "started_at": datetime(2026, 1, 1), "ended_at": None, "score": 9.0}
    page = {"notebooks": [notebook("health")]}
    assert [k for k, _ in w.next(tables={"incidents": [row]}, **page)] == ["trigger"]
    ended = row | {"ended_at": datetime(2026, 1, 2)}
    assert [k for k, _ in w.next(tables={"incidents": [ended]}, **page)] == ["resolve"]


def test_a_rule_that_is_taken_out_ends_its_alerts(weeks):
    w = weeks(rule("states.state", "degraded now"))
    w.next(**state("degraded now"))
    w.run = params(rule("states.state", "degraded now", feature="checkout"), reports=w.reports)
    assert w.next(**state("degraded now")) == [("resolve", "search: degraded now")]


def test_names_of_the_data_are_text_and_each_has_an_alert_of_its_own(weeks):
    w = weeks(rule("states.state", "degraded now"))
    rows = [{"feature_id": n, "state": "degraded now", "reason": "x"} for n in HOSTILE]
    told = w.next(tables={"states": rows}, scorecard=[feature(n) for n in HOSTILE])
    assert len(told) == len(HOSTILE) and all("\x00" not in t and "\u202e" not in t for _, t in told)
    assert len({b["data"]["key"] for b in w.server.bodies}) == len(HOSTILE)


def test_a_message_says_who_answers_how_many_and_where_it_is_proved(weeks):
    w = weeks(rule("scorecard.health", "degraded now", name="health"), base_url="https://reports.example/launchpad/")
    row = {"feature_id": "search", "health": "degraded now", "health_says": "It missed its objective.",
           "health_page": "risk_scoring", "health_anchor": "now"}  # fmt: skip
    card = feature("search", "act", feature_name="Search", owner_team="search team", users=268, health=cell("x"))
    w.next(tables={"scorecard": [row]}, scorecard=[card])
    said = w.server.bodies[0]["data"]
    assert said["title"] == "health: Search: degraded now" and said["feature_id"] == "search"
    assert said["lines"] == [
        "It missed its objective.",
        "owner search team; used by 268 users in the last complete week",
        "Run r1; rule: scorecard.health degraded now.",
    ]
    assert said["link"] == "https://reports.example/launchpad/r1/risk_scoring.html#now"


def workbook(tmp_path: Path, *rules: AlertRule) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    path = tmp_path / "params" / "p.yaml"
    path.write_text(json.dumps(params(*rules, reports=tmp_path / "reports").model_dump(mode="json", exclude={"sequence"}) | {"sequence": [["funnels"]]}))  # fmt: skip
    return path


def test_the_command_says_what_it_would_send_and_why_and_sends_only_when_asked(tmp_path, monkeypatch, capsys):
    path = workbook(tmp_path, rule("states.state", "degraded now"), rule("incidents.score", "> 5"))
    kept(tmp_path / "reports", "r1", **state("degraded now"))
    with Http() as server:
        assert main(["alerts", "--params", str(path), "--dry-run"]) == 0
        told = capsys.readouterr().out
        assert "states.state degraded now -> ops: trigger: search: degraded now" in told and "would send 1 of 2" in told
        assert (
            "no page of this run wrote the table incidents" in told and not (tmp_path / "reports" / SENT_LOG).exists()
        )
        assert main(["alerts", "--params", str(path)]) == 2
        assert "channels.ops: HOOK_URL: is not set; export it" in capsys.readouterr().err
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        assert server.came == [] and main(["alerts", "r1", "--params", str(path)]) == 0
        assert len(server.came) == 1 and "sent trigger" in capsys.readouterr().out
        assert main(["alerts", "--params", str(path), "--dry-run"]) == 0
        assert "told before" in capsys.readouterr().out
    (tmp_path / "reports" / SENT_LOG).unlink()
    assert main(["alerts", "--params", str(path)]) == 1
    assert re.search(r"failed trigger .*cannot be reached", capsys.readouterr().out)


def test_a_dry_run_reads_the_log_and_writes_nothing(tmp_path):
    published = kept(tmp_path, "r1", **state("degraded now"))
    with sent_log(tmp_path, is_dry=True) as log:
        said = would_send(params(rule("states.state", "degraded now")), published, log, reports=tmp_path)
    assert [s.message is not None for s in said] == [True] and not (tmp_path / SENT_LOG).exists()


def figures(**more) -> LiveFigures:
    base = dict.fromkeys(LiveFigures._fields, None) | {
        "events": 5,
        "users": 2,
        "started": 0,
        "completed": 0,
        "refused": 0,
    }
    return LiveFigures(**(base | {"gaps": 0} | more))


def test_live_rules_are_judged_at_each_look_and_end_when_they_do_not_hold(tmp_path, monkeypatch):
    asked = rule("live.p95_latency_ms", "> 300", **{"for": "2 buckets"})
    run = params(asked, rule("states.state", "degraded now"), reports=tmp_path)
    with Http() as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        live = LiveAlerts(run)
        now = datetime(2026, 1, 1, tzinfo=UTC)
        for value in (400.0, 200.0, 400.0, None, 400.0, 500.0, None, 100.0, 100.0):
            told = live.look(figures(p95_latency_ms=value), now=now)
        assert [b["type"] for b in server.bodies] == ["launchpad.alert.trigger", "launchpad.alert.resolve"]
        assert "p95 latency ms is 400 ms" in server.bodies[0]["data"]["title"] and told == "none"
        # Rules of a run and rules of live figures do not end each other's alerts.
        live.look(figures(p95_latency_ms=400.0), now=now)
        live.look(figures(p95_latency_ms=400.0), now=now)
        send_alerts(run, kept(tmp_path, "r1"), reports=tmp_path)
        assert len(server.came) == 3


def test_live_alerts_rest_after_a_failure(tmp_path, monkeypatch):
    with Http(500) as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        live = LiveAlerts(params(rule("live.gaps", "> 0"), reports=tmp_path))
        for second in (0, 2, 4, 61):
            live.look(figures(gaps=1), now=datetime.fromtimestamp(second, UTC))
        assert len(server.came) == 2
    with pytest.raises(ParameterError, match="has no rule of live figures"):
        LiveAlerts(params(rule("share_rate", "worse"), reports=tmp_path))


def test_the_report_sends_after_its_run_asks_for_secrets_before_and_can_be_told_not_to(tmp_path, monkeypatch, capsys):
    path, ran = workbook(tmp_path, rule("states.state", "degraded now")), []

    def run_report(run, *, run_id, **_):
        ran.append(run_id)
        kept(Path(run.reports), run_id, day=len(ran), params={"name": "small"}, **state("degraded now"))
        return 0

    monkeypatch.setattr("launchpad_lib.runner.run.run_report", run_report)
    monkeypatch.setattr("launchpad_lib.runner.forked_kernels.kernel_server", contextlib.nullcontext)
    assert main(["report", str(path), "--run-id", "r1"]) == 2 and ran == []
    assert "channels.ops: HOOK_URL: is not set" in capsys.readouterr().err
    assert main(["report", str(path), "--run-id", "r1", "--no-alerts"]) == 0
    with Http(500, 200) as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        assert main(["report", str(path), "--run-id", "r2"]) == 1
        assert "failed trigger 'search: degraded now': answered 500 (1 try)" in capsys.readouterr().out
        assert main(["report", str(path), "--run-id", "r3"]) == 0
        assert main(["report", str(path), "--run-id", "r4"]) == 0
    assert len(server.came) == 2 and "alerts: nothing is due" in capsys.readouterr().out


def test_the_example_of_the_documentation_is_taken():
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    example = textwrap.dedent(page.partition("one sentence.\n\n")[2].partition("\n\n| field")[0])
    told = yaml.safe_load(example) | {"name": "example", "sequence": [["funnels"]]}
    assert len(RunParams.model_validate(told).alerts) == 6
