"""The monitor: one event in, effects out.

Everything that tocsin knows of targets, alerts and deliveries changes here and nowhere else.
``handle`` is pure but for the state it owns: no input or output, nothing awaited, no clock but
``now``. Live running, a start that goes on with an earlier run, replay and tests are the same
function over different streams of events.
"""

from __future__ import annotations

from typing import Any, assert_never

from attrs import define, evolve, field

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Key, Moment, Phase, Transition
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import BoundRule
from tocsin.core.alerts.silences import Silencer
from tocsin.core.contracts.rule import History
from tocsin.core.journal.file import Entry
from tocsin.core.monitor import events, resume
from tocsin.core.monitor.deliveries import Deliveries
from tocsin.core.monitor.effects import UNASKED, Effects, Judge, Outcome, SendMessage, Stored
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.monitor.past import Past
from tocsin.core.monitor.recent_alerts import RecentAlerts
from tocsin.core.state import LiveState


@define
class _Made:
    """What one event has come to so far.

    Attributes:
        entry: what the journal is to hold, but for alerts and rows.
        changes: of alerts; their rows are still to be made.
        rows: that came or changed, for the journal, history and whoever reads them.
        fixed: rows that the journal alone has to know as they are now.
        stored: what was seen, for history.
        published: news for whoever listens: kind and data.
        past: what goes on of an earlier run.
        send: what the channel that asked is to send.
        outcome: the answer to a person.
    """

    entry: Entry | None = None
    changes: list[Transition] = field(factory=list)
    rows: list[Row] = field(factory=list)
    fixed: tuple[Row, ...] = ()
    stored: list[Stored] = field(factory=list)
    published: list[tuple[str, Any]] = field(factory=list)
    past: Past | None = None
    send: SendMessage | None = None
    outcome: Outcome = UNASKED

    def finished(self, rows: list[Row] | tuple[Row, ...]) -> None:
        """Rows that go nowhere any more."""
        self.rows += rows
        self.published += [("notification", evolve(row, notice=None)) for row in rows]


class Monitor:
    """Targets, alerts, silences, and who is still to be told.

    Attributes:
        state: what is known now of targets and checks.
        engine: targets, rules and alerts.
        quiet: silences and maintenance windows.
        deliveries: what channels are to tell, have told and could not.
        recent: the newest alerts and rows, for whoever reads them.
    """

    def __init__(self, faults: RuleFaults | None = None) -> None:
        self.state = LiveState()
        self.quiet = Silencer()
        self.engine = Engine(self.quiet, outside=self._ask, faults=faults)
        self.recent = RecentAlerts()
        self.deliveries = Deliveries(self.engine, self.recent)
        self._judge: list[Judge] = []

    def handle(self, event: MonitorEvent, now: Moment) -> Effects:
        """What follows from an event at a moment."""
        engine, made = self.engine, _Made()
        match event:
            case events.Observed(seen):
                if self.state.record(seen):
                    made.stored.append(seen)
                    made.changes = engine.observe(seen, now)
            case events.Happened(happened):
                made.stored.append(happened)
                made.published.append(("event", happened))
                made.changes = engine.happened(happened, now)
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
                made.entry = Entry(gates={event.channel: event.until})
            case events.Restored():
                self._restore(event.past, made, now)
            case _:
                assert_never(event)
        return self._effects(made, now)

    # One for each event that takes more than a line

    def _configure(self, event: events.Configured, now: Moment) -> list[Transition]:
        self.deliveries.configure(event.channels)
        self.quiet.windows = event.windows
        self.quiet.look_again()
        return self.engine.configure(event.rules, now, event.grace)

    def _start(self, event: events.Started, made: _Made) -> None:
        """Go on with what the journal of an earlier run holds: history may lack some of it."""
        self.engine.settled = event.is_settled
        self.engine.evaluator.reading.until = event.reads_until
        self.quiet.put(event.saved.silences)
        resume.load(event.saved, self.engine, self.recent, self.deliveries)
        made.stored += self.recent.take_unstored()

    def _put(self, name: str, now: Moment) -> list[Transition]:
        known = self.state.targets[name]
        return self.engine.put(known.target, known.source, known.checks, now)

    def _silence(self, event: events.SilencePut, made: _Made, now: Moment) -> None:
        self.quiet.put([event.silence])
        made.entry = Entry(silences=(event.silence,))
        made.published.append(("silence", event.silence))
        made.changes = self.engine.recheck(self.engine.evaluator.targets, now)

    def _acknowledge(self, event: events.Acknowledged, made: _Made, now: Moment) -> Outcome:
        alert = self.engine.find(event.alert)
        if alert is None or alert.phase is not Phase.FIRING:
            when = "yet" if alert is not None and alert.phase is Phase.PENDING else "any more"
            missing = alert is None and event.alert not in self.recent.alerts
            return Outcome(refused=f"it does not fire {when}", is_missing=missing)
        if event.by is not None and alert.acknowledged_by is not None:
            return Outcome(refused=f"it is acknowledged already, by {alert.acknowledged_by}")
        if event.by is None and alert.acknowledged_by is None:
            return Outcome(refused="it is not acknowledged")
        made.changes = self.engine.acknowledge(alert, event.by, event.comment, now)
        return Outcome(alert=made.changes[0].alert)

    def _send(self, event: events.MessageDue, made: _Made, now: Moment) -> None:
        made.send, left, made.rows = self.deliveries.due(event, now)
        made.finished(left)
        if made.send is not None and event.message is None:
            made.fixed = made.send.rows

    def _restore(self, past: Past, made: _Made, now: Moment) -> None:
        self.quiet.put(s for s in past.silences if s.id not in self.quiet.silences)
        past, made.changes = resume.taken_up(self.engine, self.recent, self.deliveries, past, now)
        if past.silences:
            made.changes += self.engine.recheck(self.engine.evaluator.targets, now)
        made.past, made.entry, made.fixed = past, past.entry(), past.rows

    def _ask(self, rule: BoundRule, key: Key, history: History, _: Moment) -> None:
        self._judge.append(Judge(rule, key, history))

    # What follows

    def _effects(self, made: _Made, now: Moment) -> Effects:
        engine = self.engine
        judge, self._judge = tuple(self._judge), []
        look_at = engine.evaluator.next_recheck()
        for change in made.changes:
            made.rows += self.deliveries.routed(change, now)
            made.published.append(("alert", change))
        if self.state.news:
            made.published = [*self.state.news, *made.published]
            self.state.news.clear()
        dirty, engine.dirty = engine.dirty, set()
        rows = (*made.rows, *made.fixed)
        if not (made.entry or rows or dirty or engine.evaluator.carried.dirty):
            return Effects(
                stored=tuple(made.stored),
                published=tuple(made.published),
                judge=judge,
                look_at=look_at,
                send=made.send,
                outcome=made.outcome,
            )
        alerts = [engine.alerts[key] for key in dirty if key in engine.alerts]
        for alert in alerts:
            self.recent.keep(alert)
        for row in made.rows:
            self.recent.note(row)
        entry = evolve(
            made.entry or Entry(),
            alerts=tuple(alerts),
            closed=tuple(key for key in dirty if key not in engine.alerts),
            rows=rows,
            carried=engine.evaluator.carried.take_dirty(),
        )
        return Effects(
            entry=entry,
            stored=(*made.stored, *entry.silences, *self.recent.take_unstored()),
            published=tuple(made.published),
            judge=judge,
            transitions=tuple(made.changes),
            queued=tuple(row for row in made.rows if row.decision is Decision.QUEUED),
            send=made.send,
            outcome=made.outcome,
            past=made.past,
            look_at=look_at,
        )
