"""Configuration and discovery, merged: what is watched, and what is said of it."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import define, evolve, field, frozen

import tocsin
from tests.conftest import eventually
from tests.contexts import contexts, polled
from tests.kept import no_history
from tocsin.core.alerts.durable_clock import DurableMonotonicClock
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.inventory import Inventory
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import CheckSettings, Settings, SourceSettings, TargetSettings
from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import Observation, Result, Status, Target
from tocsin.core.hiding import is_plain
from tocsin.core.journal.journal import Journal
from tocsin.core.monitor import Effects, Monitor
from tocsin.core.monitor.bus import Bus
from tocsin.core.monitor.events import MonitorEvent, TargetGone
from tocsin.core.monitor.executor import Executor
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.runtime import descriptors
from tocsin.core.state import LiveState
from tocsin.testing import SettableClock


@frozen(kw_only=True)
class Echo(tocsin.Probe):
    """Says what it is told to; closes when it is let go."""

    by_label: ClassVar[bool] = True

    say: str = "up"

    async def check(self, target: tocsin.Target) -> tocsin.Result:
        if self.say == "raise":
            raise RuntimeError("boom")
        if self.say == "hang":
            await asyncio.sleep(3600)
        if self.say == "stubborn":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                return tocsin.Result.down("too late")
        if self.say == "no files":
            raise OSError(errno.EMFILE, "Too many open files")
        return tocsin.Result(status=tocsin.Status(self.say), message=f"{target.name} {self.say}")

    async def close(self) -> None:
        CLOSED.append(self.say)


@frozen(kw_only=True)
class Tool(Echo):
    """What no label may ask for."""

    by_label: ClassVar[bool] = False


@frozen(kw_only=True)
class Trusting(tocsin.Source):
    """A source of ours, whose labels are trusted."""

    async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
        return


CLOSED: list[str] = []


class Plugin:
    """The module of the echo plugin."""

    @staticmethod
    @tocsin.hookimpl
    def tocsin_probes() -> Any:
        return {"echo": Echo, "tool": Tool}


DOCKER = SourceSettings(
    name="docker", probe_name="docker-health", plugin="docker", source=None, broken=None,
    options={}, interval=30,
)  # fmt: skip


def check(name: str = "echo", **options: Any) -> CheckSettings:
    return CheckSettings(
        name=name, probe_name="echo", plugin="echo", probe=Echo(**options), broken=None,
        options=options, interval=30.0, timeout=10.0, retries=0,
    )  # fmt: skip


def facts() -> Container:
    return Container(id="c1", image="i", state="running", reason=Reason.RUNNING)


@define(eq=False)
class Recorder(Executor):
    """Keeps what was seen and what happened, and why targets went."""

    seen: list[Observation] = field(factory=list)
    happenings: list[tocsin.Event] = field(factory=list)
    gone: list[str] = field(factory=list)

    def handle(self, event: MonitorEvent) -> Effects:
        effects = super().handle(event)
        self.seen += [item for item in effects.stored if isinstance(item, Observation)]
        self.happenings += [item for item in effects.stored if isinstance(item, tocsin.Event)]
        if isinstance(event, TargetGone):
            self.gone.append(event.why)
        return effects


class Room:
    """An inventory with its neighbours, and what was recorded."""

    def __init__(self, directory: Path, clock: SettableClock) -> None:
        self.clock = clock
        self.executor = Recorder(
            Monitor(), DurableMonotonicClock(clock), Journal(directory / "journal.db"),
            no_history(clock), Bus(),
        )  # fmt: skip
        self.scheduler = Scheduler(clock)
        self.plugins = PluginManager(PluginSettings(), discover=tuple)
        self.plugins.add("echo", lambda: Plugin, "tests", "1")
        self.isolation = Isolation(frozenset({"echo"}), lambda *_: None, contexts())
        self.faults: list[str] = []
        self.runner = Runner(
            clock, self.isolation,
            ProbeFaults(clock, self.plugins, lambda plugin, reason: self.faults.append(reason)),
        )  # fmt: skip
        self.settings = Settings(data_dir=directory, sources={"docker": DOCKER})
        self.inventory = Inventory(
            self.settings, executor=self.executor, scheduler=self.scheduler, runner=self.runner,
            catalog=self.plugins, clock=clock,
        )  # fmt: skip

    @property
    def state(self) -> LiveState:
        return self.executor.monitor.state

    @property
    def seen(self) -> list[Observation]:
        return self.executor.seen

    def declare(self, *targets: TargetSettings) -> None:
        self.inventory.apply(evolve(self.settings, targets={t.name: t for t in targets}))

    async def run(self, seconds: float = 31) -> None:
        self.clock.advance(seconds)
        self.scheduler.tick()
        for _ in range(20):
            await asyncio.sleep(0)

    def status(self, target: str, check: str | None = None) -> Status:
        state = self.state.targets[target]
        return state.status if check is None else state.checks[check].status

    def find(self, name: str) -> Target:
        self.inventory.discovered("docker", Target(name=name, kind="container"), None)
        self.executor.observe(
            Observation(target=name, check="docker", at=self.clock.now(),
                        result=Result.up("running", container=facts()))
        )  # fmt: skip
        return self.state.targets[name].target


@pytest.fixture
async def room(tmp_path: Path, clock: SettableClock) -> AsyncIterator[Room]:
    CLOSED.clear()
    made = Room(tmp_path, clock)
    await made.executor.journal.start()
    yield made
    made.inventory.checks.close()
    await made.executor.journal.stop()


async def test_a_large_configuration_leaves_turns_to_checks(room: Room) -> None:
    """A configuration is taken over in steps; what a source finds or loses between two of them is
    judged by the new configuration, and stays as it was found."""
    room.find("old")
    room.find("lost")
    room.declare(*(TargetSettings(name=f"t{n}") for n in range(250)))
    new = evolve(
        room.settings,
        targets={f"u{n}": TargetSettings(name=f"u{n}", critical=True) for n in range(250)},
    )
    steps = room.inventory.applying(new)
    next(steps)
    assert 0 < len([name for name in room.state.targets if name[0] == "t"]) < 250, "half way"
    room.find("u249")
    room.find("late")
    room.inventory.retired("docker", "lost", "removed")
    for _ in steps:
        pass
    assert {"late", "old", *new.targets} == set(room.state.targets)
    assert all(room.state.targets[name].target.critical for name in new.targets)


async def test_a_source_that_a_reload_removed_finds_nothing_more(room: Room) -> None:
    """What it still reports belongs to no source of the configuration: no target comes of it."""
    room.find("before")
    room.inventory.apply(evolve(room.settings, sources={}))
    room.inventory.discovered("docker", Target(name="late", kind="container"), None)
    assert not room.state.targets
    assert not room.inventory._found


async def test_the_configuration_refines_what_a_source_finds(room: Room) -> None:
    """A declared target that is discovered has the file's words, and else the source's."""
    room.declare(TargetSettings(name="db", critical=True, checks={"echo": check()}))
    target = room.find("db")
    assert (target.kind, target.critical) == ("container", True)
    await room.run()
    assert set(room.state.targets["db"].checks) == {"docker", "echo"}
    assert room.state.targets["db"].status is Status.UP


async def test_an_instance_names_its_service_as_it_is_called_here(room: Room) -> None:
    """A label may give the service another name, before or after its instances are seen."""
    instance = Target(name="api-1", kind="container", depends_on=("api",), service="api")
    room.inventory.discovered("docker", instance, None)
    assert room.state.targets["api-1"].target.service == "api"
    service = Target(name="api", kind="replicated-service")
    room.inventory.discovered("docker", service, None, tocsin.Claim(name="pay"))
    known = room.state.targets["api-1"].target
    assert (known.service, known.depends_on) == ("pay", ("pay",))
    assert room.state.targets["pay"].target.kind == "replicated-service"


async def test_labels_ask_for_checks_and_the_file_wins(room: Room) -> None:
    """Checks that labels ask for run; one of the same name in the file replaces it."""
    tables = {"a": {"probe": "echo", "say": "down"}, "b": {"probe": "echo", "say": "degraded"}}
    room.declare(TargetSettings(name="web", checks={"a": check("a")}))
    room.inventory.discovered("docker", Target(name="web", kind="container"), tables)
    await room.run()
    checks = room.state.targets["web"].checks
    assert checks["a"].status is Status.UP
    assert checks["b"].status is Status.DEGRADED


async def test_a_wrong_label_costs_only_its_check(room: Room) -> None:
    """A check that labels ask for wrongly is unknown, with the reason; the target is watched."""
    room.inventory.discovered(
        "docker", Target(name="web", kind="container"), {"x": {"probe": "nope"}}
    )
    checks = room.state.targets["web"].checks
    assert set(checks) == {"docker", "x"}
    assert checks["x"].status is Status.UNKNOWN
    assert "tocsin.check.x.probe" in (checks["x"].broken or "")


async def test_a_label_is_fit_to_be_shown_as_a_probe(room: Room) -> None:
    """Whatever it says the probe is."""
    said = "\x1b[31mx\u202e password=Zx9kQ2vLm7 " + "y" * 9999
    tables: dict[str, dict[str, Any]] = {
        "x": {"probe": said, "timeout": 1e9},
        "y": {"probe": said, "unable": said},
    }
    room.inventory.discovered("docker", Target(name="web", kind="container"), tables)
    for name in "xy":
        found = room.state.targets["web"].checks[name]
        for text in (found.probe, found.broken or "", found.last.result.message):  # type: ignore[union-attr]
            assert is_plain(text)
            assert "Zx9k" not in text
            assert len(text) < 1000


async def test_what_no_label_may_ask_for_is_unknown_until_it_is_allowed(room: Room) -> None:
    """A check by label with a probe that labels may not use never runs: it is unknown, with the
    reason. A reload that allows it to the source sets it to work, one that forbids it ends it."""
    tables = {"x": {"probe": "tool", "say": "down"}}
    room.inventory.discovered("docker", Target(name="web", kind="container"), tables)
    await room.run()
    check = room.state.targets["web"].checks["x"]
    assert check.status is Status.UNKNOWN
    assert "the label tocsin.check.x.probe asks for tool" in room.seen[-1].result.message
    assert "label_probes" in (check.broken or "")
    assert "web/x" not in room.scheduler
    trusted = evolve(DOCKER, source=Trusting(label_probes=("tool",)))
    room.inventory.apply(evolve(room.settings, sources={"docker": trusted}))
    await room.run()
    assert room.status("web", "x") is Status.DOWN
    room.inventory.apply(evolve(room.settings, sources={"docker": DOCKER}))
    await room.run()
    assert room.status("web", "x") is Status.UNKNOWN
    assert "web/x" not in room.scheduler


async def test_a_check_that_cannot_run_for_now_is_unknown(room: Room) -> None:
    """What its source calls unable to run is unknown, told once, and runs as soon as it can."""
    table = {"probe": "echo", "say": "up"}
    target = Target(name="web", kind="container")
    for _ in range(2):
        room.inventory.discovered("docker", target, {"x": {**table, "unable": "it has no address"}})
        await room.run()
    assert [o.result.message for o in room.seen] == ["cannot run: it has no address"]
    room.inventory.discovered("docker", target, {"x": table})
    await room.run()
    assert room.state.targets["web"].checks["x"].status is Status.UP


async def test_an_engine_that_is_away_makes_targets_unknown(room: Room) -> None:
    """Impaired: the source's targets are unknown, others untouched; seen again, they are right."""
    room.declare(TargetSettings(name="site", checks={"echo": check()}))
    room.find("db")
    await room.run()
    room.inventory.impaired("docker", "the engine cannot be asked")
    db = room.state.targets["db"]
    assert (db.status, db.message) == (Status.UNKNOWN, "the engine cannot be asked")
    assert db.container is not None
    assert db.container.reason is Reason.UNSEEN
    assert room.state.targets["site"].status is Status.UP
    room.inventory.synced("docker", ["db"])
    room.find("db")
    assert room.state.targets["db"].status is Status.UP


async def test_a_declared_container_that_is_not_there_is_missing(room: Room) -> None:
    """After an inventory without it, a declared container is down, missing; found, it is up; gone
    again, missing again, told once each time."""
    room.declare(TargetSettings(name="db", kind="container"))
    assert room.status("db") is Status.UNKNOWN
    for _ in range(3):
        room.inventory.synced("docker", [])
    assert room.state.targets["db"].message.startswith("missing: declared in the configuration")
    assert len(room.seen) == 1
    room.find("db")
    assert room.status("db") is Status.UP
    room.inventory.retired("docker", "db", "removed on purpose")
    assert room.status("db") is Status.DOWN
    assert "removed on purpose" in room.state.targets["db"].message


async def test_an_undeclared_container_that_goes_is_forgotten(room: Room) -> None:
    """Retired, or not in an inventory, a target that nobody declared is no more."""
    said = room.executor.gone
    room.find("a")
    room.find("b")
    room.inventory.retired("docker", "a", "removed on purpose")
    assert said[-1] == "it was removed on purpose"
    room.inventory.synced("docker", [])
    assert said[-1] == "it was not found on the engine"
    assert room.state.targets == {}
    room.declare(TargetSettings(name="site", checks={"echo": check()}))
    room.declare()
    assert said[-1] == "the configuration no longer watches it"


async def test_a_reload_touches_only_what_changed(room: Room) -> None:
    """An unchanged check keeps its state and rhythm; a changed one is let go and made anew; one
    that is gone is closed."""
    same, changed, gone = check("same"), check("changed"), check("gone", say="down")
    room.declare(TargetSettings(name="t", checks={"same": same, "changed": changed, "gone": gone}))
    await room.run()
    before = room.state.targets["t"].checks["same"].last
    room.declare(
        TargetSettings(name="t", checks={"same": check("same"),
                                         "changed": check("changed", say="degraded")})
    )  # fmt: skip
    await room.run(0)
    assert room.state.targets["t"].checks["same"].last is before
    assert "gone" not in room.state.targets["t"].checks
    assert sorted(CLOSED) == ["down", "up"]
    await room.run()
    assert room.state.targets["t"].checks["changed"].status is Status.DEGRADED
    room.declare(TargetSettings(name="t", enabled=False))
    assert room.state.targets == {}


@pytest.mark.parametrize("say", ["hang", "stubborn"])
async def test_a_check_that_is_gone_says_nothing_more(room: Room, say: str) -> None:
    """The run of a check that was removed or replaced is cancelled, and what it says all the same
    is not recorded; its slot is free."""
    room.declare(
        TargetSettings(name="gone", checks={"echo": check(say=say)}),
        TargetSettings(name="changed", checks={"echo": check(say=say)}),
    )
    await room.run()
    assert room.scheduler.stats().running == 2
    room.declare(TargetSettings(name="changed", checks={"echo": check(say="up")}))
    await room.run(1)
    assert [(o.target, o.result.status) for o in room.seen] == [("changed", Status.UP)]
    assert room.scheduler.stats().running == 0


async def test_what_tocsin_lacks_is_no_fault_of_a_plugin(room: Room) -> None:
    """A probe that raises because open files ran out is unknown, as often as that is; the plugin
    is not blamed and the check does not rest."""
    room.declare(TargetSettings(name="t", checks={"echo": check(say="no files")}))
    for _ in range(5):
        await room.run(30)
    assert [o.result.status for o in room.seen] == [Status.UNKNOWN] * 5
    assert all("out of open files" in o.result.message for o in room.seen)
    assert room.faults == []
    assert room.plugins.records[0].status != "failed"


async def test_a_thread_that_cannot_be_started_is_no_fault_of_a_plugin(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the plugin's own thread cannot be had the check is unknown, and says why."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    room.isolation.inline = frozenset()
    room.declare(TargetSettings(name="t", checks={"echo": check()}))
    await room.run()
    assert room.seen[-1].result.status is Status.UNKNOWN
    assert "out of threads" in room.seen[-1].result.message
    assert room.faults == []
    monkeypatch.undo()
    await room.run()
    await eventually(lambda: room.status("t") is Status.UP)
    await room.isolation.stop()


async def test_a_probe_that_says_down_while_nothing_is_left_is_not_believed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that makes ``down`` out of whatever fails is unknown while open files are out."""
    monkeypatch.setattr(descriptors, "limit", lambda: descriptors.count() + 1)
    room.declare(TargetSettings(name="t", checks={"echo": check(say="down")}))
    await room.run()
    assert room.seen[-1].result.status is Status.UNKNOWN
    assert "open files" in room.seen[-1].result.message
    monkeypatch.undo()
    await room.run()
    assert room.status("t") is Status.DOWN


async def test_labels_have_slots_of_their_own(room: Room) -> None:
    """Checks that labels ask for are their source's, those of the configuration are not; a check
    that the configuration takes over changes sides."""
    room.declare(TargetSettings(name="web", checks={"own": check("own")}))
    tables = {"echo": {"probe": "echo"}, "own": {"probe": "echo", "say": "down"}}
    room.inventory.discovered("docker", Target(name="web", kind="container"), tables)
    assert room.scheduler.owner("web/own") == ""
    assert room.scheduler.owner("web/echo") == "docker"
    room.declare(TargetSettings(name="web", checks={"echo": check()}))
    assert room.scheduler.owner("web/echo") == ""


async def test_a_check_that_cannot_run_is_unknown_with_the_reason(room: Room) -> None:
    """A check whose plugin failed stays, unknown, and says which plugin and why."""
    broken = evolve(check(), probe=None, broken="plugin 'x' raised ImportError")
    room.declare(TargetSettings(name="t", checks={"echo": broken}))
    target = room.state.targets["t"]
    assert target.status is Status.UNKNOWN
    assert "ImportError" in target.message
    assert "t/echo" not in room.scheduler


async def test_a_probe_that_raises_rests_and_is_tried_again(room: Room) -> None:
    """Three faults in a row quarantine the check, told once; after the rest it is tried again, and
    the first good run clears the plugin's name."""
    room.declare(TargetSettings(name="t", checks={"echo": check(say="raise")}))
    for _ in range(4):
        await room.run(30)
    assert "quarantined" in room.seen[-1].result.message
    assert room.seen[0].result.status is Status.UNKNOWN
    (record,) = room.plugins.records
    assert (record.status, record.retry_at is not None) == ("failed", True)
    assert "boom" in (record.reason or "")
    assert len(room.faults) == 1
    await room.run(61)
    assert "boom" in room.seen[-1].result.message
    room.declare(TargetSettings(name="t", checks={"echo": check()}))
    await room.run()
    assert room.plugins.records[0].status == "ok"


async def test_retries_spare_a_target_one_failure(room: Room, tmp_path: Path) -> None:
    """A down that a retry clears is no down; one that stays is down after the last try."""
    tries: list[int] = []

    @frozen(kw_only=True)
    class Flaky(tocsin.Probe):
        """Down until the third try."""

        async def check(self, target: tocsin.Target) -> tocsin.Result:
            tries.append(1)
            return tocsin.Result.up() if len(tries) >= 3 else tocsin.Result.down("not yet")

    target = Target(name="t")
    seen = await room.runner.run(target, "c", "echo", polled(Flaky(retries=2)))
    assert (seen.result.status, len(tries)) == (Status.UP, 3)
    tries.clear()
    seen = await room.runner.run(target, "c", "echo", polled(Flaky(retries=1)))
    assert (seen.result.status, len(tries)) == (Status.DOWN, 2)
