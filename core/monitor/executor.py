"""The executor: passes events to the monitor and performs the effects that it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from tocsin.core.alerts.durable_clock import DurableMonotonicClock
from tocsin.core.alerts.model import Change, Transition
from tocsin.core.alerts.outbox import Row
from tocsin.core.boundary import cleaned_entry, cleaned_event, cleaned_observation
from tocsin.core.contracts.model import AuditEntry, Event, Observation
from tocsin.core.history.access import HistoryAccess
from tocsin.core.journal.journal import Journal, JournalError
from tocsin.core.logs import get_logger
from tocsin.core.monitor.bus import Bus
from tocsin.core.monitor.effects import Effects, Outcome
from tocsin.core.monitor.events import (
    Acknowledged,
    Audited,
    Happened,
    MonitorEvent,
    Observed,
    SilencePut,
)
from tocsin.core.monitor.monitor import Monitor
from tocsin.core.runtime import crash_points

if TYPE_CHECKING:
    from tocsin.core.lifecycle.isolated_rules import IsolatedRuleRunner
    from tocsin.core.lifecycle.observers import Observers
    from tocsin.core.notify.channel_manager import ChannelManager

log = get_logger(__name__)


@define(eq=False)
class Executor:
    """The single entry point for every change of targets and alerts, and the only place of side
    effects.

    Attributes:
        monitor: computes the effects of an event.
        steady: the clock that supplies the time of events.
        journal: stores what must survive a restart; notifications are sent only after its commit.
        history: history.
        bus: publishes changes to the API's subscribers.
        rules: runs rules of third-party plugins.
        channels: receive the rows to deliver.
        observers: plugins that are notified of changes of alerts.
        due: steady time, in seconds, at which the timer task wakes up by itself; None: not at all.
        awoken: set to wake the timer task before ``due``.
    """

    monitor: Monitor
    steady: DurableMonotonicClock
    journal: Journal
    history: HistoryAccess
    bus: Bus
    rules: IsolatedRuleRunner = field(init=False)
    channels: ChannelManager = field(init=False)
    observers: Observers = field(init=False)
    due: float | None = None
    awoken: asyncio.Event = field(factory=asyncio.Event)
    _newest: asyncio.Future[None] | None = None
    """Completes when every entry submitted so far is on disk."""
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    def handle(self, event: MonitorEvent) -> Effects:
        """Pass an event to the monitor, perform its effects, and return them.

        Channels and observers receive their part after the journal's commit, or after a failed
        commit: an alert is delivered even if the disk fails.
        """
        try:
            effects = self.monitor.handle(event, self.steady.now())
        except Exception:
            match event:  # history keeps what was observed even if the monitor failed
                case Observed(seen) | Happened(seen):
                    self.history.write(seen)
            raise
        self.perform(effects)
        return effects

    def observe(self, observation: Observation) -> None:
        """Handle a result, with secrets and control characters removed."""
        self.handle(Observed(cleaned_observation(observation)))

    def happened(self, event: Event) -> None:
        """Handle an event of a target, with secrets and control characters removed."""
        self.handle(Happened(cleaned_event(event)))

    async def submit(self, event: Acknowledged | SilencePut) -> Outcome:
        """Handle a person's request; return its outcome once it is on disk.

        If the caller is cancelled while it waits, the change and its audit entry remain in force.
        """
        if event.audit is not None:
            event = evolve(event, audit=cleaned_entry(event.audit))
        outcome = self.handle(event).outcome
        if not outcome.refused:
            await self.committed()
        return outcome

    def audit(self, entry: AuditEntry) -> None:
        """Store an audit entry for an action that changes neither targets nor alerts."""
        self.handle(Audited(cleaned_entry(entry)))

    async def committed(self) -> None:
        """Wait until everything handled so far is on disk.

        A failed commit ends the wait as well: the entries stay in memory, and ``journal.trouble``
        names the cause.
        """
        if self._newest is not None:
            with suppress(JournalError):
                await self.journal.wait(self._newest)

    def perform(self, effects: Effects) -> None:
        """Perform the effects of an event."""
        for judge in effects.judge:
            self.rules.run(judge)
        look_at = effects.look_at
        if look_at is not None and (self.due is None or look_at < self.due):
            self.awoken.set()  # a rule asked to be rechecked earlier than the timer's due time
        for item in effects.stored:
            self.history.write(item)
        for kind, data in effects.published:
            self.bus.publish(kind, data)
            if isinstance(data, AuditEntry):
                log.info("audit", actor=data.actor, action=data.action, subject=data.subject,
                         outcome=data.outcome)  # fmt: skip
        if effects.entry is None:
            return
        if effects.transitions:
            crash_points.point("transition made")
        entry = evolve(effects.entry, anchor=self.steady.anchor())
        done = self._newest = self.journal.submit(entry)
        for change in effects.transitions:
            _write_down(change)
        if effects.queued:
            self.spawn(self._hand_over(done, effects.queued))
        if changes := effects.transitions:
            done.add_done_callback(lambda _: self.observers.tell(changes))
        self.awoken.set()

    async def _hand_over(self, done: asyncio.Future[None], rows: tuple[Row, ...]) -> None:
        try:
            await self.journal.wait(done)
        except JournalError as error:
            log.warning(
                "the journal cannot be written; messages are sent nevertheless", reason=str(error)
            )
        self.channels.put(rows)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a background task, which :meth:`stop` cancels."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel the background tasks and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _write_down(change: Transition) -> None:
    """Log a change of an alert."""
    quiet = change.kind in (Change.PENDING, Change.CANCELLED, Change.CLOSED)
    (log.debug if quiet else log.info)(
        "alert", change=change.kind.value, rule=change.alert.rule, target=change.alert.target,
        severity=change.alert.severity.value,
        message=change.alert.resolution or change.alert.message, reason=change.why or None,
    )  # fmt: skip
