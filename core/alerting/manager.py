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
from tocsin.core.alerting.enriching import enricher_of
from tocsin.core.alerting.itself import SELF, verdicts
from tocsin.core.alerting.looking_back import look_back
from tocsin.core.alerting.memory import Memory
from tocsin.core.alerting.observers import Observers, write_down
from tocsin.core.alerting.restore import load, restored, taken_up, whole_entry
from tocsin.core.alerting.retire import retire
from tocsin.core.alerting.settling import Settling
from tocsin.core.alerting.silencing import Silencing
from tocsin.core.alerting.strangers import Strangers
from tocsin.core.alerting.switchboard import Switchboard
from tocsin.core.alerting.underway import Underway
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Change, Key, Moment, Phase, Transition
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.steady import SteadyClock
from tocsin.core.bus import Bus
from tocsin.core.clock import Clock
from tocsin.core.config.alerting import book_of
from tocsin.core.config.settings import Settings
from tocsin.core.isolation import Isolation
from tocsin.core.journal import Entry, Journal, JournalError, Saved
from tocsin.core.logs import get_logger
from tocsin.core.model import ComponentHealth, Event, Observation
from tocsin.core.notices import Kind, Notice
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline import Channel, Tools, route
from tocsin.core.plugin_manager import PluginManager
from tocsin.core.state import LiveState
from tocsin.core.store import Store
from tocsin.core.verdicts import Verdict, VerdictState

log = get_logger(__name__)

TICK = 1.0
"""Seconds between two looks at tocsin itself."""


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
        desk = None if actions is None else Desk(
            clock, self.engine, self.silencing, actions, self.acknowledge, self.written
        )  # fmt: skip
        self.underway = Underway()
        self.board = Switchboard(tools, self._save, self.underway, desk)
        self.memory = Memory(store)
        self.observers = Observers(isolation, self._faulted, self._recovered)
        self._clock, self._state, self._store, self._bus = clock, state, store, bus
        self._plugins, self._actions = plugins, actions
        self._health, self._looked_around, self._sees_all = health, looked_around, sees_all
        self._tasks: list[asyncio.Task[None]] = []
        self._loose: set[asyncio.Task[None]] = set()
        self._settling = Settling.after(None, None, self.steady.anchor())
        self._saved: Saved | None = None
        self._restoring = False
        self._wake = asyncio.Event()
        self._due: float | None = None

    # Life

    async def start(self) -> None:
        """Take up where an earlier run ended, and begin."""
        saved = await self.journal.start()
        self.steady = SteadyClock(self._clock, saved.anchor)
        self._settling = Settling.after(saved.life, saved.anchor, self.steady.anchor())
        self.engine.settled = self._settling.life.settled
        self._configure()
        self.journal.whole = lambda: whole_entry(
            self.engine, self.memory, self.quiet, self.board, self._saved, self.steady.anchor()
        )  # fmt: skip
        self._restoring = saved.fresh or saved.doubtful
        self._saved = saved if self._restoring else None
        if saved.doubtful:  # told once the database has said what became of it
            saved = evolve(saved, alerts=(), rows=())
        load(saved, self.engine, self.memory, self.underway)
        self.quiet.put(saved.silences)
        for (channel, about), reference in saved.references.items():
            self.board.tools.refer(channel, about, reference)
        self.board.tools.steady = self.steady
        self.board.make(self.settings.channels)
        self.board.resume(saved.rows, saved.gates)
        back = look_back(self.engine, self._store, self._clock, self.steady, self._handle)
        for state in self._state:
            self._changed(state.target.name)
        self._state.listeners.append(self._changed)
        self.board.start()
        await self.observers.apply(self.settings.observers)
        self._tasks = [
            asyncio.create_task(self._go_on(self._keep_time), name="alerts"),
            asyncio.create_task(self._go_on(self._watch), name="watch over tocsin"),
            asyncio.create_task(back, name="looking back"),
        ]

    async def stop(self) -> None:
        """End: messages under way are finished, the rest lies in the journal."""
        with suppress(ValueError):
            self._state.listeners.remove(self._changed)
        for task in (*self._tasks, *self._loose):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._loose, return_exceptions=True)
        self._tasks = []
        await asyncio.gather(self.board.stop(), self.observers.stop())
        if self.journal.running:
            self._save([])
            self.journal.submit(Entry(life=self._settling.ended(), anchor=self.steady.anchor()))
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
        self.board.tools.enrich = enricher_of(settings, self._state, self._actions)
        return self.engine.configure(
            book_of(settings), self.steady.now(), settings.alerts.inhibit_grace
        )

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
            self._handle(self.engine.drop(name, now, self._state.why_removed), now)
        else:
            self._handle(self.engine.put(known.target, known.source, known.checks, now), now)

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
        if not changes and not self.engine.dirty and not self.engine.carried.dirty:
            return
        faults.point("transition made")
        rows: list[Row] = []
        for change in changes:
            made = route(
                change,
                self.engine.inhibition.policy(change.alert.key),
                self.settings.channels,
                now.steady,
                self.engine.target(change.alert.target),
                self.engine.inhibition.affected(change.alert.target)
                if self.engine.book.explains(*change.alert.key)
                else (),
                self.underway.channels(change.alert.id),
            )
            queued = [row.channel for row in made if row.decision is Decision.QUEUED]
            if queued:
                ends = change.kind is Change.RESOLVED
                self.engine.queued(change.alert.key, queued, recovered=ends)
            for row in made:
                self.underway.note(row)
            rows += made
            write_down(change)
            self._bus.publish("alert", change)
        saved = self._save(rows)
        # Also where the journal cannot be written: what happened has happened.
        saved.add_done_callback(lambda _: self.observers.tell(changes))
        self._wake.set()

    def _save(self, rows: list[Row]) -> asyncio.Future[None]:
        """Journal what changed; then, and not before, put the rows into their channels."""
        dirty, self.engine.dirty = self.engine.dirty, set()
        alerts = [self.engine.alerts[key] for key in dirty if key in self.engine.alerts]
        gone = tuple(key for key in dirty if key not in self.engine.alerts)
        done = self.journal.submit(
            Entry(alerts=tuple(alerts), closed=gone, rows=tuple(rows), anchor=self.steady.anchor(),
                  carried=self.engine.carried.take_dirty())
        )  # fmt: skip
        for alert in alerts:
            self.memory.keep(alert)
        for row in rows:
            self.memory.note(row)
            self.underway.note(row)
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
        """Rows that a channel has finished with. Who was told is on disk together with that."""
        for row in rows:
            if row.decision is Decision.SENT and row.notice is not None:
                self._delivered(row, row.notice)
        self._save(rows).add_done_callback(lambda _: faults.point("marked"))
        for row in rows:
            self._bus.publish("notification", evolve(row, notice=None))

    def _delivered(self, row: Row, notice: Notice) -> None:
        if notice.kind is Kind.RESOLVED:
            return
        if self.engine.find(row.alert) is not None:
            self.engine.delivered(row.alert, row.channel, notice.flaps)
        elif (over := self.memory.alerts.get(row.alert)) is not None and not over.ever_told:
            self.memory.keep(evolve(over, ever_told=True, revision=over.revision + 1))

    def _owe(self, row: Row) -> None:
        self.underway.note(row)
        others = self.underway.channels(row.alert) - {row.channel}
        if self.engine.owe(row.alert, row.channel, others) is not None:
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
        if not self._restoring:
            self._settle(now)
        if (has_looked := self._settling.has_looked) and self._sees_all():
            self._handle(retire(self.engine, self._state, now), now)
        if has_looked:
            self.journal.told(now.steady, self.engine.book.policy("monitor_impaired", SELF).wait)
        about = verdicts(self._health(), self._plugins.records, list(self.engine.alerts))
        for key, verdict in about:
            # Parts that have not been tried yet in this life seem to be well.
            if has_looked or verdict.state is not VerdictState.CLEAR:
                self._handle(self.engine.judge(key, verdict, now), now)
        self.silencing.forget()

    def _settle(self, now: Moment) -> None:
        """See how far looking around is, and have the journal know that this life goes on."""
        settling = self._settling
        had_looked = settling.has_looked
        settling.look(now.steady, self._looked_around())
        if settling.has_looked > had_looked or settling.life.settled > self.engine.settled:
            self._handle(self.engine.settle(now, freeze=settling.has_looked), now)
        if not self.journal.waiting and (life := settling.sign(now.steady)) is not None:
            self.journal.submit(Entry(life=life, anchor=self.steady.anchor()))

    async def _restore(self) -> None:
        """The journal is gone or damaged, or this is the first start."""
        saved = self._saved or Saved()
        try:
            past = await restored(self._store, self._clock, saved, self._go_on_without)
        finally:
            self._restoring, self._saved = False, None
        now = self.steady.now()
        self.quiet.put(s for s in past.silences if s.id not in self.quiet.silences)
        past, changes = taken_up(self.engine, self.memory, self.underway, past, now)
        if past.found and self._settling.has_looked:
            changes += self.engine.settle(now)
        with self.journal.together():
            self._handle(changes, now)
            self.journal.submit(past.entry())
        self.board.resume(past.rows, {})
        if past.found and saved.fresh:
            self.journal.tell("it was gone; what the database remembers goes on")
        if past.silences:
            self._recheck()
        self._look()  # what fires was kept waiting for this alone

    def _go_on_without(self) -> None:
        self._restoring = False

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
