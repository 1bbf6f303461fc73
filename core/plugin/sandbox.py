"""Surviving plugins: deadlines for their synchronous calls, event loops of their own for the rest.

A third-party coroutine never runs in the core's event loop. Each plugin has a
:class:`PluginThread`, a thread with an event loop: one that blocks, or calls ``sys.exit``, stops
only itself. Plugins listed in ``[plugins] inline`` (ours, as delivered) run without one, for speed.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe, plain_error
from tocsin.core.resolver.guard import guard_lookups
from tocsin.core.runtime.deadline import deadline, standstill

__all__ = ["Isolation", "PluginFault", "PluginThread", "call_with_deadline", "describe"]

T = TypeVar("T")

Expected = tuple[type[ActionError | NotifyError | ServiceError], ...]

TICK = 0.25
"""Seconds between two signs of life of a thread."""

BLOCKED_AFTER = 2.0
"""Seconds without a sign of life after which a thread counts as blocked."""

LONG_STANDSTILL = 10.0
"""Seconds for which tocsin may stand still before that is reported."""

MOST_GIVEN_UP = 2
"""Threads of one plugin that go on though they were given up, with which it gets no other."""

LEAKED_TASKS = 100
"""Tasks left behind by finished runs, above which a plugin counts as leaking."""


class PluginThread:
    """One plugin's thread and event loop. Used from the core's loop; restarted after a fault."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._last_tick = 0.0
        self._pending: set[Future[PluginFault]] = set()
        """One for each call: the fault that ends it, where the thread is given up."""
        self._fault: PluginFault | None = None
        """Why the loop ended, where it did."""
        self._given_up: list[threading.Thread] = []
        """Threads that were given up and may go on."""

    def start(self) -> None:
        """Bring the loop up where it is not."""
        if self._loop is not None:
            return
        self._given_up = [thread for thread in self._given_up if thread.is_alive()]
        if len(self._given_up) >= MOST_GIVEN_UP:
            raise PluginFault(f"still keeps {len(self._given_up)} threads busy that were given up")
        loop = asyncio.new_event_loop()
        self._loop, self._last_tick, self._fault = loop, time.monotonic(), None
        guard_lookups(loop)
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name=f"tocsin thread {self.name}", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:  # no threads are left; another try begins anew
            self._loop = None
            loop.close()
            raise

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)

        def trouble(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if self._loop is loop:  # a thread that was given up was reported already
                loop.default_exception_handler(context)

        loop.set_exception_handler(trouble)

        def tick() -> None:
            if self._loop is loop:
                self._last_tick = time.monotonic()
                loop.call_later(TICK, tick)
            else:
                loop.stop()

        loop.call_soon(tick)
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - raised by a task the plugin left behind
            if self._loop is loop:
                self._loop = None
                self._give_up(PluginFault(f"{describe(error)} in a task of its own", severe=True))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()

    async def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float | None,
        expects: Expected = (),
    ) -> T:
        """Run a coroutine in the thread; cancel it after so many ``seconds`` (None: never).

        Raises:
            PluginFault: it raised, could not be cancelled, or blocked the thread; or there is no
                thread or event loop left, which own_shortage recognizes.
            TimeoutError: it was cancelled at the deadline, and obeyed.
        """
        try:
            self.start()
        except (OSError, RuntimeError, MemoryError) as error:
            raise PluginFault(f"could not be given a thread: {describe(error)}") from error
        loop = self._loop
        assert loop is not None  # noqa: S101 - start() has just set it
        future = asyncio.run_coroutine_threadsafe(_guarded(make, seconds, expects), loop)
        lost: Future[PluginFault] = Future()
        self._pending.add(lost)
        if self._loop is not loop and self._fault is not None:
            self._give_up(self._fault)  # the loop ended before anybody knew of this call
        self.running += 1
        waiter, end = asyncio.wrap_future(future), asyncio.wrap_future(lost)
        try:
            patience = None if seconds is None else seconds + BLOCKED_AFTER
            with standstill() as still:
                done = await _first(waiter, end, patience)
                given = 0.0
                while not done and (stood := still.seconds - given) > 0:  # it had no time meanwhile
                    given += stood
                    done = await _first(waiter, end, stood + BLOCKED_AFTER)
            if not done:
                raise PluginFault(
                    f"did not end within {seconds:g} s and ignored its cancellation", severe=True
                )
            if not waiter.done():
                raise end.result()
            return waiter.result()
        finally:
            self.running -= 1
            self._pending.discard(lost)
            end.cancel()
            if not waiter.cancel() and not waiter.cancelled():
                waiter.exception()  # else asyncio logs that it was never retrieved

    def awaited(self) -> None:
        """The thread that calls waits for the core, if it is the thread's."""
        if self._thread is threading.current_thread():
            self._last_tick = time.monotonic()

    def blocked_for(self) -> float:
        """Seconds since the thread's loop last turned, 0 where it is not running anything."""
        if self._loop is None or not self.running:
            return 0.0
        silence = time.monotonic() - self._last_tick
        return silence if silence > BLOCKED_AFTER else 0.0

    def leaked(self) -> int:
        """How many tasks finished runs have left behind."""
        if self._loop is None:
            return 0
        try:
            return max(0, len(asyncio.all_tasks(self._loop)) - self.running)
        except RuntimeError:  # the set changed while it was read, from another thread
            return 0

    def abandon(self, fault: PluginFault) -> None:
        """Give the thread up: fail what runs in it, ask it to end; the next call starts anew.

        A thread cannot be killed. One that loops in the plugin's own code is interrupted where that
        is safe (see :func:`interrupt`); one stuck in a system call ends when the call returns.
        While several of them go on, the plugin gets no new one.
        """
        thread, self._loop = self._thread, None
        self._give_up(fault)
        if thread is not None and thread.is_alive() and thread not in self._given_up:
            self._given_up.append(thread)

    def interrupt(self) -> None:
        """Try to end the calls that still run in threads that were given up."""
        for thread in self._given_up:
            interrupt(thread)

    def _give_up(self, fault: PluginFault) -> None:
        self._fault = fault
        for future in tuple(self._pending):
            if not future.done():
                try:
                    future.set_result(fault)
                except Exception:  # noqa: BLE001, S112 - it finished at this very moment
                    continue

    def stop(self) -> None:
        """End the thread; its loop stops at its next tick."""
        self._loop = None


def interrupt(thread: threading.Thread) -> None:
    """Raise ``SystemExit`` in a thread that was given up, if it executes code of the plugin itself.

    Not while it is in the standard library or in tocsin, nor while it was called from there: it may
    hold a lock that the core needs, and would never give it back. Such a thread is looked at again.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    if not thread.is_alive() or frame is None or _is_shared(frame.f_code, _OURS):
        return
    while frame is not None and frame.f_code is not _TURN:
        if _is_shared(frame.f_code):
            return
        frame = frame.f_back
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )


_TURN = asyncio.events.Handle._run.__code__
"""What is below all that a thread's loop calls."""

_LIBRARY = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen")
_OURS = (str(Path(__file__).parent), str(Path(__file__).resolve().parent))


def _is_shared(code: CodeType, besides: tuple[str, ...] = ()) -> bool:
    """Whether code is the standard library's, or lies in one of the directories ``besides``."""
    path = code.co_filename
    return path.startswith(besides) or (path.startswith(_LIBRARY) and "-packages" not in path)


async def _first(
    one: asyncio.Future[Any], other: asyncio.Future[Any], seconds: float | None
) -> bool:
    """Whether one of two is done within so many seconds (None: wait for it)."""
    done, _ = await asyncio.wait({one, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _guarded(
    make: Callable[[], Coroutine[Any, Any, T]], seconds: float | None, expects: Expected
) -> T:
    """Keep ``SystemExit`` and its like inside: asyncio would end the loop for them."""
    try:
        with deadline(seconds) as limit:
            return await make()
    except TimeoutError as error:
        if limit.expired:
            raise
        raise PluginFault(describe(error)) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PluginFault(describe(error)) from error  # it was not cancelled by the core
    except GeneratorExit:
        raise
    except PluginFault:
        raise
    except (ActionError, NotifyError, ServiceError) as error:
        plain = plain_error(error)
        if isinstance(plain, (PluginFault, *expects)):
            raise plain from error
        raise PluginFault(f"raised {type(plain).__name__}: {plain}") from error
    except BaseException as error:
        raise PluginFault(describe(error)) from error


class Isolation:
    """Runs plugins' coroutines: inline, or each plugin in its thread; watches over the threads."""

    def __init__(self, inline: frozenset[str], report: Callable[[str, PluginFault], None]) -> None:
        self.inline = inline
        self._report = report
        self.last_standstill: tuple[float, float] | None = None
        """When tocsin stood still for long last (monotonic seconds), and for how many seconds; a
        shorter standstill after it does not hide it."""
        self._threads: dict[str, PluginThread] = {}

    def call(
        self,
        plugin: str,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float | None,
        expects: Expected = (),
    ) -> Coroutine[Any, Any, T]:
        """Run a plugin's coroutine for at most so many seconds (None: as long as it takes).

        Raises:
            PluginFault: the plugin broke its contract. TimeoutError: cancelled at the deadline.
            Of tocsin's own errors for plugins those that are ``expects``: any other is a fault.
        """
        if plugin in self.inline:
            return _guarded(make, seconds, expects)
        thread = self._threads.get(plugin)
        if thread is None:
            thread = self._threads[plugin] = PluginThread(plugin)
        return thread.call(make, seconds, expects)

    async def watch(self) -> None:
        """Look after the threads until cancelled."""
        while True:
            with standstill() as still:
                await asyncio.sleep(TICK)
                lost = still.seconds
            if lost:  # the threads had no time either, and come to it now
                if lost >= LONG_STANDSTILL:
                    self.last_standstill = (time.monotonic(), lost)
                continue
            self.inspect()

    def inspect(self) -> None:
        """Abandon threads that are blocked or leak, and report their plugins."""
        for plugin, thread in self._threads.items():
            thread.interrupt()
            fault = None
            if seconds := thread.blocked_for():
                fault = PluginFault(f"blocked its event loop for {seconds:.0f} s", severe=True)
            elif (left := thread.leaked()) > LEAKED_TASKS:
                fault = PluginFault(f"left {left} tasks behind", severe=True)
            if fault is not None:
                thread.abandon(fault)
                self._report(plugin, fault)

    def reset(self, plugin: str, fault: PluginFault) -> None:
        """Abandon a plugin's thread after a severe fault."""
        if thread := self._threads.get(plugin):
            thread.abandon(fault)

    def awaited(self, plugin: str) -> None:
        """A plugin's thread waits for the core, and is not to blame for that. Called in that
        thread; from another thread of the plugin it does nothing."""
        if thread := self._threads.get(plugin):
            thread.awaited()

    def stop(self) -> None:
        """End every thread."""
        for thread in self._threads.values():
            thread.stop()
