"""Runtimes of checks: opened once, in the right loop, and closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field, frozen

from tests.contexts import contexts
from tocsin import CheckError, Context, Probe, ProbeRuntime, Result, Status, Target, hookimpl
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import Isolation
from tocsin.testing import SettableClock

TARGET = Target(name="site")


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


async def test_a_check_that_says_why_it_cannot_open_is_unknown(
    run: Callable[[PolledCheck], Any],
) -> None:
    """With that sentence, however often: no fault of the plugin, and no quarantine."""
    reason = "the key file /etc/shop.key cannot be read; set its mode to 0640"
    check = polled_check(CountingProbe(trouble=[CheckError(reason) for _ in range(5)]))
    for _ in range(5):
        result = await run(check)
        assert (result.status, result.message) == (Status.UNKNOWN, reason)
    assert (await run(check)).message == "run 1"


async def test_a_check_that_says_why_it_cannot_tell_is_unknown(
    clock: SettableClock,
) -> None:
    """``CheckError`` from ``check`` is a result; a plugin in a thread of its own has not failed."""

    @frozen(kw_only=True)
    class Blind(Probe):
        """Needs what it has not."""

        async def check(self, target: Target) -> Result:
            raise CheckError("tocsin may not send pings; add CAP_NET_RAW")

    class Plugin:
        @hookimpl
        def tocsin_probes(self) -> dict[str, type[Probe]]:
            return {"blind": Blind}

    plugins = PluginManager(PluginSettings(), discover=tuple)
    plugins.add("p", Plugin, "tests", "0")
    isolation = Isolation(frozenset(), lambda *_: None, contexts())
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins))
    for _ in range(5):
        result = (await runner.run(TARGET, "x", "p", polled_check(Blind()))).result
        assert result.status is Status.UNKNOWN
        assert result.message == "tocsin may not send pings; add CAP_NET_RAW"
    assert [(record.status, record.reason) for record in plugins.records] == [("ok", None)]
    await isolation.stop()


async def test_a_check_that_hangs_while_it_opens_is_unknown(
    run: Callable[[PolledCheck], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after its deadline."""
    monkeypatch.setattr("tocsin.core.plugin.runtimes.OPEN_DEADLINE", 0.05)
    result = await run(polled_check(CountingProbe(never=True)))
    assert result.status is Status.UNKNOWN
    assert "did not open site/count within 0.05 s" in result.message


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


async def test_a_runtime_of_an_abandoned_thread_is_not_used(clock: SettableClock) -> None:
    """What opens late in a thread that was replaced meanwhile is closed there, and is an error for
    whoever waits for it; the one of the new thread stays."""
    begun, go_on = threading.Event(), threading.Event()
    closed: list[str] = []

    @define(eq=False)
    class Named(ProbeRuntime):
        name: str

        async def check(self, target: Target) -> Result:
            return Result.up(self.name)

        async def close(self) -> None:
            closed.append(self.name)

    @frozen(kw_only=True)
    class Slow(Probe):
        """Block while the first runtime opens."""

        opened: list[str] = field(factory=list)

        async def open(self, context: Context) -> Named:
            self.opened.append(threading.current_thread().name)
            if len(self.opened) == 1:
                begun.set()
                go_on.wait(10)
                return Named("late")
            return Named("new")

    runtime: Runtime[ProbeRuntime] = Runtime(Slow(), contexts().of("p", "x"))
    old = asyncio.ensure_future(asyncio.to_thread(asyncio.run, runtime.get()))
    await asyncio.to_thread(begun.wait, 10)
    assert (await (await runtime.get()).check(TARGET)).message == "new"
    go_on.set()
    with pytest.raises(PluginFault, match="opened x only after its end"):
        await old
    assert closed == ["late"]
    assert (await (await runtime.get()).check(TARGET)).message == "new"
    await runtime.close()
    assert closed == ["late", "new"]


async def test_what_is_closed_while_it_opens_is_closed_after_it(clock: SettableClock) -> None:
    """A check that a reload removes at that moment leaves nothing open; it cannot be used again."""
    opening, go_on = asyncio.Event(), asyncio.Event()

    @frozen(kw_only=True)
    class Held(CountingProbe):
        async def open(self, context: Context) -> Counting:
            opening.set()
            await go_on.wait()
            return Counting(self.log)

    probe = Held()
    runtime: Runtime[ProbeRuntime] = Runtime(probe, contexts().of("p", "x"))
    getting = asyncio.ensure_future(runtime.get())
    await opening.wait()
    assert runtime.is_used
    await runtime.close()
    go_on.set()
    with pytest.raises(PluginFault, match="after its end"):
        await getting
    assert probe.log == ["closed"]
    with pytest.raises(PluginFault, match="after its end"):
        await runtime.get()


async def test_one_that_hangs_once_is_opened_by_the_next(
    clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits without a limit (a channel that listens) does not keep the others from it."""
    monkeypatch.setattr("tocsin.core.plugin.runtimes.OPEN_DEADLINE", 0.05)
    hang = [True]

    @frozen(kw_only=True)
    class Once(CountingProbe):
        async def open(self, context: Context) -> Counting:
            if hang.pop() if hang else False:
                await asyncio.Event().wait()
            return Counting(self.log)

    runtime: Runtime[ProbeRuntime] = Runtime(Once(), contexts().of("p", "x"))
    listening = asyncio.ensure_future(runtime.get())
    await asyncio.sleep(0)
    assert (await (await runtime.get()).check(TARGET)).message == "run 1"
    with pytest.raises(PluginFault, match=r"did not open x within 0\.05 s"):
        await listening


async def test_a_replaced_thread_makes_no_target_down(clock: SettableClock) -> None:
    """Its check is opened again under the deadline of opening, not under its own timeout."""

    @frozen(kw_only=True)
    class Patient(CountingProbe):
        async def open(self, context: Context) -> Counting:
            await asyncio.sleep(0.5)
            return Counting(self.log)

    plugins = PluginManager(PluginSettings(), discover=tuple)
    isolation = Isolation(frozenset(), lambda *_: None, contexts())
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins))
    monkey = polled_check(Patient(timeout=0.1))
    for _ in range(2):
        seen = await runner.run(TARGET, "count", "p", monkey)
        assert (seen.result.status, seen.result.message) == (Status.UP, "run 1")
        isolation.reset("p", PluginFault("blocked"))
    await isolation.stop()


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
