"""What a source in a host reports arrives at the core as from the core's own process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.core.test_inventory import Room
from tests.hosts.conftest import Core
from tests.hosts.test_kinds import _Controls
from tocsin import NotifyError
from tocsin.core.checks.intake import Intake
from tocsin.core.checks.source_sink import SourceSink
from tocsin.testing import SettableClock

SOURCE = """
    @frozen(kw_only=True)
    class Src(Source):
        async def run(self, name, interval, sink):
            sink.discovered(Target(name="t", kind="container", labels={"a": 1, "b": "c"},
                                   critical="yes"), {"x": 5}, Claim(also=("v",), by_image="no"))
            sink.observed("t", Result.down("no", metrics={"a_seconds": None, "b_count": 2}))
            sink.observed("u/", Result.up())
            sink.observed("t", "up")
            sink.happened(Event(target="t", source=name, action="start",
                                at=datetime(2026, 1, 1).astimezone(), attributes={"k": object()}))
            sink.synced(["t", 5])
            sink.retired(7, "was removed")
            sink.impaired("the end")
            await asyncio.sleep(3600)
    @hookimpl
    def tocsin_sources(): return {"src": Src}
"""


class Reported:
    """A sink of the core, and what it was blamed for and passed on."""

    def __init__(self, directory: Path, clock: SettableClock) -> None:
        directory.mkdir()
        self.room = Room(directory, clock)
        self.room.inventory.apply(self.room.settings)
        self.blamed: list[str] = []
        self.recovered = 0
        loop = asyncio.get_running_loop()
        intake = Intake(loop, self.blamed.append, lambda: None)
        self.sink = SourceSink(
            "docker", self.room.inventory, clock, intake, self._recover, self.blamed.append
        )

    def _recover(self) -> None:
        self.recovered += 1

    def passed(self) -> tuple[Any, ...]:
        """Return all that came of it."""
        results = [(seen.target, seen.check, seen.result) for seen in self.room.seen]
        names = sorted(self.room.state.targets)
        return results, names, self.blamed, self.recovered, self.sink.names, self.sink.trouble


async def test_the_valid_part_of_a_report_arrives(
    core: Core, tmp_path: Path, clock: SettableClock
) -> None:
    """An invalid metric, label, name or claim is left out and named, and the rest is used, exactly
    as if the source ran in the core's own process; an inventory with an invalid name does not
    count as a recovery."""
    core.load(SOURCE)
    import tocsin_strange  # type: ignore[import-not-found]

    async def reported(source: Any, directory: str) -> Reported:
        made = Reported(tmp_path / directory, clock)
        watch = await source.open(core.context("docker"))
        task = asyncio.create_task(watch.run("docker", 5.0, made.sink))
        await eventually(lambda: made.sink.trouble is not None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return made

    hosted = await reported(core.make("source", "src"), "hosted")
    (down,) = [seen for seen in hosted.room.seen if seen.result.message == "no"]
    assert (down.target, down.check, down.result.metrics) == ("t", "docker", {"b_count": 2})
    assert hosted.recovered == 0
    assert any("a_seconds" in clause for clause in hosted.blamed)
    inline = await reported(tocsin_strange.Src(), "inline")
    assert hosted.passed() == inline.passed()


async def test_a_late_report_does_not_reach_the_next_run(core: Core) -> None:
    """What a run reports after its end is ignored, even while the next run of the same runtime
    goes on; the same for commands of a channel that listens again."""
    core.load("""
        sinks, controls = [], []
        @frozen(kw_only=True)
        class Src(Source):
            async def run(self, name, interval, sink):
                sinks.append(sink)
                if len(sinks) == 1: return
                sinks[0].impaired("late")
                sink.impaired("now")
                await asyncio.sleep(3600)
        @hookimpl
        def tocsin_sources(): return {"src": Src}
        @frozen(kw_only=True)
        class Ops(Notifier):
            async def send(self, message): return Receipt()
            async def listen(self, given):
                controls.append(given)
                said = []
                for each in controls:
                    try: said.append(await each.restart("web", "ann"))
                    except ActionError as error: said.append(str(error))
                raise NotifyError(" | ".join(said))
        @hookimpl
        def tocsin_notifiers(): return {"ops": Ops}
    """)

    class Heard:
        def __init__(self) -> None:
            self.said: list[str] = []

        def impaired(self, message: str) -> None:
            self.said.append(message)

    watch = await core.make("source", "src").open(core.context("lab"))
    first, second = Heard(), Heard()

    async def run(sink: Any) -> None:
        await watch.run("lab", 5.0, sink)

    await run(first)
    task = asyncio.create_task(run(second))
    await eventually(lambda: bool(second.said) and second.said[-1] == "now")
    assert (first.said, second.said) == ([], ["now"])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    channel = await core.make("notifier", "ops").open(core.context("ops"))
    with pytest.raises(NotifyError, match=r"^web was restarted by ann$"):
        await channel.listen(_Controls())
    with pytest.raises(NotifyError) as again:
        await channel.listen(_Controls())
    assert str(again.value) == ("the channel does not listen any more | web was restarted by ann")
    assert not core.host.calls.sinks
    assert not core.host.calls.controls
