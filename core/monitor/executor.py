"""The executor: has the monitor handle an event, and does what follows from it."""

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
from tocsin.core.bus import Bus
from tocsin.core.contracts.model import AuditEntry, Event, Observation
from tocsin.core.journal.journal import Journal, JournalError
from tocsin.core.logs import get_logger
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
from tocsin.core.store import Store

if TYPE_CHECKING:
    from tocsin.core.alerting.isolated_rules import IsolatedRuleRunner
    from tocsin.core.alerting.observers import Observers
    from tocsin.core.notify.channel_manager import ChannelManager

log = get_logger(__name__)


@define(eq=False)
class Executor:
    """What changes targets and alerts enters here, and all that follows is done here.

    Attributes:
        monitor: says what follows from an event.
        steady: the clock that dates events.
        journal: holds what has to outlive this process; what is sent waits for it.
        store: history.
        bus: news for the API's readers.
        rules: asks rules that run elsewhere.
        channels: are given what is to be sent.
        observers: plugins that are told of changes of alerts.
        due: steady seconds until which ``awoken`` waits; None: until it is set.
        awoken: set when time has to be looked at sooner than that.
    """

    monitor: Monitor
    steady: DurableMonotonicClock
    journal: Journal
    store: Store
    bus: Bus
    rules: IsolatedRuleRunner = field(init=False)
    channels: ChannelManager = field(init=False)
    observers: Observers = field(init=False)
    due: float | None = None
    awoken: asyncio.Event = field(factory=asyncio.Event)
    _newest: asyncio.Future[None] | None = None
    """Done when all that was handled is on disk."""
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    def handle(self, event: MonitorEvent) -> Effects:
        """Have an event change what is known, and do what follows. What goes to channels and
        observers waits for the journal; where that cannot be written it goes all the same: what
        happened has happened."""
        try:
            effects = self.monitor.handle(event, self.steady.now())
        except Exception:
            match event:  # what was seen was seen, whatever comes of it
                case Observed(seen) | Happened(seen):
                    self.store.write(seen)
            raise
        self.perform(effects)
        return effects

    def observe(self, observation: Observation) -> None:
        """Take in a result, without secrets and control characters."""
        self.handle(Observed(cleaned_observation(observation)))

    def happened(self, event: Event) -> None:
        """Take in what happened to a target, without secrets and control characters."""
        self.handle(Happened(cleaned_event(event)))

    async def submit(self, event: Acknowledged | SilencePut) -> Outcome:
        """Take in what a person wants; the answer comes when it is on disk. Where the caller does
        not wait for that any more, it holds all the same, and so does its audit."""
        if event.audit is not None:
            event = evolve(event, audit=cleaned_entry(event.audit))
        outcome = self.handle(event).outcome
        if not outcome.refused:
            await self.committed()
        return outcome

    def audit(self, entry: AuditEntry) -> None:
        """Keep what a person did that changes nothing here."""
        self.handle(Audited(cleaned_entry(entry)))

    async def committed(self) -> None:
        """Wait until all that was handled so far is on disk. Where the disk fails it holds all the
        same, in memory, and the journal's ``trouble`` says so."""
        if self._newest is not None:
            with suppress(JournalError):
                await self.journal.wait(self._newest)

    def perform(self, effects: Effects) -> None:
        """Do what follows from an event."""
        for judge in effects.judge:
            self.rules.run(judge)
        look_at = effects.look_at
        if look_at is not None and (self.due is None or look_at < self.due):
            self.awoken.set()  # though nothing changed, a rule wants to be asked again, and soon
        for item in effects.stored:
            self.store.write(item)
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
                "the journal cannot be written; messages go out all the same", reason=str(error)
            )
        self.channels.put(rows)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with the executor."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what runs beside."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _write_down(change: Transition) -> None:
    """A line in the log."""
    quiet = change.kind in (Change.PENDING, Change.CANCELLED, Change.CLOSED)
    (log.debug if quiet else log.info)(
        "alert", change=change.kind.value, rule=change.alert.rule, target=change.alert.target,
        severity=change.alert.severity.value,
        message=change.alert.resolution or change.alert.message, reason=change.why or None,
    )  # fmt: skip
