"""The manager: connects the engine, the journal, the channels and people's commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from tocsin.core.alerts.durable_clock import DurableMonotonicClock
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Key, Moment, Phase
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.silences import Silencer
from tocsin.core.clock import Clock
from tocsin.core.config.alerting import book_of
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import ComponentHealth
from tocsin.core.contracts.rule import Verdict, VerdictState
from tocsin.core.history.access import HistoryAccess
from tocsin.core.journal.journal import Entry, Journal, Saved
from tocsin.core.lifecycle.health import condition
from tocsin.core.lifecycle.isolated_rules import IsolatedRuleRunner
from tocsin.core.lifecycle.looking_back import COMING, look_back
from tocsin.core.lifecycle.observers import Observers
from tocsin.core.lifecycle.restore import restored, whole_entry
from tocsin.core.lifecycle.retire import abandoned
from tocsin.core.lifecycle.self_monitoring import SELF, SelfView, verdicts
from tocsin.core.lifecycle.settling import Settling
from tocsin.core.logs import get_logger
from tocsin.core.monitor import Monitor, events
from tocsin.core.monitor.bus import Bus
from tocsin.core.monitor.executor import Executor
from tocsin.core.monitor.silencing import Silencing
from tocsin.core.notify import Channel, Tools
from tocsin.core.notify.channel_manager import ChannelManager
from tocsin.core.notify.controls import Actions, ControlContext
from tocsin.core.notify.enriching import enricher_of
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.state import LiveState

log = get_logger(__name__)

TICK = 1.0
"""Seconds between checks of tocsin's own health."""


class Alerting:
    """All parts of alerting."""

    def __init__(
        self,
        settings: Settings,
        *,
        data_dir: Path,
        clock: Clock,
        history: HistoryAccess,
        bus: Bus,
        isolation: Isolation,
        plugins: PluginManager,
        itself: SelfView,
        actions: Actions | None = None,
    ) -> None:
        self.settings = settings
        self.journal = Journal(data_dir / "journal.db")
        rule_faults = RuleFaults(self._faulted, self._recovered, isolation.traces.note)
        executor = self.executor = Executor(
            Monitor(rule_faults), DurableMonotonicClock(clock), self.journal, history, bus
        )
        executor.rules = IsolatedRuleRunner(clock, isolation, executor, rule_faults)
        self.silencing = Silencing(clock, executor)
        context = (
            None if actions is None else ControlContext(clock, executor, self.silencing, actions)
        )
        self.board = executor.channels = ChannelManager(Tools(clock, isolation, executor), context)
        self.observers = executor.observers = Observers(isolation)
        self._clock, self._history = clock, history
        self._plugins, self._actions = plugins, actions
        self._itself = itself
        self._tasks: list[asyncio.Task[None]] = []
        self._settling = Settling.after(None, None, executor.steady.anchor())
        self._saved: Saved | None = None
        self._restoring = False

    @property
    def monitor(self) -> Monitor:
        """The state of targets, alerts and deliveries."""
        return self.executor.monitor

    @property
    def state(self) -> LiveState:
        """The current state of targets and checks."""
        return self.executor.monitor.state

    @property
    def steady(self) -> DurableMonotonicClock:
        """The clock of alerts."""
        return self.executor.steady

    @property
    def engine(self) -> Engine:
        """Targets, rules and alerts."""
        return self.monitor.engine

    @property
    def quiet(self) -> Silencer:
        """Silences and maintenance windows."""
        return self.monitor.quiet

    # Life

    async def start(self) -> None:
        """Restore the state of an earlier run, and start all parts."""
        saved = await self.journal.start()
        self.executor.steady = DurableMonotonicClock(self._clock, saved.anchor)
        self._settling = Settling.after(saved.life, saved.anchor, self.steady.anchor())
        self._configure()
        self.journal.whole = lambda: whole_entry(
            self.monitor, self.board, self._saved, self.steady.anchor()
        )  # fmt: skip
        self._restoring = saved.fresh or saved.doubtful
        self._saved = saved if self._restoring else None
        if saved.doubtful:  # the database may have newer states: see _restore
            saved = evolve(saved, alerts=(), rows=())
        until = self.steady.now().steady + COMING
        self.executor.handle(events.Started(saved, self._settling.life.settled, until))
        for (channel, about), reference in saved.references.items():
            self.board.tools.refer(channel, about, reference)
        self.board.make(self.settings.channels)
        self.board.resume(saved.rows, saved.retry_after_until)
        self.board.start()
        await self.observers.apply(self.settings.observers)
        self._tasks = [
            asyncio.create_task(self._go_on(self._keep_time), name="alerts"),
            asyncio.create_task(self._go_on(self._watch), name="watch over tocsin"),
            asyncio.create_task(look_back(self.executor, self._clock), name="looking back"),
        ]

    async def stop(self) -> None:
        """Stop; deliveries in progress may finish, and the other rows remain in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self.executor.stop(), return_exceptions=True)
        self._tasks = []
        await asyncio.gather(self.board.stop(), self.observers.stop())
        if self.journal.running:
            self.journal.submit(Entry(life=self._settling.ended(), anchor=self.steady.anchor()))
        await self.journal.stop()

    async def apply(self, settings: Settings) -> None:
        """Apply a configuration; alerts and unchanged channels continue."""
        self.settings = settings
        self._configure()
        await self.board.apply(settings.channels)
        await self.observers.apply(settings.observers)
        self.executor.handle(events.Rechecked())

    def _configure(self) -> None:
        settings = self.settings
        self.board.tools.enrich = enricher_of(settings, self.state, self._actions)
        grace = settings.alerts.inhibit_grace
        book = book_of(settings, inline=self._plugins.inline, unloaded=self._plugins.unloaded())
        self.executor.handle(
            events.Configured(book, settings.channels, settings.maintenance, grace)
        )

    # Input

    def _judged(self, key: Key, verdict: Verdict) -> None:
        self.executor.handle(events.Judged(key, verdict))

    def _faulted(self, plugin: str, reason: str) -> None:
        self._plugins.fail(plugin, reason, part="rules")

    def _recovered(self, plugin: str) -> None:
        if self._plugins.recover(plugin, "rules"):
            log.info("a plugin's rules work again", plugin=plugin)

    # Timers

    async def _go_on(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Repeat work that must never end: without it no alert would be repeated or released."""
        never = asyncio.Event()
        while True:
            try:
                await work()
            except Exception:
                log.exception("a task of alerting failed and is restarted", at=work.__name__)
            await self._clock.wait(never, self._clock.monotonic() + TICK)

    async def _keep_time(self) -> None:
        executor = self.executor
        while True:
            executor.awoken.clear()
            executor.handle(events.Ticked())
            executor.due = due = self.engine.next_due()
            until = None if due is None else self.steady.monotonic_of(due)
            await self._clock.wait(executor.awoken, until)

    async def _watch(self) -> None:
        """Track the settling phase and tocsin's own health."""
        never = asyncio.Event()
        if self._restoring:
            self.executor.spawn(self._restore())
        while True:
            await self._clock.wait(never, self._clock.monotonic() + TICK)
            self._look()

    def _look(self) -> None:
        now = self.steady.now()
        if not self._restoring:
            self._settle(now)
        if (has_looked := self._settling.has_looked) and self._itself.sees_all():
            for key, verdict in abandoned(self.engine, self.state).items():
                self._judged(key, verdict)
        if has_looked:
            self.journal.reported(
                now.steady, self.engine.evaluator.rules.policy("monitor_impaired", SELF).for_seconds
            )
        about = verdicts(self._itself.health(), self._plugins.records, list(self.engine.alerts))
        for key, verdict in about:
            # A part that was not used since the start looks healthy without having been tested.
            if has_looked or verdict.state is not VerdictState.CLEAR:
                self._judged(key, verdict)
        self.silencing.forget()

    def _settle(self, now: Moment) -> None:
        """Update the settling phase, and write a sign of life to the journal."""
        settling = self._settling
        had_looked = settling.has_looked
        settling.look(now.steady, self._itself.has_looked_around())
        if settling.has_looked > had_looked or settling.life.settled > self.engine.muting.settled:
            self.executor.handle(events.Settled(settling.has_looked))
        if not self.journal.waiting and (life := settling.sign(now.steady)) is not None:
            self.journal.submit(Entry(life=life, anchor=self.steady.anchor()))

    async def _restore(self) -> None:
        """Restore the state from the database: the journal is missing or damaged, or this is the
        first start."""
        saved = self._saved or Saved()
        try:
            past = await restored(self._history, self._clock, saved, self._go_on_without)
        finally:
            self._restoring, self._saved = False, None
        with self.journal.together():
            effects = self.executor.handle(events.Restored(past))
            went_on = effects.past or past
            if went_on.found and self._settling.has_looked:
                self.executor.handle(events.Settled(freeze=True))
        self.board.resume(went_on.rows, {})
        if went_on.found and saved.fresh:
            self.journal.report("it was missing; its state was restored from the database")
        self._look()  # notify now of alerts that waited for the restoration

    def _go_on_without(self) -> None:
        self._restoring = False

    # For the API

    @property
    def channels(self) -> Mapping[str, Channel]:
        """Channels by name."""
        return self.board.channels

    async def test(self, name: str) -> tuple[bool, str]:
        """Send a test message through a channel.

        Returns:
            Whether it was delivered, and the provider's answer or the error.

        Raises:
            KeyError: there is no such channel.
        """
        return await self.channels[name].test()

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of the journal and of each channel."""
        return condition(self.journal.trouble or self.journal.incident, self.channels)

    def active(self) -> list[Alert]:
        """Return the firing alerts, newest first."""
        firing = [a for a in self.engine.alerts.values() if a.phase is Phase.FIRING]
        return sorted(firing, key=lambda a: a.id, reverse=True)
