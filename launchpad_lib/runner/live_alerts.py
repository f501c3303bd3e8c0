"""Alert rules on the figures of `launchpad live`, judged at each of its looks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from launchpad_lib.contract.sentences import counted
from launchpad_lib.delivery.message import Message, key_of, one_line
from launchpad_lib.delivery.sending import deliver
from launchpad_lib.delivery.sent_log import SentLog, sent_log
from launchpad_lib.page.output import formatted
from launchpad_lib.runner.alert_rules import AlertRule
from launchpad_lib.runner.live import LiveFigures
from launchpad_lib.runner.parameters import ParameterError, RunParams

REST_SECONDS = 60.0
"""So long nothing is sent after a message could not be delivered: a look comes every few seconds."""


class LiveAlerts:
    """The rules `live.FIGURE` of a params file, with how often in a row each has held."""

    def __init__(self, run: RunParams) -> None:
        self._run, self._rules = run, [r for r in run.alerts if r.is_live]
        if not self._rules:
            raise ParameterError(
                f"alerts: {run.name} has no rule of live figures; add one, for example live.gaps '> 0'"
            )
        self._held = dict.fromkeys((r.told for r in self._rules), 0)
        self._rests_until: datetime | None = None
        Path(run.reports).mkdir(parents=True, exist_ok=True)

    def look(self, figures: LiveFigures, *, now: datetime) -> str:
        """Judges the figures of one look, sends what is to be sent, and says how it stands in one line."""
        said = {
            rule.told: rule.condition.holds(getattr(figures, rule.metric.partition(".")[2])) for rule in self._rules
        }
        for told, holds in said.items():
            if holds is not None:  # a look that cannot tell changes nothing
                self._held[told] = self._held[told] + 1 if holds else 0
        failed = 0
        if self._rests_until is None or now >= self._rests_until:
            with sent_log(Path(self._run.reports)) as log:
                messages = [m for rule in self._rules for m in self._due(rule, said[rule.told], figures, log, now)]
                failed = sum(d.outcome == "failed" for d in deliver(messages, self._run.channels, log))
            self._rests_until = None
            if failed:
                self._rests_until = datetime.fromtimestamp(now.timestamp() + REST_SECONDS, UTC)
        holding = [r.name or r.told for r in self._rules if self._held[r.told] >= r.lasts.number]
        told = f"{len(holding)} of {counted(len(self._rules), 'rule')}: {'; '.join(holding)}" if holding else "none"
        return one_line(told + (f"; {failed} could not be delivered" if failed else ""))

    def _due(
        self, rule: AlertRule, holds: bool | None, figures: LiveFigures, log: SentLog, now: datetime
    ) -> list[tuple[str, Message]]:
        """The message of one rule to each channel that was not told yet how it stands."""
        figure = rule.metric.partition(".")[2]
        value = getattr(figures, figure)
        unit = {"completion_rate": "fraction", "p95_latency_ms": "ms", "p95_delivery_seconds": "seconds"}.get(figure)
        shown = formatted(None if value is None else float(value), unit or "count")
        key, due = key_of(self._run.name, rule.told, ""), []
        for channel in rule.to:
            is_open = key in log.open_alerts(self._run.name, channel)
            begins = self._held[rule.told] >= rule.lasts.number and not is_open
            if not begins and not (is_open and holds is False):
                continue
            says = f"{figure.replace('_', ' ')} is {shown}, asked: {rule.when}"
            kind = "trigger" if begins else "resolve"
            message = Message(
                kind="trigger" if begins else "resolve",
                key=key,
                message_id=key_of(key, channel, kind, str(log.occurrences(key, channel))),
                severity=rule.severity if begins else "info",
                title=one_line(f"{rule.name}: {says}" if rule.name else says),
                lines=(f"Over the last minutes of {self._run.lake}; rule: {rule.told}.",),
                at=now,
                run=self._run.name,
                rule=rule.told,
            )
            due.append((channel, message))
        return due
