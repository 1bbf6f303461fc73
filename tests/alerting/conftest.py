"""The whole of alerting, real but for time and the last step: journal, channels, a recording
notifier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

from tests.contexts import contexts
from tests.kept import no_history
from tocsin import ActionError, Controls, LogLine, NotifyError, Result, Status, Target, hookimpl
from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.silences import Silence, Window
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.base import private
from tocsin.core.contracts.model import AuditEntry, ComponentHealth, Observation
from tocsin.core.journal.journal import Entry
from tocsin.core.lifecycle import Alerting
from tocsin.core.monitor import events
from tocsin.core.monitor.bus import Bus
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.state import CheckState, LiveState
from tocsin.testing import RecordingNotifier, SettableClock

CONFIG = """
[rules.health_check_failed]
failures = 1

[channels.ops]
notifier = "recording"
"""
BESIDE = (
    CONFIG + '[channels.other]\nnotifier = "recording"\nlabel = "o"\nmin_severity = "critical"\n'
)
TWO = CONFIG + '\n[channels.other]\nnotifier = "recording"\nlabel = "other"\n'


@frozen(kw_only=True)
class TwoWay(RecordingNotifier):
    """A recording notifier that wants to see everything, and hands its controls out."""

    log_lines = 3
    wants_system = True
    controls: list[Controls] = private(factory=list)
    refuse: float = 0.0
    """Seconds for which whoever listens is asked to wait."""

    async def listen(self, controls: Controls) -> None:
        self.controls.append(controls)
        if self.refuse:
            raise NotifyError("slow down", retry_after=self.refuse)
        await asyncio.Event().wait()


class _Plugin:
    @hookimpl
    def tocsin_notifiers(self) -> dict[str, type]:
        return {"recording": RecordingNotifier, "two-way": TwoWay}


class Hands:
    """What the rest of tocsin does to targets: recorded."""

    def __init__(self) -> None:
        self.restarted: list[tuple[str, str, str]] = []
        self.hang = False

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        if self.hang:
            await asyncio.Event().wait()
        if target == "mute":
            raise ActionError("mute keeps no logs")
        return [LogLine(text=f"\x1b[1m{target} {n} password=hunter2") for n in range(lines + 5)]

    async def restart(self, target: str, actor: str, role: str) -> None:
        if not self.may_restart(target):
            raise ActionError(f"restarting {target} is not allowed")
        self.restarted.append((target, actor, role))

    def actions(self, target: str) -> Collection[str]:
        return () if target == "site" else ("logs", "restart", "inspect")

    def may_restart(self, target: str) -> bool:
        return target.startswith("web")


def catalog(settings: PluginSettings | None = None) -> PluginManager:
    """Our plugins, and the recording notifier."""
    manager = PluginManager(settings or PluginSettings())
    manager.load()
    manager.add("recording", _Plugin, "tests", "0")
    return manager


@define
class _View:
    """What a desk's alerting can say of itself."""

    desk: Desk

    def health(self) -> dict[str, ComponentHealth]:
        return {**self.desk.health, **self.desk.alerting.health()}

    def has_looked_around(self) -> bool:
        return self.desk.looked_around

    def sees_all(self) -> bool:
        return True


class Desk:
    """An alerting with everything it needs. ``start`` and ``stop`` it as often as you like: what
    survives is what lies in its directory."""

    def __init__(self, directory: Path, clock: SettableClock, config: str = CONFIG) -> None:
        self.directory = directory
        self.clock = clock
        self.plugins = catalog()
        self.health: dict[str, ComponentHealth] = {}
        self.hands = Hands()
        self.looked_around = True
        self.history = no_history(clock)
        self.config = config
        self.settings = self.load(config)
        self.targets: dict[str, Target] = {}
        self._make()

    def _make(self) -> None:
        self.bus = Bus()
        isolation = Isolation(self.plugins.inline | {"recording"}, lambda *_: None, contexts())
        self.alerting = Alerting(
            self.settings, data_dir=self.directory, clock=self.clock,
            history=self.history, bus=self.bus, isolation=isolation, plugins=self.plugins,
            itself=_View(self), actions=self.hands,
        )  # fmt: skip
        self._written: asyncio.Future[None] | None = None
        """The newest entry of the journal, done when it lies on disk."""
        submit = self.alerting.journal.submit

        def submitted(entry: Entry) -> asyncio.Future[None]:
            done = self._written = submit(entry)
            return done

        self.alerting.journal.submit = submitted  # type: ignore[method-assign]

    @property
    def state(self) -> LiveState:
        """What is known now of targets and checks."""
        return self.alerting.state

    def load(self, config: str) -> Settings:
        """A configuration text as settings."""
        path = self.directory / "tocsin.toml"
        path.write_text(config)
        return load_config(path, {"TOCSIN_DATA_DIR": str(self.directory)}, self.plugins)

    async def start(self, *, settle: bool = True) -> None:
        """Begin; ``settle``: and let the first look around pass."""
        await self.alerting.start()
        for target in self.targets.values():
            self._add(target)
        if settle:
            await self.wait(1.1)

    async def stop(self) -> None:
        """End in order."""
        await self.alerting.stop()

    def audited(self) -> list[AuditEntry]:
        """What people did, oldest first."""
        return [news.data for news in self.bus.since(0, "audit")[0]]

    def silence(
        self, matcher: str, starts_at: datetime, ends_at: datetime, comment: str = "",
        window: Window | None = None,
    ) -> None:  # fmt: skip
        """A silence of ann's; with a window, a maintenance window."""
        made = Silence(
            matchers=parse_all([matcher]), starts_at=starts_at, ends_at=ends_at,
            created_by="ann", comment=comment, window=window,
        )  # fmt: skip
        self.alerting.executor.handle(events.SilencePut(made))

    def acknowledge(self, alert: Alert, by: str, comment: str = "") -> None:
        """Somebody looks after it."""
        self.alerting.executor.handle(events.Acknowledged(alert.id, by, comment))

    async def restart(self) -> None:
        """End in order, and begin anew from the journal."""
        await self.stop()
        self.settings = self.load(self.config)
        self._make()
        await self.start(settle=False)

    def add(self, name: str, *depends_on: str, **fields: Any) -> None:
        """A target with one check."""
        self.targets[name] = Target(name=name, depends_on=depends_on, **fields)
        self._add(self.targets[name])

    def _add(self, target: Target) -> None:
        executor = self.alerting.executor
        executor.handle(events.TargetPut(target))
        check = CheckState(target=target.name, name="c", probe="tcp", interval=30)
        executor.handle(events.CheckPut(check))

    def see(self, target: str, status: str = "down", message: str = "", **fields: Any) -> None:
        """One result."""
        said = message or f"{target} is {status}"
        result = Result(status=Status(status), message=said, **fields)
        seen = Observation(target=target, check="c", at=self.clock.now(), result=result)
        self.alerting.executor.handle(events.Observed(seen))

    async def wait(self, seconds: float) -> None:
        """Let time pass; all that wait for a moment on the way are woken at that moment."""
        end = self.clock.seconds + seconds
        await self.calm()
        while True:
            upcoming = self.clock.next_wait()
            if upcoming is None or upcoming > end:
                break
            self.clock.advance(max(0.0, upcoming - self.clock.seconds))
            await self.calm()
        self.clock.advance(end - self.clock.seconds)
        await self.calm()

    async def calm(self) -> None:
        """Until nothing moves any more: the journal has written, tasks wait for time alone."""
        for _ in range(3):
            for _ in range(10):
                await asyncio.sleep(0)
            if self.alerting.journal.running and self._written is not None:
                await asyncio.wait({self._written})

    def notifier(self, channel: str = "ops") -> RecordingNotifier:
        """A channel's notifier."""
        found = self.alerting.channels[channel].settings.notifier
        assert isinstance(found, RecordingNotifier)
        return found

    def told(self, channel: str = "ops") -> list[tuple[str, str]]:
        """Kind and target of what a channel was told."""
        return [(kind, target) for kind, _, target in self.notifier(channel).notified()]

    def told_of(self, *targets: str) -> list[tuple[str, str]]:
        """The same of some targets, and of none besides."""
        return [told for told in self.told() if told[1] in targets]

    def ledger(self, target: str) -> list[tuple[str, str, str]]:
        """Transition, channel and decision of all rows about a target."""
        rows = self.alerting.monitor.recent.rows.values()
        return [(r.transition, r.channel, r.decision.value) for r in rows if r.target == target]

    @property
    def now(self) -> datetime:
        return self.clock.now()


MakeDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def make_desk(tmp_path: Path, clock: SettableClock) -> AsyncIterator[MakeDesk]:
    """Makes desks that run, and ends them after the test."""
    async with AsyncExitStack() as stack:

        async def make(config: str = CONFIG, **options: Any) -> Desk:
            desk = Desk(options.pop("directory", tmp_path), clock, config)
            await desk.start(**options)
            stack.push_async_callback(desk.stop)
            return desk

        yield make


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    """A desk that runs, with one channel, ``ops``."""
    return await make_desk()
