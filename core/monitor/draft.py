"""The result of one event while it is computed."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Transition
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.history.records import Stored
from tocsin.core.journal.file import Entry
from tocsin.core.monitor.effects import UNASKED, Effects, Outcome, SendMessage
from tocsin.core.monitor.past import Past
from tocsin.core.monitor.recent_alerts import RecentAlerts


@define
class Draft:
    """The result of one event while it is computed.

    Attributes:
        entry: for the journal, without alerts and rows.
        changes: changes of alerts, whose rows are not made yet.
        rows: new or changed rows, for the journal, history and the API.
        fixed: rows whose present state only the journal needs.
        stored: observations, events and audit entries for history.
        published: to be published on the bus, as kind and data.
        past: the state restored from an earlier run.
        send: the message that the requesting channel is to send.
        outcome: the answer to a person's request.
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
        """Add rows that are not to be sent any more, and publish them."""
        self.rows += rows
        self.published += [("notification", evolve(row, notice=None)) for row in rows]

    def audited(self, entry: AuditEntry) -> None:
        """Store and publish an audit entry."""
        self.stored.append(entry)
        self.published.append(("audit", entry))

    def effects(self, engine: Engine, recent: RecentAlerts) -> Effects:
        """Return the effects, with the alerts that changed, and clear the engine's lists of
        changes."""
        dirty, engine.table.dirty = engine.table.dirty, set()
        rows = (*self.rows, *self.fixed)
        judge, engine.evaluator.asked = tuple(engine.evaluator.asked), []
        look_at = engine.evaluator.next_recheck()
        if not (self.entry or rows or dirty or engine.evaluator.rule_states.dirty):
            return Effects(
                stored=tuple(self.stored),
                published=tuple(self.published),
                judge=judge,
                look_at=look_at,
                send=self.send,
                outcome=self.outcome,
            )
        alerts = [engine.alerts[key] for key in dirty if key in engine.alerts]
        for alert in alerts:
            recent.keep(alert)
        for row in self.rows:
            recent.note(row)
        entry = evolve(
            self.entry or Entry(),
            alerts=tuple(alerts),
            closed=tuple(key for key in dirty if key not in engine.alerts),
            rows=rows,
            rule_states=engine.evaluator.rule_states.take_dirty(),
        )
        return Effects(
            entry=entry,
            stored=(*self.stored, *entry.silences, *recent.take_unstored()),
            published=tuple(self.published),
            judge=judge,
            transitions=tuple(self.changes),
            queued=tuple(row for row in self.rows if row.decision is Decision.QUEUED),
            send=self.send,
            outcome=self.outcome,
            past=self.past,
            look_at=look_at,
        )
