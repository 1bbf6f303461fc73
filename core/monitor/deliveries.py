"""Who is to be told, was told and could not be: the part of the monitor that knows the outbox."""

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
from tocsin.core.contracts.notifier import Kind
from tocsin.core.monitor.effects import SendMessage
from tocsin.core.monitor.events import ChannelChanged, MessageDue
from tocsin.core.monitor.recent_alerts import RecentAlerts
from tocsin.core.monitor.route import route
from tocsin.core.monitor.undelivered import Undelivered, fallback_rows
from tocsin.core.monitor.underway import Underway
from tocsin.core.monitor.withdraw import inhibited, silenced, superseded, withdrawn


@define
class Deliveries:
    """What the rows of the outbox come to.

    Attributes:
        engine: the alerts they are about.
        recent: alerts that are over, some of which were told only after that.
        channels: the channels of the configuration in force, by name.
        failing: which of them cannot deliver now.
        underway: which channels are still to tell that an alert fires.
    """

    engine: Engine
    recent: RecentAlerts
    channels: Mapping[str, ChannelSettings] = field(factory=dict)
    failing: set[str] = field(factory=set)
    underway: Underway = field(factory=Underway)
    _undelivered: dict[str, Undelivered] = field(factory=dict)
    _elsewhere: set[UUID] = field(factory=set)
    """Rows that are under way, and of which another channel was told meanwhile."""

    def configure(self, channels: Mapping[str, ChannelSettings]) -> None:
        """Take over a configuration."""
        self.channels = channels
        self.failing &= channels.keys()
        for name in self._undelivered.keys() - channels.keys():
            del self._undelivered[name]

    def changed(self, change: ChannelChanged) -> None:
        """A channel begins to fail, or delivers again."""
        if change.is_failing and change.channel in self.channels:
            self.failing.add(change.channel)
        else:
            self.failing.discard(change.channel)

    def note(self, row: Row) -> None:
        """A row as it is now, of this run or an earlier one."""
        self.underway.note(row)
        if row.decision in (Decision.SENT, Decision.DEAD) and row.channel in self.channels:
            self._undelivered.setdefault(row.channel, Undelivered()).note(row)

    def routed(self, change: Transition, now: Moment) -> list[Row]:
        """The rows of a change; who is to be told of it counts as told from now on."""
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
        """What a channel is to send of rows that are due; what of them is withdrawn; and the rows
        for other channels in place of those.

        A message that lies on disk goes out as it is, but for ends of what was never told.
        """
        rows, left = list(due.rows), list[Row]()
        if due.message is None:
            rows, covered = inhibited(rows, self.engine, now)
            rows, muted = silenced(rows, self.engine, now)
            rows, older = superseded(rows)
            left = [*covered, *muted, *older]
        unheard = self._undelivered.get(due.channel, Undelivered()).ends(rows)
        why = "it could not be told that it fired"
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
        """The rows for other channels in place of some that fail for too long."""
        made = self._fallback_rows(rows, now)
        self._elsewhere |= made.keys()
        return list(made.values())

    def finished(self, rows: tuple[Row, ...], now: Moment) -> list[Row]:
        """The rows for other channels in place of those that a channel could not deliver; who was
        told, and who could not be, is noted together with that."""
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
        """What a row tells, that was withdrawn at the last moment, is told later."""
        self.note(row)
        if row.decision not in (Decision.SUPERSEDED, Decision.UNHEARD) and row.first_notification:
            others = self.underway.channels(row.alert) - {row.channel}
            self.engine.table.revise(
                row.alert, partial(record_deferral, channel=row.channel, underway=others)
            )
