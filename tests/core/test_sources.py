"""Sources: kept running, heard from any thread, acted through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

import tocsin
from tests.conftest import eventually
from tests.core.test_inventory import DOCKER, Plugin, Room
from tocsin.core.checks.source_supervisor import FIRST_WITHIN, SourceSupervisor
from tocsin.core.cli import check
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.base import private
from tocsin.core.contracts.model import Health, LogLine, Status
from tocsin.core.contracts.source import actions_of
from tocsin.core.plugin import supervisor
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.shapes import check_class
from tocsin.testing import SettableClock


@frozen(kw_only=True)
class Harbour(tocsin.Source):
    """Sees one ship; can be told to fail."""

    failures: list[str] = private(factory=list)
    runs: list[int] = private(factory=list)

    async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
        self.runs.append(1)
        if self.failures:
            raise RuntimeError(self.failures.pop())

        def tell() -> None:
            sink.discovered(tocsin.Target(name="ship", kind="container"))
            sink.observed("ship", tocsin.Result.up("afloat"))
            sink.synced(["ship"])

        await asyncio.to_thread(tell)  # from a thread that is not the core's
        await asyncio.sleep(3600)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        return [LogLine(text=f"{target} {lines}")]

    async def restart(self, target: str) -> None:
        raise ValueError("a fault of the plugin")


class Harness(Room):
    """A room with a source supervisor."""

    def __init__(self, directory: Path, clock: SettableClock) -> None:
        super().__init__(directory, clock)
        self.supervisor = SourceSupervisor(
            inventory=self.inventory, isolation=self.isolation, plugins=self.plugins,
            clock=clock,
        )  # fmt: skip

    async def use(self, source: tocsin.Source, *, automatic: bool = False) -> None:
        settings = evolve(DOCKER, plugin="echo", source=source, automatic=automatic)
        applied = evolve(self.settings, sources={"docker": settings})
        self.inventory.apply(applied)
        await self.supervisor.apply(applied)


@pytest.fixture
async def harness(
    tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Harness]:
    monkeypatch.setattr(supervisor, "BACKOFF", (0.01, 0.05))
    made = Harness(tmp_path, clock)
    assert Plugin is not None
    yield made
    await made.supervisor.stop()


async def test_what_a_source_tells_from_a_thread_arrives(harness: Harness) -> None:
    """Discovery and results come in from any thread, and health is ok."""
    await harness.use(Harbour())
    await eventually(lambda: "ship" in harness.state.targets)
    await eventually(lambda: harness.state.targets["ship"].status is Status.UP)
    assert harness.supervisor.health()["source.docker"].status is Health.OK


@frozen(kw_only=True)
class Fog(tocsin.Source):
    """Sees nothing, and does not say so."""

    async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
        await asyncio.sleep(3600)


async def test_the_first_inventory_of_a_source_is_awaited_for_a_limited_time(
    harness: Harness, clock: SettableClock
) -> None:
    """A source that reports none, nor a reason, holds back the notifications of nobody else for
    longer."""
    await harness.use(Fog())
    assert not harness.supervisor.looked_around()
    clock.advance(FIRST_WITHIN - 0.1)
    assert not harness.supervisor.looked_around()
    clock.advance(0.2)
    assert harness.supervisor.looked_around()
    assert not harness.supervisor.sees_all()


async def test_a_source_that_fails_is_started_again(harness: Harness) -> None:
    """Each end is told with its reason; the next start that sees clears the plugin's name."""
    source = Harbour()
    source.failures.extend(["second", "first"])
    await harness.use(source)
    await eventually(lambda: harness.plugins.records[0].status == "failed")
    await eventually(lambda: harness.plugins.records[0].status == "ok")
    assert len(source.runs) == 3
    assert harness.state.targets["ship"].status is Status.UP


async def test_a_source_that_is_taken_away_fails_no_more(harness: Harness) -> None:
    """Its plugin has recovered, but for what else of it went wrong."""
    source = Harbour()
    source.failures.extend(["it sank"] * 100)
    await harness.use(source)
    await eventually(lambda: harness.plugins.records[0].status == "failed")
    await harness.supervisor.apply(evolve(harness.settings, sources={}))
    assert harness.plugins.records[0].status == "ok"
    harness.plugins.fail("echo", "its rule raised ValueError")
    await harness.use(Harbour())
    await harness.supervisor.apply(evolve(harness.settings, sources={}))
    assert harness.plugins.records[0].status == "failed"


async def test_one_source_that_is_well_says_nothing_of_another(harness: Harness) -> None:
    """Of two sources of one plugin one fails: the plugin has failed while the other sees, and
    recovers when the one that failed sees."""
    held = asyncio.Event()

    @frozen(kw_only=True)
    class Held(Harbour):
        """Starts again when it is let."""

        async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
            if self.runs and not self.failures:
                await held.wait()
            await super().run(name, interval, sink)

    bad, good = Held(), Harbour()
    bad.failures.append("it sank")
    sources = {
        name: evolve(DOCKER, name=name, plugin="echo", source=source)
        for name, source in (("bad", bad), ("good", good))
    }
    applied = evolve(harness.settings, sources=sources)
    harness.inventory.apply(applied)
    await harness.supervisor.apply(applied)
    await eventually(lambda: harness.plugins.records[0].status == "failed")
    await eventually(lambda: harness.supervisor.health()["source.good"].status is Health.OK)
    assert harness.plugins.records[0].status == "failed"
    held.set()
    await eventually(lambda: harness.plugins.records[0].status == "ok")


async def test_an_engine_nobody_asked_for_is_no_trouble(harness: Harness) -> None:
    """Where the default source never saw an engine health is not degraded; where it was asked for,
    or once saw, it is."""

    @frozen(kw_only=True)
    class UnavailableRule(Harbour):
        """Sees nothing."""

        async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
            sink.impaired("there is no such socket")
            await asyncio.sleep(3600)

    for automatic, expected in ((True, Health.DISABLED), (False, Health.DEGRADED)):
        await harness.use(UnavailableRule(), automatic=automatic)

        def part(expected: Health = expected) -> bool:
            found = harness.supervisor.health()["source.docker"]
            return found.status is expected and "no such socket" in found.message

        await eventually(part)


async def test_an_unchanged_source_goes_on_over_a_reload(harness: Harness) -> None:
    """Applying the same settings again starts nothing anew; leaving it out stops it."""
    source = Harbour()
    await harness.use(source)
    await eventually(lambda: source.runs)
    await harness.use(source)
    assert len(source.runs) == 1
    applied = evolve(harness.settings, sources={})
    harness.inventory.apply(applied)
    await harness.supervisor.apply(applied)
    assert harness.supervisor.health() == {}
    assert harness.state.targets == {}


async def test_actions_go_through_the_source_that_sees_the_target(harness: Harness) -> None:
    """Logs come from the source; what cannot be done is one sentence, a plugin's fault too."""
    await harness.use(Harbour())
    await eventually(lambda: "ship" in harness.state.targets)
    assert [line.text for line in await harness.supervisor.logs("ship", 7)] == ["ship 7"]
    with pytest.raises(tocsin.ActionError, match="plugin echo raised ValueError"):
        await harness.supervisor.restart("ship")
    with pytest.raises(tocsin.ActionError, match="cannot be inspected"):
        await harness.supervisor.inspect("ship")
    with pytest.raises(tocsin.ActionError, match="no target called 'raft'") as caught:
        await harness.supervisor.logs("raft", 1)
    assert caught.value.missing


async def test_what_can_be_done_is_what_the_source_declares(harness: Harness) -> None:
    """The methods that its class defines, or what it names; a service of replicas has no log of its
    own; nothing while no source sees the target."""
    await harness.use(Harbour())
    await eventually(lambda: "ship" in harness.state.targets)
    assert harness.supervisor.actions("ship") == {"logs", "restart"}
    assert not harness.supervisor.actions("raft")
    fleet = tocsin.Target(name="fleet", kind=tocsin.REPLICATED)
    harness.inventory.discovered("docker", fleet, {}, None)
    assert not harness.supervisor.actions("fleet")

    class Quiet(Harbour):
        actions = ()

    class Opens(tocsin.Source):
        async def open(self, context: tocsin.Context) -> tocsin.SourceRuntime:
            return self

    class Ships(Opens):
        target_kind = "ship"

    class Named(Ships):
        actions = ("inspect",)

    assert actions_of(Quiet) == set()
    assert actions_of(Opens) == {"logs", "restart", "inspect"}  # as before actions were declared
    assert actions_of(Ships) == set()
    assert actions_of(Named) == {"inspect"}
    with pytest.raises(PluginFault, match="actions.*a tuple of logs, restart, inspect, or None"):
        check_class(type("Odd", (Ships,), {"actions": ("fly",)}), "source")


async def test_silence_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at by ``tocsin check``, a source that takes no inventory in time is unknown."""

    @frozen(kw_only=True)
    class Silent(Harbour):
        """Waits for a host that does not answer."""

        async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
            await asyncio.sleep(3600)

    monkeypatch.setattr(check, "SOURCE_DEADLINE", 0.05)
    nas = evolve(DOCKER, name="nas", source=Silent())
    settings = Settings(data_dir=tmp_path, sources={"nas": nas})
    plugins = PluginManager(PluginSettings())
    (seen,) = await check._check_all(settings, plugins, ())
    assert seen.result.message == "no inventory within 0.05 s"
