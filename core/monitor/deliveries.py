"""Routing of changes to channels, and the outcome of their delivery: the outbox of the monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Change, Moment, Transition
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.alerts.outcomes import record_deferral, record_delivery, record_failure
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.message import Kind
from tocsin.core.monitor.effects import SendMessage
from tocsin.core.monitor.events import ChannelChanged, MessageDue
from tocsin.core.monitor.recent_alerts import RecentAlerts
from tocsin.core.monitor.route import route
from tocsin.core.monitor.undelivered import Undelivered, fallback_rows
from tocsin.core.monitor.underway import Underway
from tocsin.core.monitor.withdraw import inhibited, silenced, superseded, withdrawn


@define
class Deliveries:
    """Tracks the rows of the outbox until they are delivered, dead or withdrawn.

    Attributes:
        engine: the alerts that the rows are about.
        recent: alerts that have closed, some of which were delivered only afterwards.
        channels: the channels of the configuration in force, by name.
        failing: names of the channels that cannot deliver now.
        underway: the channels whose notification of a firing is still queued, by alert.
    """

    engine: Engine
    recent: RecentAlerts
    channels: Mapping[str, ChannelSettings] = field(factory=dict)
    failing: set[str] = field(factory=set)
    underway: Underway = field(factory=Underway)
    _undelivered: dict[str, Undelivered] = field(factory=dict)
    _elsewhere: set[UUID] = field(factory=set)
    """Queued rows that were also sent to another channel in the meantime."""

    def configure(self, channels: Mapping[str, ChannelSettings]) -> None:
        """Apply a configuration."""
        self.channels = channels
        self.failing &= channels.keys()
        for name in self._undelivered.keys() - channels.keys():
            del self._undelivered[name]

    def changed(self, change: ChannelChanged) -> None:
        """Record that a channel begins to fail, or delivers again."""
        if change.is_failing and change.channel in self.channels:
            self.failing.add(change.channel)
        else:
            self.failing.discard(change.channel)

    def note(self, row: Row) -> None:
        """Record the present state of a row, of this run or an earlier one."""
        self.underway.note(row)
        if row.decision in (Decision.SENT, Decision.DEAD) and row.channel in self.channels:
            self._undelivered.setdefault(row.channel, Undelivered()).note(row)

    def routed(self, change: Transition, now: Moment) -> list[Row]:
        """Return the outbox rows of a change, and record the queued channels in its alert."""
        alert, engine = change.alert, self.engine
        explains = engine.evaluator.rules.explains(*alert.key)
        rows = route(
            change,
            engine.inhibition.policy(alert.key),
            self.channels,
            now,
            engine.evaluator.target(alert.target),
            engine.inhibition.affected(alert.target) if explains else (),
            self.underway.channels(alert.id),
        )
        if queued := [row.channel for row in rows if row.decision is Decision.QUEUED]:
            engine.table.queued(alert.key, queued, recovered=change.kind is Change.RESOLVED)
        for row in rows:
            self.note(row)
        return rows

    def due(self, due: MessageDue, now: Moment) -> tuple[SendMessage | None, list[Row], list[Row]]:
        """Decide what of a channel's due rows is sent.

        A message that is already on disk is sent unchanged, without the recoveries of firings that
        the channel could not deliver.

        Returns:
            The message to send (None: nothing is left of it), the rows withdrawn from it, and new
            rows for other channels in place of these.
        """
        rows, left = list(due.rows), list[Row]()
        if due.message is None:
            rows, covered = inhibited(rows, self.engine, now)
            rows, muted = silenced(rows, self.engine, now)
            rows, older = superseded(rows)
            left = [*covered, *muted, *older]
        unheard = self._undelivered.get(due.channel, Undelivered()).ends(rows)
        why = "this channel could not deliver its firing"
        left += (ends := [withdrawn(row, Decision.UNHEARD, why) for row in unheard])
        rows = [row for row in rows if row not in unheard]
        for row in left:
            self._defer(row)
        made = list(self._fallback_rows(ends, now).values())
        self._elsewhere.difference_update(row.id for row in left)
        if not rows:
            return None, left, made
        if due.message is not None:
            return SendMessage(due.message, tuple(rows)), left, made
        identity = now.ids.new()
        rows = [
            evolve(row, message=identity, digest=due.digest, revision=row.revision + 1)
            for row in rows
        ]
        return SendMessage(identity, tuple(rows)), left, made

    def late(self, rows: Iterable[Row], now: Moment) -> list[Row]:
        """Return rows for other channels, in place of rows that have failed for too long."""
        made = self._fallback_rows(rows, now)
        self._elsewhere |= made.keys()
        return list(made.values())

    def finished(self, rows: tuple[Row, ...], now: Moment) -> list[Row]:
        """Record the outcome of finished rows, in the outbox and in their alerts; return the rows
        for other channels in place of undeliverable ones."""
        for row in rows:
            self.note(row)
            if row.decision is Decision.SENT:
                self._note_delivered(row)
        dead = [row for row in rows if row.decision is Decision.DEAD]
        made = self._fallback_rows(dead, now)
        self._elsewhere.difference_update(row.id for row in rows)
        for row in dead:
            if (
                row.first_notification
                and row.notice is not None
                and row.notice.kind is not Kind.RESOLVED
            ):
                others = self.underway.channels(row.alert)
                self.engine.table.revise(row.alert, partial(record_failure, underway=others))
        return list(made.values())

    def _fallback_rows(self, rows: Iterable[Row], now: Moment) -> dict[UUID, Row]:
        untold = [row for row in rows if row.id not in self._elsewhere]
        made = fallback_rows(untold, self.channels, self.failing, self.engine, self.underway, now)
        for row in made.values():
            self.note(row)
        return made

    def _note_delivered(self, row: Row) -> None:
        if row.notice is None or row.notice.kind is Kind.RESOLVED:
            return
        if self.engine.table.find(row.alert) is not None:
            told = partial(record_delivery, channel=row.channel, flaps=row.notice.flaps)
            self.engine.table.revise(row.alert, told)
        elif (over := self.recent.alerts.get(row.alert)) is not None and not over.ever_notified:
            self.recent.keep(evolve(over, ever_notified=True, revision=over.revision + 1))

    def _defer(self, row: Row) -> None:
        """Record that a row was withdrawn just before it was sent, and is to be sent later."""
        self.note(row)
        if row.decision not in (Decision.SUPERSEDED, Decision.UNHEARD) and row.first_notification:
            others = self.underway.channels(row.alert) - {row.channel}
            self.engine.table.revise(
                row.alert, partial(record_deferral, channel=row.channel, underway=others)
            )
