"""What the core gives to runtimes of plugins, and when it opens and closes them."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field, frozen

from tests.conftest import eventually
from tests.contexts import contexts
from tocsin import Context, Event, Json, Probe, ProbeRuntime, Result, Status, Target
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.config.settings import PluginSettings
from tocsin.core.hiding import clean
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import Isolation
from tocsin.testing import RecordingContext, SettableClock

TARGET = Target(name="site")


class Seen:
    """Receives events, and notes in which thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()

    def happened(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def made(tmp_path: Path, clock: SettableClock, seen: Seen) -> AsyncIterator[Contexts]:
    env = {"SHOP_KEY": "s3cr3t-0f-the-shop", "FILED_FILE": str(tmp_path / "filed")}
    found = Contexts(tmp_path, clock, env, seen)
    yield found
    for plugin in found.plugins:
        await found.close(plugin)
    found.stop()


def happening(**more: Any) -> Event:
    return Event(
        **{
            "target": "site",
            "source": "p",
            "action": "seen",
            "at": datetime(2026, 1, 15, tzinfo=UTC),
            **more,
        }
    )


# Stored values


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "ü", [1, [2]], {"a": {"b": None}}])
async def test_stored_values_outlast_tocsin(
    made: Contexts, tmp_path: Path, clock: SettableClock, value: Json
) -> None:
    """What one life of tocsin stored, the next one has, for the same plugin only."""
    await made.of("p", "site/a").storage.put("key", value)
    made.stop()
    later = Contexts(tmp_path, clock)
    assert await later.of("p", "site/b").storage.get("key") == value
    assert await later.of("q", "site/a").storage.get("key") is None
    later.stop()
    assert stat.S_IMODE((tmp_path / "plugins.db").stat().st_mode) == 0o600


async def test_none_removes_a_stored_value(made: Contexts) -> None:
    """It makes room for others, too."""
    storage = made.of("p", "x").storage
    await storage.put("key", 1)
    await storage.put("key", None)
    assert await storage.get("key") is None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", 1, "1 to 200 characters"),
        ("x" * 201, 1, "1 to 200 characters"),
        ("k", "x" * 70_000, "at most 65536"),
        ("k", {1, 2}, None),
        ("k", object(), "no JSON"),
    ],
)
async def test_what_cannot_be_stored_is_refused(
    made: Contexts, key: str, value: Any, words: str | None
) -> None:
    """In a sentence, and by the recording context of the testing kit in the same way."""
    for storage in (made.of("p", "x").storage, RecordingContext().storage):
        if words is None:  # a set becomes a list
            await storage.put(key, value)
            continue
        with pytest.raises(ValueError, match=words):
            await storage.put(key, value)


async def test_a_plugin_cannot_fill_the_disk(
    made: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of its keys is bounded; those it has can still be changed."""
    monkeypatch.setattr("tocsin.core.plugin.storage.MOST", 3)
    storage = made.of("p", "x").storage
    for n in range(3):
        await storage.put(f"k{n}", n)
    with pytest.raises(ValueError, match="has 3 stored keys"):
        await storage.put("k3", 3)
    await storage.put("k2", "other")
    await made.of("q", "x").storage.put("k3", 3)


async def test_a_damaged_file_is_an_error_of_the_disk(made: Contexts, tmp_path: Path) -> None:
    """A plugin gets an OSError, which it can expect, and not one of the database."""
    (tmp_path / "plugins.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(OSError, match=r"plugins\.db"):
        await made.of("p", "x").storage.get("key")


# Directory, secrets, network, threads


@pytest.mark.parametrize("name", ["p", "a/b", "..", ".hidden", "ü b"])
async def test_each_plugin_has_a_directory(made: Contexts, tmp_path: Path, name: str) -> None:
    """It is private, lies in the data directory whatever the plugin is called, and is the same for
    all that the plugin opens."""
    found = made.of(name, "site/a").directory
    assert found.parent == tmp_path / "plugins"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert made.of(name, "site/b").directory == found


async def test_secrets_come_from_the_environment(made: Contexts, tmp_path: Path) -> None:
    """From a variable or the file that another names; from then on no text shows them."""
    context = made.of("p", "x")
    (tmp_path / "filed").write_text("h1dden-in-a-file\n")
    key, filed = await context.secret("SHOP_KEY"), await context.secret("FILED")
    assert key is not None
    assert filed is not None
    assert (key.reveal(), filed.reveal()) == ("s3cr3t-0f-the-shop", "h1dden-in-a-file")
    assert "s3cr3t" not in clean("it is s3cr3t-0f-the-shop")
    assert await context.secret("NO_SUCH") is None
    (tmp_path / "filed").unlink()
    with pytest.raises(OSError, match="FILED"):
        await context.secret("FILED")


async def test_the_http_session_is_shared_and_closed(made: Contexts) -> None:
    """All runtimes of a plugin have one; it works, and is closed with the plugin."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["User-Agent"])

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    session = made.of("p", "a").http
    assert session is made.of("p", "b").http
    assert session is not made.of("q", "a").http
    async with session.get(f"http://127.0.0.1:{port}/") as answer:
        assert await answer.text() == "tocsin"
    await made.close("p")
    assert session.closed
    await runner.cleanup()


async def test_what_blocks_runs_in_a_thread_of_the_plugin(made: Contexts) -> None:
    """With its arguments; its result and its error come back."""

    def work(number: int, *, fails: bool = False) -> tuple[int, str]:
        if fails:
            raise ValueError("no")
        return number, threading.current_thread().name

    context = made.of("p", "x")
    number, thread = await context.in_thread(work, 7)
    assert number == 7
    assert thread.startswith("tocsin p")
    with pytest.raises(ValueError, match="no"):
        await context.in_thread(work, 7, fails=True)


# Events


async def test_events_reach_the_core_in_its_own_thread(made: Contexts, seen: Seen) -> None:
    """Whether the plugin runs in the core's loop or in a thread with another."""
    context = made.of("p", "x")
    await context.emit(happening())
    await asyncio.to_thread(asyncio.run, context.emit(happening(action="elsewhere")))
    await eventually(lambda: len(seen.events) == 2)
    assert [event.action for event in seen.events] == ["seen", "elsewhere"]
    assert seen.threads == {threading.get_ident()}


async def test_an_event_that_is_none_is_the_plugins_fault(made: Contexts, seen: Seen) -> None:
    """It raises where it is emitted, and nothing is recorded."""
    with pytest.raises(PluginFault):
        await made.of("p", "x").emit("no event")  # type: ignore[arg-type]
    assert not seen.events


async def test_a_plugin_cannot_flood_the_history(
    made: Contexts, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first hundred events go through at once; from then on each one waits for its turn. Another
    plugin does not."""
    monkeypatch.setattr("tocsin.core.plugin.contexts.RATE", 0.001)
    context = made.of("p", "x")
    for _ in range(100):
        await context.emit(happening())
    waiting = [asyncio.ensure_future(context.emit(happening())) for _ in range(20)]
    other = made.of("q", "x").emit(happening(source="q"))
    await other
    assert [event.source for event in seen.events].count("q") == 1
    assert len(seen.events) == 101
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


# Opening and closing


@define(eq=False)
class Counting(ProbeRuntime):
    """Counts its runs, which a class of options cannot."""

    log: list[str]
    runs: int = 0

    async def check(self, target: Target) -> Result:
        self.runs += 1
        return Result.up(f"run {self.runs}")

    async def close(self) -> None:
        self.log.append("closed")


@frozen(kw_only=True)
class CountingProbe(Probe):
    """Count the runs."""

    log: list[str] = field(factory=list)
    trouble: list[BaseException] = field(factory=list)
    never: bool = False

    async def open(self, context: Context) -> Counting:
        self.log.append(f"opened {context.name}")
        if self.trouble:
            raise self.trouble.pop()
        if self.never:
            await asyncio.Event().wait()
        return Counting(self.log)


def polled_check(probe: Probe) -> PolledCheck:
    return PolledCheck(probe, contexts().of("p", "site/count"))


@pytest.fixture
def run(clock: SettableClock) -> Callable[[PolledCheck], Any]:
    plugins = PluginManager(PluginSettings(), discover=tuple)
    isolation = Isolation(frozenset({"p"}), lambda *_: None, contexts())
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins))

    async def once(check: PolledCheck) -> Result:
        return (await runner.run(TARGET, "count", "p", check)).result

    return once


async def test_a_check_opens_once_and_keeps_its_state(run: Callable[[PolledCheck], Any]) -> None:
    """Before the first run; what it counts lasts from run to run; it is closed once."""
    probe = CountingProbe()
    check = polled_check(probe)
    assert [(await run(check)).message for _ in range(3)] == ["run 1", "run 2", "run 3"]
    await check.close()
    await check.close()
    assert probe.log == ["opened site/count", "closed"]


async def test_a_check_that_does_not_open_is_unknown(run: Callable[[PolledCheck], Any]) -> None:
    """The target is not called down for it; the next run opens again."""
    probe = CountingProbe(trouble=[RuntimeError("no license")])
    check = polled_check(probe)
    first = await run(check)
    assert first.status is Status.UNKNOWN
    assert "RuntimeError: no license" in first.message
    assert (await run(check)).message == "run 1"


async def test_a_check_that_hangs_while_it_opens_is_unknown(
    run: Callable[[PolledCheck], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after its deadline."""
    monkeypatch.setattr("tocsin.core.checks.check_runner.OPEN_DEADLINE", 0.05)
    result = await run(polled_check(CountingProbe(never=True)))
    assert result.status is Status.UNKNOWN
    assert "did not open the check within 0.05 s" in result.message


async def test_a_runtime_belongs_to_its_loop(clock: SettableClock) -> None:
    """In another loop, that of a thread made anew, it is opened again; what cannot be closed any
    more is dropped."""
    probe = CountingProbe()
    runtime: Runtime[ProbeRuntime] = Runtime(probe, contexts().of("p", "site/count"))

    async def use() -> Result:
        return await (await runtime.get()).check(TARGET)

    assert (await use()).message == "run 1"
    assert (await asyncio.to_thread(asyncio.run, use())).message == "run 1"
    await runtime.close()
    assert probe.log == ["opened site/count", "opened site/count"]


async def test_a_runtime_is_opened_once_for_all_that_wait(clock: SettableClock) -> None:
    """Sending and listening of a channel begin at the same time, and share it."""
    probe = CountingProbe()
    runtime: Runtime[ProbeRuntime] = Runtime(probe, contexts().of("p", "x"))
    found = await asyncio.gather(*(runtime.get() for _ in range(5)))
    assert len(set(map(id, found))) == 1
    assert probe.log == ["opened x"]


async def test_a_probe_defines_check_or_open() -> None:
    """One with neither is refused when it is loaded, in a sentence that names both."""

    @frozen(kw_only=True)
    class Neither(Probe):
        """Do nothing."""

    class Plugin:
        from tocsin import hookimpl

        @hookimpl
        def tocsin_probes(self) -> dict[str, type[Probe]]:
            return {"neither": Neither, "count": CountingProbe}

    manager = PluginManager(PluginSettings(), discover=tuple)
    manager.add("p", lambda: Plugin(), "tests", "0")
    (record,) = manager.records
    assert record.reason is not None
    assert "Neither that lacks check (or open)" in record.reason
