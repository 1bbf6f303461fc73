"""The monitor: one event in, effects out.

All state of targets, alerts and deliveries is changed here and nowhere else. ``handle`` is pure
except for the state that it owns: it does no input or output, awaits nothing, and knows no clock
but ``now``. Live operation, recovery after a restart, replay and tests call the same function with
different streams of events.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Moment, Phase, Transition
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.silences import Silencer
from tocsin.core.journal.file import Entry
from tocsin.core.monitor import events, resume
from tocsin.core.monitor.deliveries import Deliveries
from tocsin.core.monitor.draft import Draft
from tocsin.core.monitor.effects import NOTHING, Effects, Outcome
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.monitor.past import Past
from tocsin.core.monitor.recent_alerts import RecentAlerts
from tocsin.core.state import LiveState


class Monitor:
    """Targets, alerts, silences and pending deliveries.

    Attributes:
        state: current state of targets and checks.
        engine: targets, rules and alerts.
        quiet: silences and maintenance windows.
        deliveries: pending, delivered and failed notifications.
        recent: the newest alerts and outbox rows, for the API.
    """

    def __init__(self, faults: RuleFaults | None = None) -> None:
        self.state = LiveState()
        self.quiet = Silencer()
        self.engine = Engine(self.quiet, isolates=True, faults=faults)
        self.recent = RecentAlerts()
        self.deliveries = Deliveries(self.engine, self.recent)

    def handle(self, event: MonitorEvent, now: Moment) -> Effects:
        """Apply an event at a moment and return the effects to perform."""
        engine, made = self.engine, Draft()
        match event:
            case events.Observed(seen):
                if self.state.record(seen):
                    made.stored.append(seen)
                    made.changes = engine.observe(seen, now)
            case events.Happened(happened):
                made.stored.append(happened)
                made.published.append(("event", happened))
                made.changes = engine.happened(happened, now)
            case events.BeatReceived(key, beat):
                self.state.beats[key] = beat
                made.entry = Entry(beats={key: beat})
            case events.TargetPut(target, source, declared):
                if self.state.put(target, declared=declared, source=source, at=now.wall):
                    made.changes = self._put(target.name, now)
            case events.TargetGone():
                if self.state.drop(event.name):
                    made.changes = engine.drop(event.name, now, event.why)
            case events.CheckPut(check):
                if self.state.put_check(check):
                    made.changes = self._put(check.target, now)
            case events.CheckGone():
                if self.state.drop_check(event.target, event.check):
                    made.changes = self._put(event.target, now)
            case events.RunsSkipped():
                self.state.skip(event.target, event.check, event.missed)
                return NOTHING  # under overload there may be thousands of these a second
            case events.Judged():
                made.changes = engine.judge(event.key, event.verdict, now)
            case events.Started():
                self._start(event, made)
            case events.LookedBack():
                for name, (observations, happenings) in event.seen.items():
                    engine.evaluator.reading.done(name, observations, happenings)
                made.changes = engine.review(event.seen, now)
            case events.Ticked():
                made.changes = engine.tick(now)
            case events.Settled():
                made.changes = engine.settle(now, freeze=event.freeze)
            case events.Configured():
                made.changes = self._configure(event, now)
            case events.Rechecked():
                made.changes = engine.recheck(None, now)
            case events.SilencePut():
                self._silence(event, made, now)
            case events.Audited():
                made.audited(event.audit)
            case events.SilencesForgotten():
                for identity in event.ids:
                    self.quiet.silences.pop(identity, None)
                made.entry = Entry(gone_silences=event.ids)
            case events.Acknowledged():
                made.outcome = self._acknowledge(event, made, now)
            case events.MessageDue():
                self._send(event, made, now)
            case events.RowsTried():
                made.fixed = event.rows
            case events.RowsLate():
                made.rows += self.deliveries.late(event.rows, now)
            case events.RowsFinished():
                elsewhere = self.deliveries.finished(event.rows, now)
                made.finished(event.rows)
                made.rows += elsewhere
            case events.ChannelChanged():
                self.deliveries.changed(event)
            case events.ChannelShut():
                made.entry = Entry(retry_after_until={event.channel: event.until})
            case events.Restored():
                self._restore(event.past, made, now)
            case _:
                assert_never(event)
        return self._finish(made, now)

    # Handlers of events that take more than a few lines

    def _configure(self, event: events.Configured, now: Moment) -> list[Transition]:
        self.deliveries.configure(event.channels)
        self.quiet.windows = event.windows
        self.quiet.look_again()
        return self.engine.configure(event.rules, now, event.grace)

    def _start(self, event: events.Started, made: Draft) -> None:
        """Load the journal of an earlier run, and store in history what history may lack of it."""
        self.engine.muting.settled = event.is_settled
        self.engine.evaluator.reading.until = event.reads_until
        self.quiet.put(event.saved.silences)
        self.state.beats.update(event.saved.beats)
        resume.load(event.saved, self.engine, self.recent, self.deliveries)
        made.stored += self.recent.take_unstored()

    def _put(self, name: str, now: Moment) -> list[Transition]:
        known = self.state.targets[name]
        return self.engine.put(known.target, known.source, known.checks, now)

    def _silence(self, event: events.SilencePut, made: Draft, now: Moment) -> None:
        self.quiet.put([event.silence])
        made.entry = Entry(silences=(event.silence,))
        made.published.append(("silence", event.silence))
        if event.audit is not None:
            made.audited(event.audit)
        made.changes = self.engine.recheck(self.engine.evaluator.targets, now)

    def firing(self, alert_id: UUID) -> Alert | Outcome:
        """Return the alert if it fires; else why nothing can be done with it."""
        alert = self.engine.table.find(alert_id)
        if alert is None and alert_id not in self.recent.alerts:
            text = "there is no alert with this id, or it ended long ago"
            return Outcome(refused=text, is_missing=True)
        if alert is None or alert.phase is not Phase.FIRING:
            when = "yet" if alert is not None and alert.phase is Phase.PENDING else "any more"
            return Outcome(refused=f"it does not fire {when}")
        return alert

    def _acknowledge(self, event: events.Acknowledged, made: Draft, now: Moment) -> Outcome:
        alert = self.firing(event.alert)
        if isinstance(alert, Outcome):
            return alert
        if event.by is not None and alert.acknowledged_by is not None:
            return Outcome(refused=f"it is acknowledged already, by {alert.acknowledged_by}")
        if event.by is None and alert.acknowledged_by is None:
            return Outcome(refused="it is not acknowledged")
        made.changes = [self.engine.table.acknowledge(alert, event.by, event.comment, now)]
        if event.audit is not None:
            details = {"target": alert.target, **event.audit.details}
            made.audited(evolve(event.audit, details=details))
        return Outcome(alert=made.changes[0].alert)

    def _send(self, event: events.MessageDue, made: Draft, now: Moment) -> None:
        made.send, left, made.rows = self.deliveries.due(event, now)
        made.finished(left)
        if made.send is not None and event.message is None:
            made.fixed = made.send.rows

    def _restore(self, past: Past, made: Draft, now: Moment) -> None:
        self.quiet.put(s for s in past.silences if s.id not in self.quiet.silences)
        past, made.changes = resume.taken_up(self.engine, self.recent, self.deliveries, past, now)
        if past.silences:
            made.changes += self.engine.recheck(self.engine.evaluator.targets, now)
        made.past, made.entry, made.fixed = past, past.entry(), past.rows

    def _finish(self, made: Draft, now: Moment) -> Effects:
        """Add the outbox rows and published changes, and return the effects."""
        for change in made.changes:
            made.rows += self.deliveries.routed(change, now)
            made.published.append(("alert", change))
        if self.state.news:
            made.published = [*self.state.news, *made.published]
            self.state.news.clear()
        return made.effects(self.engine, self.recent)
