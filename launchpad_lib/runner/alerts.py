"""The alerts of a run: which rules hold, what each channel was told before, and so what is sent now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.sentences import counted
from launchpad_lib.delivery.channels import Channel, check_secrets
from launchpad_lib.delivery.grouping import grouped
from launchpad_lib.delivery.message import Message, key_of, one_line
from launchpad_lib.delivery.sending import Delivery, deliver
from launchpad_lib.delivery.sent_log import Open, SentLog, sent_log
from launchpad_lib.runner.alert_judging import Judged, Judgement, Run, judge
from launchpad_lib.runner.alert_rules import AlertRule
from launchpad_lib.runner.digest import digest_message
from launchpad_lib.runner.history import runs_of
from launchpad_lib.runner.kept_runs import manifest_of, run_folder
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.summary_words import address, link_to

NOT_ASKED = "The rule is not asked any more."


class Said(NamedTuple):
    """What becomes of one rule and one thing at one channel: a message or none, and why."""

    rule: str
    channel: str
    says: str
    message: Message | None

    def line(self) -> str:
        """For the terminal."""
        return f"{one_line(self.rule)} -> {self.channel}: {self.says}"


def run_of(folder: Path) -> Run:
    """A published run by its folder.

    Raises:
        ValueError: it is none.
    """
    return Run(manifest_of(folder), folder)


def published_run(run: RunParams, named: str | None) -> Run:
    """The run that somebody names by its folder or id, or the newest of this name.

    Raises:
        ValueError: there is none.
    """
    reports = Path(run.reports)
    if named is not None:
        return run_of(run_folder(named, reports))
    newest = next(iter(runs_of(reports, run.name)), None)
    if newest is None:
        raise ValueError(f"name={run.name!r}: no run of that name under {reports}; make one with `launchpad report`")
    return run_of(reports / newest.run_id)


def alerts_after(
    run: RunParams, published: Run, *, say: Callable[[str], None], failed: Callable[[str], None] | None = None
) -> int:
    """Sends what is due after a run and says so, one line a message; 1 where one could not be delivered (`failed` is
    told of it).

    Raises:
        ValueError: a secret is not set, or the alerts of a newer run were sent already.
    """
    check_secrets(channels_in_use(run))
    said = send_alerts(run, published, reports=Path(run.reports))
    for one in said:
        (failed or say if one.outcome == "failed" else say)(one.says())
    if not said:
        say("alerts: nothing is due")
    return int(any(d.outcome == "failed" for d in said))


def send_digest(run: RunParams, published: Run, *, say: Callable[[str], None]) -> int:
    """Sends the digest of a run to each channel under `digest`, once, and says so; 1 where one did not take it.

    Raises:
        ValueError: no channel is named, or a secret is not set.
    """
    if not run.digest:
        raise ValueError("digest: names no channel; write for example digest: [team], and declare it under `channels`")
    check_secrets({name: run.channels[name] for name in run.digest})
    with sent_log(Path(run.reports)) as log:
        at, said = datetime.now(UTC), published.manifest
        messages = (
            (name, digest_message(said, channel=name, base_url=run.base_url, run=run.name, at=at))
            for name in run.digest
        )
        done = deliver(messages, run.channels, log)
    for one in done:
        say(one.says())
    return int(any(d.outcome == "failed" for d in done))


def would_send(run: RunParams, published: Run, log: SentLog, *, reports: Path) -> list[Said]:
    """Every rule and thing with what is to be sent, in the order of the rules; nothing is sent.

    Args:
        run: with the rules and channels of today; they are held against what the run found.
        reports: earlier runs of the same name stand here, for rules that ask for several.
    """
    told: list[Said] = []
    rules = [r for r in run.alerts if not r.is_live]
    for rule in rules:
        judgement = _over_runs(rule, published, reports)
        for channel in rule.to:
            told += _for_channel(rule, judgement, channel, run, published, log)
    asked = {(r.told, c) for r in rules for c in r.to}
    for channel in run.channels:
        for one in log.open_alerts(run.name, channel).values():
            if not one.rule.startswith("live.") and (one.rule, channel) not in asked:
                told.append(_over(one, channel, run, published, log, NOT_ASKED))
    return told


def send_alerts(
    run: RunParams, published: Run, *, reports: Path, wait: Callable[[float], None] | None = None
) -> list[Delivery]:
    """Sends what is to be sent, each message once, and writes down what came of it.

    Raises:
        ValueError: the alerts of a newer run of this name were sent already.
    """
    more = {} if wait is None else {"wait": wait}
    with sent_log(reports) as log:
        newest = log.newest_run(run.name)
        if newest is not None and newest > published.manifest.started_at:
            raise ValueError(
                f"run={published.manifest.run_id!r}: alerts of a newer run of {run.name} were sent already; look at "
                "this one with --dry-run"
            )
        due = [(s.channel, s.message) for s in would_send(run, published, log, reports=reports) if s.message]
        whole = link_to(run.base_url, published.manifest.run_id, "index.html")
        messages = [(c, m._replace(link=whole) if m.members else m) for c, m in grouped(due, run.channels)]
        log.looked_at(run.name, published.manifest.started_at, now=datetime.now(UTC))
        return deliver(messages, run.channels, log, **more)


def _over_runs(rule: AlertRule, published: Run, reports: Path) -> Judgement:
    """A rule held against a run and, where it asks for several, the runs before it of the same name.

    What does not hold now does not hold; what holds now and was not known, or did not hold, in one of the runs before
    is not yet told: None.
    """
    now = judge(rule, published)
    if rule.lasts.unit != "run" or rule.lasts.number == 1 or not any(j.holds for j in now.judged):
        return now
    name, started = published.manifest.name, published.manifest.started_at
    before = [m for m in runs_of(reports, name) if m.started_at < started] if name else []
    earlier = before[: rule.lasts.number - 1]
    held = [{j.subject for j in judge(rule, Run(m, reports / m.run_id)).judged if j.holds} for m in earlier]
    is_enough = len(earlier) == rule.lasts.number - 1

    def lasting(one: Judged) -> Judged:
        if not one.holds or (is_enough and all(one.subject in subjects for subjects in held)):
            return one
        return one._replace(holds=None, more=f"It must hold for {rule.for_}.")

    return now._replace(judged=tuple(lasting(j) for j in now.judged))


def _for_channel(
    rule: AlertRule, judgement: Judgement, channel: str, run: RunParams, published: Run, log: SentLog
) -> list[Said]:
    known = {k: o for k, o in log.open_alerts(run.name, channel).items() if o.rule == rule.told}
    told = [] if judgement.judged or known else [Said(rule.told, channel, f"nothing; {judgement.why_not}", None)]
    seen = set()
    for one in judgement.judged:
        key = key_of(run.name, rule.told, one.subject)
        seen.add(key)
        if one.holds:
            if key in known:
                told.append(Said(rule.told, channel, f"nothing; told before: {one.says}", None))
            else:
                message = _trigger(rule, one, key, channel, run, published, log)
                told.append(Said(rule.told, channel, f"trigger: {one.says}", message))
        elif one.holds is None:
            why = f"nothing; cannot tell: {one.says} {one.more}".rstrip()
            told.append(Said(rule.told, channel, why, None))
        elif key in known:
            told.append(_over(known[key], channel, run, published, log, one.says))
        else:
            told.append(Said(rule.told, channel, f"nothing; does not hold: {one.says}", None))
    for key in known.keys() - seen:
        told.append(_not_seen(rule, judgement, known[key], channel, run, published, log))
    return told


def _not_seen(
    rule: AlertRule, judgement: Judgement, one: Open, channel: str, run: RunParams, published: Run, log: SentLog
) -> Said:
    """An open alert of which this run says nothing: over where the page that told it stands and is silent of it."""
    pages = {n.name for n in published.manifest.notebooks if n.status == "ok"}
    is_listed = rule.metric.partition(".")[0] in ("finding", "incidents", "changes")
    if is_listed and one.page in pages:
        return _over(one, channel, run, published, log, f"The page {one.page} does not find it any more.")
    why = judgement.why_not or "this run does not speak of it"
    return Said(rule.told, channel, f"nothing; cannot tell whether it is over ({why}): {one.title}", None)


def _trigger(
    rule: AlertRule, one: Judged, key: str, channel: str, run: RunParams, published: Run, log: SentLog
) -> Message:
    manifest = published.manifest
    lines = [one.more] if one.more and one.more not in one.says else []
    users = next((r for r in manifest.scorecard if r.feature_id == one.feature_id), None)
    if users is not None:
        told = [f"owner {users.owner_team}"] * bool(users.owner_team)
        if users.users is not None:
            told.append(f"used by {counted(users.users, 'user')} in the last complete week")
        lines += ["; ".join(told)] if told else []
    lines.append(f"Run {manifest.run_id}; rule: {rule.told}.")
    return Message(
        kind="trigger",
        key=key,
        message_id=key_of(key, channel, "trigger", str(log.occurrences(key, channel))),
        severity=rule.severity,
        title=one_line(f"{rule.name}: {one.says}" if rule.name else one.says),
        lines=tuple(lines),
        at=_instant(manifest.finished_at),
        run=run.name,
        rule=rule.told,
        feature_id=one.feature_id,
        page=one.page,
        link=link_to(run.base_url, manifest.run_id, address(one.page, one.anchor)),
    )


def _over(one: Open, channel: str, run: RunParams, published: Run, log: SentLog, why: str) -> Said:
    message = Message(
        kind="resolve",
        key=one.key,
        message_id=key_of(one.key, channel, "resolve", str(log.occurrences(one.key, channel))),
        severity="info",
        title=one.title,
        lines=(f"It is over. {why}", f"Run {published.manifest.run_id}."),
        at=_instant(published.manifest.finished_at),
        run=run.name,
        rule=one.rule,
        feature_id=one.feature_id,
        page=one.page,
        link=link_to(run.base_url, published.manifest.run_id, address(one.page, None)),
    )
    return Said(one.rule, channel, f"resolve: {one.title}", message)


def _instant(said: str) -> datetime:
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def channels_in_use(run: RunParams) -> Mapping[str, Channel]:
    """The channels that a rule sends to."""
    return {name: run.channels[name] for rule in run.alerts for name in rule.to}
