"""Surviving what plugins do in their threads."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.conftest import eventually
from tests.contexts import contexts
from tocsin import ActionError, NotifyError, ServiceError
from tocsin.core.plugin import sandbox, threads
from tocsin.core.plugin.faults import describe
from tocsin.core.plugin.guard import guarded
from tocsin.core.plugin.sandbox import Isolation, PluginFault, PluginThread, call_with_deadline


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "BLOCKED_AFTER", 0.4)
    monkeypatch.setattr(threads, "TICK", 0.05)
    monkeypatch.setattr(sandbox, "TICK", 0.05)


async def test_a_lane_gives_what_the_coroutine_gives() -> None:
    """A coroutine's value comes back, from a thread that is not the core's."""
    plugin_thread = PluginThread("x")

    async def work() -> int:
        return threading.get_ident()

    assert await plugin_thread.call(work, 5) != threading.get_ident()
    plugin_thread.stop()


async def test_sys_exit_in_a_coroutine_ends_nothing() -> None:
    """``sys.exit`` in a plugin is a fault with its code; the thread works on."""
    plugin_thread = PluginThread("x")

    async def leave() -> None:
        sys.exit(3)

    async def fine() -> str:
        return "fine"

    with pytest.raises(PluginFault, match=r"called sys.exit\(3\)"):
        await plugin_thread.call(leave, 5)
    assert await plugin_thread.call(fine, 5) == "fine"
    plugin_thread.stop()


async def test_sys_exit_in_a_task_of_its_own_costs_only_the_lane() -> None:
    """``sys.exit`` in a task a plugin spawned fails what its thread runs; the next call works."""
    plugin_thread = PluginThread("x")

    async def boom() -> None:
        sys.exit(4)

    async def spawn() -> None:
        task = asyncio.create_task(boom())
        await asyncio.sleep(30)
        await task

    async def fine() -> str:
        return "fine"

    with pytest.raises(PluginFault, match="in a background task"):
        await plugin_thread.call(spawn, 60)
    assert await plugin_thread.call(fine, 5) == "fine"
    plugin_thread.stop()


async def test_a_lane_that_ends_before_its_call_is_pending_fails_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plugin's thread may end before the core's goes on: the call fails with the reason, and
    does not wait for its whole timeout."""
    plugin_thread = PluginThread("x")
    submit = asyncio.run_coroutine_threadsafe

    def late(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Any:
        future = submit(coroutine, loop)
        assert plugin_thread._thread is not None
        plugin_thread._thread.join()
        return future

    async def boom() -> None:
        sys.exit(4)

    async def spawn() -> None:
        task = asyncio.create_task(boom())
        await asyncio.sleep(30)
        await task

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
    with pytest.raises(PluginFault, match="in a background task"):
        await plugin_thread.call(spawn, 2)
    plugin_thread.stop()


async def test_a_hang_that_obeys_is_a_timeout() -> None:
    """A coroutine that goes past its deadline and obeys its cancellation raises TimeoutError."""
    plugin_thread = PluginThread("x")
    with pytest.raises(TimeoutError):
        await plugin_thread.call(lambda: asyncio.sleep(60), 0.05)
    plugin_thread.stop()


async def test_a_hang_that_ignores_its_cancellation_is_severe() -> None:
    """A coroutine that swallows cancellation is given up, and said to have done so."""
    plugin_thread = PluginThread("x")

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    with pytest.raises(PluginFault, match="ignored its cancellation") as caught:
        await plugin_thread.call(stubborn, 0.05)
    assert caught.value.severe
    plugin_thread.abandon(caught.value)


@pytest.mark.parametrize("how", ["sleep", "loop"])
async def test_a_blocked_lane_is_noticed_and_blocks_nobody(how: str) -> None:
    """A plugin that blocks its event loop is reported and given up; the core's loop turns on."""
    reports: list[tuple[str, PluginFault]] = []
    guard = Isolation(
        frozenset(), lambda plugin, fault: reports.append((plugin, fault)), contexts()
    )
    watching = asyncio.create_task(guard.watch())
    ends = time.monotonic() + 8

    async def block() -> None:
        if how == "sleep":
            time.sleep(8)  # noqa: ASYNC251 - the very fault
        while time.monotonic() < ends:
            pass

    async def fine() -> str:
        return "fine"

    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    turning = asyncio.create_task(turn())
    with pytest.raises(PluginFault, match="blocked its event loop"):
        await guard.call("bad", block, 60)
    assert [plugin for plugin, _ in reports] == ["bad"]
    assert turns >= 10
    assert await guard.call("good", fine, 5) == "fine"
    assert await guard.call("bad", fine, 5) == "fine"  # a new thread
    for task in (watching, turning):
        task.cancel()
    await guard.stop()


async def test_what_ends_in_a_lane_that_was_given_up_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The call had failed already; the log has no word of futures."""
    plugin_thread, begun = PluginThread("x"), threading.Event()

    async def block() -> None:
        begun.set()
        time.sleep(0.3)  # noqa: ASYNC251 - it is the point

    call = asyncio.ensure_future(plugin_thread.call(block, 5))
    await asyncio.to_thread(begun.wait, 5)
    thread = plugin_thread._thread
    assert thread is not None
    plugin_thread.abandon(PluginFault("blocked"))
    with pytest.raises(PluginFault, match="blocked"):
        await call
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    assert caplog.messages == []


async def test_a_fault_of_what_is_cancelled_just_then_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The core cancels a call that has failed a moment before: the log has no word of futures."""
    plugin_thread, go, gone = PluginThread("x"), threading.Event(), threading.Event()

    async def fail() -> None:
        go.wait(5)
        asyncio.get_running_loop().call_later(0.05, gone.set)
        raise RuntimeError("too late")

    call = asyncio.ensure_future(plugin_thread.call(fail, 5))
    await asyncio.sleep(0.1)
    go.set()
    gone.wait(5)  # the core has no time meanwhile
    call.cancel()
    await asyncio.wait({call})
    assert call.cancelled()
    del call
    gc.collect()
    assert caplog.messages == []
    plugin_thread.stop()


async def test_a_plugin_that_leaves_tasks_behind_is_reported() -> None:
    """More than a hundred tasks left behind by finished runs are a leak."""
    reports: list[str] = []
    guard = Isolation(frozenset(), lambda _, fault: reports.append(str(fault)), contexts())
    kept: list[object] = []

    async def leak() -> None:
        kept.extend(asyncio.create_task(asyncio.sleep(60)) for _ in range(150))

    def inspected() -> list[str]:
        guard.inspect()
        return reports

    await guard.call("leaky", leak, 5)
    await eventually(inspected)
    assert "tasks behind" in reports[0]
    await guard.stop()


async def test_inline_plugins_are_guarded_too() -> None:
    """In the core's own loop ``sys.exit`` and deadlines are still kept in."""
    guard = Isolation(frozenset({"ours"}), lambda *_: None, contexts())

    async def leave() -> None:
        sys.exit(1)

    with pytest.raises(PluginFault, match="sys.exit"):
        await guard.call("ours", leave, 5)
    with pytest.raises(TimeoutError):
        await guard.call("ours", lambda: asyncio.sleep(60), 0.01)


@pytest.mark.parametrize("inline", [True, False])
async def test_an_error_without_words_is_a_fault_by_its_type(inline: bool) -> None:
    """An error that cannot even be written is told like any other."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    async def fail() -> None:
        raise Mute

    guard = Isolation(frozenset({"x"} if inline else ()), lambda *_: None, contexts())
    with pytest.raises(PluginFault, match="raised Mute"):
        await guard.call("x", fail, 5)
    await guard.stop()


@pytest.mark.parametrize("inline", [True, False])
async def test_a_cancellation_of_its_own_is_a_fault(inline: bool) -> None:
    """A coroutine that ends as if cancelled, though nobody asked it to, is a fault that is told;
    one that is cancelled from outside is just that."""
    guard = Isolation(frozenset({"x"} if inline else ()), lambda *_: None, contexts())

    async def give_up() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    with pytest.raises(PluginFault, match="raised CancelledError"):
        await guard.call("x", give_up, 5)
    outer = asyncio.ensure_future(guard.call("x", lambda: asyncio.sleep(60), None))
    await asyncio.sleep(0.05)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    await guard.stop()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("kind", [GeneratorExit, KeyboardInterrupt, SystemExit, StopAsyncIteration])
async def test_any_error_of_a_plugin_is_its_fault(inline: bool, kind: type[BaseException]) -> None:
    """Also one that Python gives a meaning of its own: the task that asked goes on."""
    guard = Isolation(frozenset({"x"} if inline else ()), lambda *_: None, contexts())

    async def fail() -> None:
        raise kind

    with pytest.raises(PluginFault):
        await guard.call("x", fail, 5)
    await guard.stop()


async def test_a_call_that_is_closed_ends_quietly() -> None:
    """As Python does with the coroutines of a loop that has ended: the error stays Python's."""
    guard = Isolation(frozenset({"x"}), lambda *_: None, contexts())
    call = guard.call("x", lambda: asyncio.sleep(60), None)
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    call.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await guard.stop()


def test_a_call_that_is_freed_without_a_loop_ends_quietly() -> None:
    """As happens to one that an abandoned loop has left: no error appears anywhere."""
    loop = asyncio.new_event_loop()
    call = guarded(lambda: asyncio.sleep(60), None, ())
    task = loop.create_task(call)
    loop.call_soon(loop.stop)
    loop.run_forever()
    call.close()
    task.cancel()
    with suppress(RuntimeError):  # the task finds its coroutine closed
        loop.run_until_complete(task)
    loop.close()


def test_a_synchronous_call_has_a_deadline() -> None:
    """A hook that hangs, raises or exits is a fault that says which and while doing what."""
    assert call_with_deadline(lambda: 7, 5, "it was called") == 7
    with pytest.raises(PluginFault, match=r"raised ZeroDivisionError while it was called: "):
        call_with_deadline(lambda: 1 // 0, 5, "it was called")
    with pytest.raises(PluginFault, match=r"called sys.exit\(2\) while it was called"):
        call_with_deadline(lambda: sys.exit(2), 5, "it was called")
    with pytest.raises(PluginFault, match="did not return within 0.05 s while it was called"):
        call_with_deadline(lambda: time.sleep(2), 0.05, "it was called")

    def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(PluginFault, match="raised TimeoutError while it was called: mine"):
        call_with_deadline(late, 5, "it was called")


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("kind", [ActionError, NotifyError, ServiceError])
async def test_an_error_of_ours_in_the_wrong_place_is_a_fault(
    kind: type[Exception], inline: bool
) -> None:
    """What tocsin has for actions, notifiers and services passes where it is expected; from
    anything else of a plugin it is a fault like any other."""
    guard = Isolation(frozenset({"x"} if inline else ()), lambda *_: None, contexts())

    async def fail() -> None:
        raise kind("not here")

    with pytest.raises(PluginFault, match=f"raised {kind.__name__}: not here"):
        await guard.call("x", fail, 5)
    with pytest.raises(kind, match="not here"):
        await guard.call("x", fail, 5, expects=(kind,))  # type: ignore[arg-type]
    await guard.stop()


async def test_a_plugin_whose_threads_go_on_gets_no_more() -> None:
    """Each time a thread is given up and its thread does not end, one more is busy: after two the
    plugin is refused, with the reason, until one of them has ended."""
    plugin_thread, go = PluginThread("x"), threading.Event()

    entered: list[int] = []

    async def block() -> None:
        entered.append(1)
        go.wait(20)

    async def fine() -> str:
        return "fine"

    for number in range(threads.MOST_GIVEN_UP):
        task = asyncio.create_task(plugin_thread.call(block, 60))
        await eventually(lambda number=number: len(entered) > number)
        plugin_thread.abandon(PluginFault("blocked", severe=True))
        with pytest.raises(PluginFault, match="blocked"):
            await task
    with pytest.raises(PluginFault, match="still blocks 2 threads"):
        await plugin_thread.call(fine, 5)
    go.set()
    await eventually(lambda: not any(thread.is_alive() for thread in plugin_thread._given_up))
    assert await plugin_thread.call(fine, 5) == "fine"
    plugin_thread.stop()


async def test_a_long_standstill_is_told_though_a_short_one_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine that is busy after a pause the loop stands still again, for a moment: what is
    known of the pause stays, so that its alert is not taken back before it is due."""
    monkeypatch.setattr(sandbox, "LONG_STANDSTILL", 1.2)
    watched = Isolation(frozenset(), lambda *_: None, contexts())
    watch = asyncio.create_task(watched.watch())
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251 - it is what stands still
    await eventually(lambda: watched.last_standstill)
    pause = watched.last_standstill
    await asyncio.sleep(0)
    time.sleep(0.8)  # noqa: ASYNC251
    await asyncio.sleep(0.6)
    assert watched.last_standstill == pause
    assert pause is not None
    assert pause[1] >= 1.2
    watch.cancel()


def test_what_happened_meanwhile_comes_before_the_words_of_an_error() -> None:
    """An error's own words may end in a remedy, after which nothing can stand."""

    def wrong() -> None:
        raise ValueError("the handler take is not async; define it with async def")

    clause = (
        "raised ValueError while it was imported: the handler take is not async; define it with "
        "async def"
    )
    with pytest.raises(PluginFault) as caught:
        call_with_deadline(wrong, 1, "it was imported")
    assert str(caught.value) == clause
    assert describe(ServiceError("install it"), "while it was run") == (
        "raised ServiceError while it was run: install it"
    )
    assert describe(ServiceError("install it")) == "install it"
