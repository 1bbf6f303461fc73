"""Plugins that misbehave in their hosts: each is ended, named and started again, and nothing else
is disturbed."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import eventually
from tests.hosts.conftest import Core
from tocsin import Result, Status, Target
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.hosted.priority import LOADED
from tocsin.core.hosts import host as host_module
from tocsin.core.hosts import hosts as hosts_module
from tocsin.core.hosts import output as output_module
from tocsin.core.hosts import watch as watch_module
from tocsin.core.plugin.sandbox import PluginFault

WEB = Target(name="web")

PROBE = """
    @frozen(kw_only=True)
    class Odd(Probe):
        async def check(self, target):
            if target.name == "good": return Result.up(str(os.getpid()))
            {}
            return Result.up("ran on")
    @hookimpl
    def tocsin_probes(): return {{"odd": Odd}}
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(watch_module, "CPU_WINDOW", 1.0)
    monkeypatch.setattr(watch_module, "TREE_EVERY", 1)
    monkeypatch.setattr(host_module, "REST", (0.2, 0.2))


@pytest.fixture
async def watched(core: Core) -> AsyncIterator[Core]:
    """A core that watches its hosts."""
    watch: list[asyncio.Task[None]] = []

    def start() -> None:
        watch.append(asyncio.create_task(core.isolation.watch()))

    core.started = start
    yield core
    for task in watch:
        task.cancel()


async def look(core: Core, target: Target = WEB, seconds: float = 30) -> Result:
    """Run the check of the probe ``odd`` once, as the runner does."""
    check = PolledCheck(core.make("probe", "odd"), core.context(f"{target.name}/odd"))
    try:
        await core.isolation.call("strange", check.open, 10)
        result, _ = await core.isolation.call("strange", lambda: check.look(target), seconds)
        return result
    finally:
        await core.isolation.close("strange", check)


async def runs_again(core: Core) -> None:
    """Wait until a good check of the plugin runs, in a new process."""

    async def good() -> bool:
        with suppress(PluginFault):
            return (await look(core, Target(name="good"))).status is Status.UP
        return False

    until = time.monotonic() + 20
    while not await good():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


async def test_a_slow_check_is_no_blocked_host(watched: Core) -> None:
    """A host that awaits answers signs of life."""
    watched.load(PROBE.format("await asyncio.sleep(4)"))
    assert (await look(watched)).message == "ran on"
    assert not watched.blamed


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("time.sleep(60)", r"blocked its event loop for [23] s"),
        ("while True: pass", r"blocked its event loop for [23] s"),
        ("sum(range(10**11))", r"blocked its event loop for [23] s"),
        ("os._exit(3)", "ended by itself with the exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("os.kill(os.getpid(), 35)", "was ended by signal 35"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", r"blocked its event loop for [23] s"),
        ("os.closerange(3, 100); await asyncio.sleep(9)", "ended by itself|SIGABRT|blocked its"),
        ("kept = [os.dup(0) for _ in range(5000)]; await asyncio.sleep(30)",
         r"has \d+ open files; the limit is 4096"),
        ("for _ in range(300): threading.Thread(target=time.sleep, args=(60,), daemon=True)"
         ".start()\n            await asyncio.sleep(30)", r"has \d+ threads; the limit is 256"),
        ("[subprocess.Popen(['sleep', '60']) for _ in range(120)]; await asyncio.sleep(30)",
         r"has \d+ child processes; the limit is 64"),
        ("ctypes.string_at(1)", "was ended by SIGSEGV"),
        ("kept = b'x' * 300_000_000; await asyncio.sleep(60)",
         r"used [234]\d\d.\d MiB of memory; the limit is 190.7 MiB"),
        ("threading.Thread(target=lambda: all(iter(lambda: 1, 0)), daemon=True).start()\n"
         "            await asyncio.sleep(30)",
         r"used \d+ % of a processor for 1 s; the limit is 10 %"),
        ("subprocess.Popen([sys.executable, '-c', 'while True: pass']); await asyncio.sleep(30)",
         r"used \d+ % of a processor for 1 s; the limit is 10 %"),
    ],
)  # fmt: skip
async def test_a_host_that_misbehaves_is_ended_and_named(
    watched: Core, does: str, reason: str
) -> None:
    """Whatever it does, its check fails with the reason, the plugin is named with it, and it runs
    again in a new process; meanwhile the core is not held up."""
    cpu = 0.1 if "processor" in reason else 9.0
    watched.load(PROBE.format(does), host_memory="200MB", host_cpu=cpu)
    before = (await look(watched, Target(name="good"))).message
    lag = asyncio.create_task(_lag())
    with pytest.raises(PluginFault, match=reason.replace(" %", "%")):
        await look(watched)
    await eventually(lambda: bool(watched.blamed))
    assert watched.blamed[0][0] == "strange"
    assert re.search(reason.replace(" %", "%"), watched.blamed[0][1])
    await runs_again(watched)
    assert (await look(watched, Target(name="good"))).message != before
    lag.cancel()
    assert await asyncio.gather(lag, return_exceptions=True)


async def _lag() -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - before < 1.5


async def test_stopping_waits_for_no_host_that_does_not_run(
    watched: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only hosts that run have a moment for ending what they run."""
    monkeypatch.setattr(hosts_module, "LEAVE_AFTER", 3600.0)
    watched.load(PROBE.format("pass"))
    watched.host.end(None)
    async with asyncio.timeout(10):
        await watched.isolation.leave(())
    assert watched.host.is_over


async def test_the_host_of_a_channel_goes_on_while_tocsin_stops(watched: Core) -> None:
    """Messages that are under way are still sent."""
    watched.load(PROBE.format("pass"))
    before = (await look(watched, Target(name="good"))).message
    await watched.isolation.leave({"strange"})
    assert (await look(watched, Target(name="good"))).message == before
    await watched.isolation.leave(())
    with pytest.raises(PluginFault, match="does not run, since tocsin stops"):
        await look(watched, Target(name="good"))


async def test_tasks_that_outlive_their_call_are_a_leak(watched: Core) -> None:
    """Those of a call that still runs are its own; what it leaves behind, again and again, ends the
    host."""
    watched.load(PROBE.format("""
            tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(60)]
            await asyncio.sleep(1 if target.name == "web" else 20)"""))  # fmt: skip
    for _ in range(2):
        assert (await look(watched)).message == "ran on"
    assert not watched.blamed
    with pytest.raises(PluginFault, match="left 120 tasks behind"):
        await look(watched, Target(name="slow"))


async def test_child_processes_that_outlive_their_call_are_a_leak(watched: Core) -> None:
    """While a call runs, it may have more of them."""
    watched.load(PROBE.format("""
            for _ in range(30): subprocess.Popen(["sleep", "615"])
            await asyncio.sleep(2)"""))  # fmt: skip
    assert (await look(watched)).message == "ran on"
    await eventually(lambda: bool(watched.blamed))
    assert watched.blamed == [("strange", "left 30 child processes behind")]
    await eventually(lambda: not _sleepers("615"))


async def test_a_host_yields_the_processor_to_the_core(watched: Core) -> None:
    """Also where the machine has autogroups: there a nice value counts within a session only."""
    watched.load(PROBE.format("pass"))
    await look(watched, Target(name="good"))
    child = watched.host.child
    assert child is not None
    assert child.process.nice() == min(19, os.getpriority(os.PRIO_PROCESS, 0) + LOADED)
    group = Path(f"/proc/{child.process.pid}/autogroup")
    if group.exists():
        await eventually(lambda: group.read_text().endswith(f" nice {LOADED}\n"))


async def test_a_call_that_ignores_its_cancellation_ends_the_host(watched: Core) -> None:
    """The check fails at its deadline; the host, which goes on with it, is ended."""
    watched.load(PROBE.format("""
            while True:
                try: await asyncio.sleep(60)
                except asyncio.CancelledError: pass"""))  # fmt: skip
    with pytest.raises(TimeoutError):
        await look(watched, seconds=0.5)
    await eventually(lambda: bool(watched.blamed))
    assert watched.blamed == [("strange", "ignored the cancellation of a call for 2 s")]


async def test_a_call_that_is_cancelled_before_it_begins_ends_nobody(watched: Core) -> None:
    """The host has read the call and its cancellation at once."""
    watched.load(PROBE.format("await asyncio.sleep(60)"))
    check = PolledCheck(watched.make("probe", "odd"), watched.context())
    await check.open()
    for _ in range(3):
        task = asyncio.create_task(check.look(WEB))
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(2.5)
    assert not watched.blamed
    peer = watched.host.peer
    assert peer is not None
    assert not peer.cancelled


async def test_a_host_that_cannot_be_started_costs_no_other(
    watched: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors no host starts; the one that runs goes on, and the next try waits."""
    watched.load(PROBE.format("pass"))
    before = (await look(watched, Target(name="good"))).message
    nursery = watched.manager.hosts.nursery
    with monkeypatch.context() as short:
        short.setattr(os, "pipe", lambda: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        with pytest.raises(PluginFault, match="Too many open files"):
            nursery.start_host()
    assert (await look(watched, Target(name="good"))).message == before


@pytest.mark.parametrize("setsid", [False, True])
async def test_the_whole_tree_of_a_host_ends_with_it(watched: Core, setsid: bool) -> None:
    """Child processes, their children and orphans end with the host, also those that left its
    session, and also if the host dies by itself."""
    sleeper = "import subprocess, time; subprocess.Popen(['sleep', '613']); time.sleep(613)"
    watched.load(PROBE.format(f"""
            subprocess.Popen([sys.executable, "-c", {sleeper!r}], start_new_session={setsid})
            await asyncio.sleep(1)
            os._exit(1)"""))  # fmt: skip
    with pytest.raises(PluginFault, match="exit code 1"):
        await look(watched)
    await eventually(lambda: not _sleepers("613"))


async def test_the_tree_of_a_host_that_is_ended_ends(watched: Core) -> None:
    """When tocsin stops, nothing of a plugin is left."""
    watched.load(PROBE.format("""
            subprocess.Popen(["sh", "-c", "sleep 614 & sleep 614"], start_new_session=True)
            await asyncio.sleep(0.5)"""))  # fmt: skip
    await look(watched)
    await eventually(lambda: len(_sleepers("614")) == 2)
    await watched.isolation.stop()
    await eventually(lambda: not _sleepers("614"))
    assert watched.manager.hosts.nursery.pid is None


def _sleepers(seconds: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if (process.info["cmdline"] or [])[-2:] == ["sleep", seconds]:
            found.append(process.pid)
    return found


async def test_a_plugin_that_floods_has_to_wait(watched: Core, caplog: Any) -> None:
    """A plugin that logs without end does not hold up the core, nor fill its memory; its own checks
    wait."""
    watched.load("""
        @frozen(kw_only=True)
        class Flood(Probe):
            class Runtime(ProbeRuntime):
                def __init__(self, context): self.context = context
                async def check(self, target):
                    if target.name == "good": return Result.up("good")
                    for number in range(200_000): self.context.log.debug("again", number=number)
                    return Result.up("all")
            async def open(self, context): return self.Runtime(context)
        @hookimpl
        def tocsin_probes(): return {"odd": Flood}
    """)
    lag = asyncio.create_task(_lag())
    with pytest.raises(TimeoutError):
        await look(watched, seconds=4)
    peer = watched.host.peer
    assert peer is None or len(peer._waiting) < 20_000
    lag.cancel()


async def test_a_child_that_a_plugin_forks_leaves_its_host_alone(watched: Core) -> None:
    """The host goes on; a child that runs its event loop ends."""
    watched.load(PROBE.format("""
            pid = os.fork()
            if pid == 0: await asyncio.sleep(600)
            await asyncio.sleep(0.5)
            return Result.up(str(os.waitpid(pid, os.WNOHANG)[0] == pid))"""))  # fmt: skip
    for _ in range(3):
        assert (await look(watched)).message == "True"
        assert (await look(watched, Target(name="good"))).status is Status.UP
    assert not watched.blamed


async def test_output_is_bounded(watched: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plugin prints without end is read, and little of it is logged; how much was dropped
    is said."""
    lines: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            lines.append(facts)

    monkeypatch.setattr(output_module, "get_logger", lambda _: Log())
    watched.load(PROBE.format("""
            for number in range(20_000): print("line", number)"""))  # fmt: skip
    assert (await look(watched)).message == "ran on"
    assert [line["text"] for line in lines[:2]] == ["line 0", "line 1"]
    assert 20 <= len(lines) <= 25
    assert all(line["distribution"] == "tocsin-strange" for line in lines)


async def test_several_plugins_of_a_distribution_share_a_process(watched: Core) -> None:
    """One process serves them all; if one ends it, the fault says that they share it."""
    watched.load(PROBE.format("os._exit(4)"), "strange", "stranger")
    offered = [watched.record(name).status for name in ("strange", "stranger")]
    assert sorted(offered) == ["failed", "ok"]  # both offer the same probe
    assert len(list(watched.manager.hosts)) == 1
    with pytest.raises(
        PluginFault, match="shares its process with others of tocsin-strange, which"
    ):
        await look(watched)
    await eventually(lambda: len(watched.blamed) == 2)
    assert {plugin for plugin, _ in watched.blamed} == {"strange", "stranger"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import this_is_nowhere", "No module named 'this_is_nowhere'"),
        ("os._exit(9)", "ended by itself with the exit code 9"),
        ("os.abort()", "was ended by SIGABRT"),
        ("sys.exit(1)", r"called sys.exit\(1\)"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("x = 1", "provides nothing"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(core: Core, source: str, reason: str) -> None:
    """Whatever an import does, it costs its own plugin only."""
    core.load(source)
    assert core.record().status == "failed"
    assert re.search(reason, core.record().reason or "")


def test_a_plugin_whose_import_hangs_is_given_up(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that holds everything in its process ends with the process."""
    monkeypatch.setattr(host_module, "LOAD_WITHIN", 1.0)
    core.load("sum(range(10**11))")
    assert core.record().reason == "did not load within 1 s"


async def test_a_host_does_not_start_again_at_once(
    watched: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its end and its next start is a rest, which grows; what is asked meanwhile fails with
    the reason and the time that is left."""
    monkeypatch.setattr(host_module, "REST", (30.0, 60.0))
    watched.load(PROBE.format("os._exit(1)"))
    with pytest.raises(PluginFault, match="exit code 1"):
        await look(watched)
    why = "does not run, since it ended by itself with the exit code 1; it starts again in 30 s"
    with pytest.raises(PluginFault, match=why):
        await look(watched)


def test_hosts_share_what_they_have_in_common(core: Core) -> None:
    """A host has no environment of its own: what tocsin knows by its environment stays there."""
    core.load("""
        for name in os.environ:
            if "SECRET" in name: raise RuntimeError(name)
        @frozen(kw_only=True)
        class Odd(Probe):
            async def check(self, target): return Result.up()
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    assert core.record().status == "ok"
