"""The manager: wires the engine, the journal, the channels, and what people ask of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve

from tocsin.core import faults
from tocsin.core.alerting.condition import condition
from tocsin.core.alerting.controls import Actions, Desk
from tocsin.core.alerting.itself import SELF, verdicts
from tocsin.core.alerting.memory import Memory
from tocsin.core.alerting.observers import Observers
from tocsin.core.alerting.restore import everything, restored, taken_up
from tocsin.core.alerting.retire import abandoned
from tocsin.core.alerting.silencing import Silencing
from tocsin.core.alerting.standing import standing
from tocsin.core.alerting.strangers import Strangers
from tocsin.core.alerting.switchboard import Switchboard
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Change, Key, Moment, Phase, Transition
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.steady import SteadyClock
from tocsin.core.bus import Bus
from tocsin.core.clock import Clock
from tocsin.core.config.alerting import book_of
from tocsin.core.config.settings import Settings
from tocsin.core.hiding import clean
from tocsin.core.isolation import Isolation
from tocsin.core.journal import Entry, Journal, JournalError, Saved
from tocsin.core.logs import get_logger
from tocsin.core.model import ComponentHealth, Event, Observation
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline import Channel, Enricher, Tools, route
from tocsin.core.plugin_manager import PluginManager
from tocsin.core.state import LiveState
from tocsin.core.store import Store
from tocsin.core.templates import Renderer
from tocsin.core.verdicts import Verdict

log = get_logger(__name__)

TICK = 1.0
"""Seconds between two looks at tocsin itself."""

SETTLE_MOST = 60.0
"""Seconds after a start for which checks that have not run yet are waited for."""


class Alerting:
    """Everything about alerts. ``health`` tells how tocsin's parts fare; ``looked_around``: whether
    every source and check has been heard of since the start; ``sees_all``: whether every source
    sees now, so that a target nobody knows is gone."""

    def __init__(
        self,
        settings: Settings,
        *,
        data_dir: Path,
        clock: Clock,
        state: LiveState,
        store: Store,
        bus: Bus,
        isolation: Isolation,
        plugins: PluginManager,
        health: Callable[[], Mapping[str, ComponentHealth]],
        looked_around: Callable[[], bool],
        sees_all: Callable[[], bool] = lambda: True,
        actions: Actions | None = None,
    ) -> None:
        self.settings = settings
        self.journal = Journal(data_dir / "journal.db")
        self.silencing = Silencing(self.journal, store, bus, clock, self._recheck)
        self.quiet = self.silencing.quiet
        faults = RuleFaults(self._faulted, self._recovered)
        strangers = Strangers(clock, isolation, self._judge, faults, self._spawn, self._watches)
        self.engine = Engine(self.quiet, outside=strangers.run, faults=faults)
        self.steady = SteadyClock(clock)
        tools = Tools(
            clock=clock, steady=self.steady, engine=self.engine, journal=self.journal,
            isolation=isolation, record=self._record, owe=self._owe,
        )  # fmt: skip
        desk = None
        if actions is not None:
            desk = Desk(clock, self.engine, self.silencing, actions, self.acknowledge, self.written)
        self._actions = actions
        self.board = Switchboard(tools, self._save, desk)
        self.memory = Memory(store)
        self.observers = Observers(isolation, self._faulted, self._recovered)
        self._clock, self._state, self._store, self._bus = clock, state, store, bus
        self._isolation, self._plugins = isolation, plugins
        self._health, self._looked_around, self._sees_all = health, looked_around, sees_all
        self._tasks: list[asyncio.Task[None]] = []
        self._loose: set[asyncio.Task[None]] = set()
        self._started = 0.0
        self._saved, self._restoring = Saved(), False
        self._wake = asyncio.Event()
        self._due: float | None = None

    # Life

    async def start(self) -> None:
        """Take up where an earlier run ended, and begin."""
        saved = await self.journal.start()
        self.steady = SteadyClock(self._clock, saved.anchor)
        self._started = self._clock.monotonic()
        self.engine.settled = False
        self._configure()
        self.journal.whole = lambda: everything(
            self.engine, self.memory, self.quiet, self.board, self._saved,
            self.steady.anchor(), not self._restoring,
        )  # fmt: skip
        self._restoring = saved.fresh or saved.doubtful
        if saved.doubtful:  # told once the database has said what became of it
            self._saved, saved = saved, evolve(saved, alerts=(), rows=())
        self.engine.load(saved.alerts)
        self.engine.dirty.clear()
        self.quiet.put(saved.silences)
        for (channel, about), reference in saved.references.items():
            self.board.tools.refer(channel, about, reference)
        for row in saved.rows:
            self.memory.note(row)  # history may not have it yet; its id makes that harmless
        for alert in saved.alerts:
            self.memory.keep(alert)
        self.board.tools.steady = self.steady
        self.board.make(self.settings.channels)
        self.board.resume(saved.rows, saved.gates)
        for state in self._state:
            self._changed(state.target.name)
        self._state.listeners.append(self._changed)
        self.board.start()
        await self.observers.apply(self.settings.observers)
        self._tasks = [
            asyncio.create_task(self._go_on(self._keep_time), name="alerts"),
            asyncio.create_task(self._go_on(self._watch), name="watch over tocsin"),
        ]

    async def stop(self) -> None:
        """End: messages under way are finished, the rest lies in the journal."""
        with suppress(ValueError):
            self._state.listeners.remove(self._changed)
        for task in (*self._tasks, *self._loose):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._loose, return_exceptions=True)
        self._tasks = []
        await self.board.stop()
        await self.observers.stop()
        if self.journal.running:
            self._save([])
        await self.journal.stop()

    async def apply(self, settings: Settings) -> None:
        """Take over a configuration. Alerts go on; channels that are the same do, too."""
        self.settings = settings
        now = self.steady.now()
        self._handle(self._configure(), now)
        await self.board.apply(settings.channels)
        await self.observers.apply(settings.observers)
        self._handle(self.engine.recheck(None, now), now)

    def _configure(self) -> list[Transition]:
        settings = self.settings
        self.quiet.windows = settings.maintenance
        self.quiet.look_again()
        self.board.tools.enrich = self._enricher()
        return self.engine.configure(
            book_of(settings), self.steady.now(), settings.alerts.inhibit_grace
        )

    def _enricher(self) -> Enricher:
        def trouble(reason: str) -> None:
            log.warning("a template failed; tocsin's own was used", reason=reason)

        settings, actions = self.settings, self._actions
        renderer = Renderer(settings.messages.templates, clean, trouble)
        made = Enricher(renderer, settings.timezone, standing=lambda: standing(self._state))
        if actions is not None:
            made.logs, made.can_restart = actions.logs, actions.may_restart
        return made

    # What is seen

    def observe(self, observation: Observation) -> None:
        """Take in a result."""
        now = self.steady.now()
        self._handle(self.engine.observe(observation, now), now)

    def happened(self, event: Event) -> None:
        """Take in an event."""
        now = self.steady.now()
        self._handle(self.engine.happened(event, now), now)

    def _changed(self, name: str) -> None:
        """A target came, changed or went."""
        now = self.steady.now()
        known = self._state.targets.get(name)
        if known is None:
            self._handle(self.engine.drop(name, now), now)
        else:
            changes = self.engine.put(known.target, known.source, known.checks, now)
            self._handle(changes, now)

    def _recheck(self) -> None:
        """Who is silenced has changed."""
        now = self.steady.now()
        self._handle(self.engine.recheck(list(self.engine.targets), now), now)

    def _judge(self, key: Key, verdict: Verdict) -> None:
        """Take in the verdict of a stranger's rule."""
        now = self.steady.now()
        self._handle(self.engine.judge(key, verdict, now), now)

    def _watches(self, key: Key) -> bool:
        return self.engine.target(key[1]) is not None and self.engine.watches(key)

    def _faulted(self, plugin: str, reason: str) -> None:
        if self._plugins.fail(plugin, reason):
            log.error("a plugin failed; everything else goes on", plugin=plugin, reason=reason)

    def _recovered(self, plugin: str) -> None:
        if self._plugins.recover(plugin):
            log.info("a plugin's rules judge again", plugin=plugin)

    # What changes

    def _handle(self, changes: list[Transition], now: Moment) -> None:
        """Write changes down, then tell. The rows go to their channels once they are on disk."""
        look = self.engine.next_look()
        if look is not None and (self._due is None or look < self._due):
            self._wake.set()  # though nothing changed, a rule wants to be asked again, and soon
        if not changes and not self.engine.dirty:
            return
        faults.point("transition made")
        rows: list[Row] = []
        for change in changes:
            made = route(
                change,
                self.engine.book.policy(*change.alert.key),
                self.settings.channels,
                now.steady,
                self.engine.target(change.alert.target),
                self.engine.affected(change.alert.target)
                if self.engine.book.inhibits(*change.alert.key)
                else (),
            )
            queued = [row.channel for row in made if row.decision is Decision.QUEUED]
            resolved = change.kind is Change.RESOLVED
            if queued:
                self.engine.heard(change.alert.key, queued, recovered=resolved)
            rows += made
            quiet = change.kind in (Change.PENDING, Change.CANCELLED, Change.CLOSED)
            (log.debug if quiet else log.info)(
                "alert", change=change.kind.value, rule=change.alert.rule,
                target=change.alert.target, severity=change.alert.severity.value,
                message=change.alert.resolution or change.alert.message, reason=change.why or None,
            )  # fmt: skip
            self._bus.publish("alert", change)
        saved = self._save(rows)
        # Also where the journal cannot be written: what happened has happened.
        saved.add_done_callback(lambda _: self.observers.tell(changes))
        self._wake.set()

    def _save(self, rows: list[Row]) -> asyncio.Future[None]:
        """Journal what changed; then, and not before, put the rows into their channels."""
        dirty, self.engine.dirty = self.engine.dirty, set()
        alerts = [self.engine.alerts[key] for key in dirty if key in self.engine.alerts]
        entry = Entry(
            alerts=tuple(alerts),
            closed=tuple(key for key in dirty if key not in self.engine.alerts),
            rows=tuple(rows),
            anchor=self.steady.anchor(),
        )
        done = self.journal.submit(entry)
        for alert in alerts:
            self.memory.keep(alert)
        for row in rows:
            self.memory.note(row)
        if any(row.decision is Decision.QUEUED for row in rows):
            self._spawn(self._hand_over(done, rows))
        return done

    async def _hand_over(self, done: asyncio.Future[None], rows: list[Row]) -> None:
        try:
            await self.journal.wait(done)
        except JournalError as error:
            log.warning("told without the journal", reason=str(error))
        self.board.put(rows)

    def _record(self, rows: list[Row]) -> None:
        """Rows that a channel has finished with."""
        done = self.journal.submit(Entry(rows=tuple(rows), anchor=self.steady.anchor()))
        done.add_done_callback(lambda _: faults.point("marked"))
        for row in rows:
            self.memory.note(row)
            self._bus.publish("notification", evolve(row, notice=None))

    def _owe(self, row: Row) -> None:
        if self.engine.owe(row.alert, row.channel) is not None:
            self._save([])

    # What time does

    async def _go_on(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work that must not end: without it no alert would wait, repeat or be released."""
        never = asyncio.Event()
        while True:
            try:
                await work()
            except Exception:
                log.exception("alerting failed inside tocsin and goes on", at=work.__name__)
            await self._clock.wait(never, self._clock.monotonic() + TICK)

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            now = self.steady.now()
            self._handle(self.engine.tick(now), now)
            self._due = due = self.engine.next_due()
            until = None if due is None else self.steady.monotonic_of(due)
            await self._clock.wait(self._wake, until)

    async def _watch(self) -> None:
        """Look after the settling, and after tocsin itself."""
        never = asyncio.Event()
        if self._restoring:
            self._spawn(self._restore())
        while True:
            await self._clock.wait(never, self._clock.monotonic() + TICK)
            self._look()

    def _look(self) -> None:
        now = self.steady.now()
        waited = self._clock.monotonic() - self._started
        ready = self._looked_around() or waited >= SETTLE_MOST
        if not self.engine.settled and not self._restoring and ready:
            self._handle(self.engine.settle(now), now)
        if self.engine.settled:
            self._handle(self._retire(now), now)
            self.journal.told(now.steady, self.engine.book.policy("monitor_impaired", SELF).wait)
        about = verdicts(self._health(), self._plugins.records, list(self.engine.alerts))
        for key, verdict in about:
            self._handle(self.engine.judge(key, verdict, now), now)
        self.silencing.forget()

    def _retire(self, now: Moment) -> list[Transition]:
        """End alerts that nothing looks after any more."""
        gone = abandoned(self.engine, self._state)
        if not gone or not self._sees_all():
            return []
        changes: list[Transition] = []
        for key, why in gone.items():
            changes += self.engine.judge(key, Verdict.clear(why), now)
        return changes

    async def _restore(self) -> None:
        """The journal is gone or damaged, or this is the first start."""
        try:
            past = await restored(self._store, self._clock, self._saved)
        finally:
            self._restoring, saved, self._saved = False, self._saved, Saved()
        now = self.steady.now()
        self.quiet.put(s for s in past.silences if s.id not in self.quiet.silences)
        found, changes = taken_up(self.engine, self.memory, past, now)
        with self.journal.together():
            self._handle(changes, now)
            self.journal.submit(past.entry())
        self.board.resume(past.rows, {})
        if found and saved.fresh:
            self.journal.tell("it was gone; what the database remembers goes on")
        self._look()  # what fires was kept waiting for this alone

    # What people do

    def acknowledge(self, alert: Alert, by: str | None, comment: str = "") -> Alert:
        """Note that somebody looks after a firing alert (``by`` None: no more)."""
        now = self.steady.now()
        changes = self.engine.acknowledge(alert, by, comment, now)
        self._handle(changes, now)
        return changes[0].alert

    async def written(self) -> None:
        """Wait until what people changed so far is on disk. Where the disk fails it holds all the
        same, in memory, and ``health`` says so."""
        with suppress(JournalError):
            await self.journal.commit(Entry())

    @property
    def channels(self) -> Mapping[str, Channel]:
        """Channels by name."""
        return self.board.channels

    async def test(self, name: str) -> tuple[bool, str]:
        """Send a test message by a channel; whether that worked, and what was answered.

        Raises:
            KeyError: there is no such channel.
        """
        return await self.channels[name].test()

    # How it fares

    def health(self) -> dict[str, ComponentHealth]:
        """The journal, and each channel."""
        return condition(self.journal.trouble or self.journal.incident, self.channels)

    def active(self) -> list[Alert]:
        """Alerts that fire now, newest first."""
        firing = [a for a in self.engine.alerts.values() if a.phase is Phase.FIRING]
        return sorted(firing, key=lambda a: a.id, reverse=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)
