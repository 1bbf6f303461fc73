"""Isolation of plugins: deadlines for synchronous calls, and event loops for their coroutines.

A third-party coroutine never runs in the core's event loop. Each plugin has a
:class:`PluginThread`, a thread with an event loop: a plugin that blocks, or calls ``sys.exit``,
stops only its own thread. The plugins in ``[plugins] inline`` (by default, the built-in ones) run
in the core's loop, for speed.
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
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, Protocol, TypeVar

from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe, plain_error
from tocsin.core.resolver.guard import guard_lookups
from tocsin.core.runtime.deadline import deadline, standstill

__all__ = ["Isolation", "PluginFault", "PluginThread", "call_with_deadline", "describe"]

T = TypeVar("T")

Expected = tuple[type[ActionError | NotifyError | ServiceError], ...]

CLOSE_DEADLINE = 2.0
"""Timeout, in seconds, for a plugin to release its resources."""

TICK = 0.25
"""Seconds between two signs of life of a plugin's thread."""

BLOCKED_AFTER = 2.0
"""Seconds without a sign of life after which a thread counts as blocked."""

LONG_STANDSTILL = 10.0
"""Seconds for which the process may stand still (stopped, suspended) before that is reported."""

MOST_GIVEN_UP = 2
"""Number of abandoned threads of one plugin that are still running, at which it gets no new one."""

LEAKED_TASKS = 100
"""Number of tasks left by finished runs, above which a plugin counts as leaking."""


class Used(Protocol):
    """What a plugin may have opened, and then has to close."""

    @property
    def is_used(self) -> bool:
        """Whether it has to be closed."""

    async def close(self) -> None:
        """Release the resources; runs code of the plugin."""


class PluginThread:
    """One plugin's thread and event loop. Used from the core's loop; restarted after a fault."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._last_tick = 0.0
        self._pending: set[Future[PluginFault]] = set()
        """One for each call: the fault that ends it if the thread is abandoned."""
        self._fault: PluginFault | None = None
        """Why the loop ended, if it did."""
        self._given_up: list[threading.Thread] = []
        """Threads that were abandoned and may still run."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the thread's event loop; None if it does not run."""
        return self._loop

    def start(self) -> None:
        """Start the thread and its loop, unless they run.

        Raises:
            PluginFault: MOST_GIVEN_UP abandoned threads of the plugin still run.
            OSError, RuntimeError, MemoryError: no thread or event loop can be created.
        """
        if self._loop is not None:
            return
        self._given_up = [thread for thread in self._given_up if thread.is_alive()]
        if len(self._given_up) >= MOST_GIVEN_UP:
            raise PluginFault(f"still blocks {len(self._given_up)} threads, so it gets no new one")
        loop = asyncio.new_event_loop()
        self._loop, self._last_tick, self._fault = loop, time.monotonic(), None
        guard_lookups(loop)
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name=f"tocsin thread {self.name}", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:  # no thread can be started; the next call tries again
            self._loop = None
            loop.close()
            raise

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)

        def trouble(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if self._loop is loop:  # the fault of an abandoned thread was reported already
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
        except BaseException as error:  # noqa: BLE001 - raised by a task that the plugin left
            if self._loop is loop:
                self._loop = None
                self._give_up(PluginFault(f"{describe(error)} in a background task", severe=True))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()

    async def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float | None,
        expects: Expected = (),
    ) -> T:
        """Run a coroutine in the thread.

        Args:
            make: creates the coroutine.
            seconds: time in seconds after which it is cancelled; None: never.
            expects: tocsin's own errors that it may raise; any other is a fault.

        Returns:
            The coroutine's result.

        Raises:
            PluginFault: it raised, could not be cancelled, or blocked the thread; or no thread or
                event loop could be created, which own_shortage recognizes.
            TimeoutError: it was cancelled at the deadline and ended.
        """
        try:
            self.start()
        except (OSError, RuntimeError, MemoryError) as error:
            raise PluginFault(f"has no thread to run in: {describe(error)}") from error
        loop = self._loop
        assert loop is not None  # noqa: S101 - start() has just set it
        future = asyncio.run_coroutine_threadsafe(_guarded(make, seconds, expects), loop)
        lost: Future[PluginFault] = Future()
        self._pending.add(lost)
        if self._loop is not loop and self._fault is not None:
            self._give_up(self._fault)  # the loop ended before this call was registered
        self.running += 1
        waiter, end = asyncio.wrap_future(future), asyncio.wrap_future(lost)
        try:
            patience = None if seconds is None else seconds + BLOCKED_AFTER
            with standstill() as still:
                done = await _first(waiter, end, patience)
                given = 0.0
                while not done and (stood := still.seconds - given) > 0:  # it could not run then
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
        """Record that the thread waits for the core. Ignored if called from another thread."""
        if self._thread is threading.current_thread():
            self._last_tick = time.monotonic()

    def blocked_for(self) -> float:
        """Return the seconds since the loop's last sign of life, if that makes the thread count as
        blocked; else 0."""
        if self._loop is None or not self.running:
            return 0.0
        silence = time.monotonic() - self._last_tick
        return silence if silence > BLOCKED_AFTER else 0.0

    def leaked(self) -> int:
        """Return the number of tasks that finished runs have left behind."""
        if self._loop is None:
            return 0
        try:
            return max(0, len(asyncio.all_tasks(self._loop)) - self.running)
        except RuntimeError:  # the set was changed by the other thread while it was read
            return 0

    def abandon(self, fault: PluginFault) -> None:
        """Abandon the thread: fail its calls and ask it to end. The next call starts a new one.

        A thread cannot be killed. One that loops in the plugin's own code is interrupted where that
        is safe (see :func:`interrupt`); one stuck in a system call ends when the call returns.
        While several of them still run, the plugin gets no new one.
        """
        thread, self._loop = self._thread, None
        self._give_up(fault)
        if thread is not None and thread.is_alive() and thread not in self._given_up:
            self._given_up.append(thread)

    def interrupt(self) -> None:
        """Try to end the calls that still run in abandoned threads."""
        for thread in self._given_up:
            interrupt(thread)

    def _give_up(self, fault: PluginFault) -> None:
        self._fault = fault
        for future in tuple(self._pending):
            if not future.done():
                try:
                    future.set_result(fault)
                except Exception:  # noqa: BLE001, S112 - it was completed at the same moment
                    continue

    def stop(self) -> None:
        """End the thread; its loop stops at its next sign of life."""
        self._loop = None


def interrupt(thread: threading.Thread) -> None:
    """Raise ``SystemExit`` in an abandoned thread, if it executes code of the plugin itself.

    This is not done while it executes the standard library or tocsin, or was called from there: it
    may hold a lock that the core needs, and would never release it. Such a thread is tried again.
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
"""The code at the bottom of the stack of everything that a thread's loop calls."""

_LIBRARY = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen")
_OURS = (str(Path(__file__).parent), str(Path(__file__).resolve().parent))


def _is_shared(code: CodeType, besides: tuple[str, ...] = ()) -> bool:
    """Return whether code belongs to the standard library, or is in one of ``besides``."""
    path = code.co_filename
    return path.startswith(besides) or (path.startswith(_LIBRARY) and "-packages" not in path)


async def _first(
    one: asyncio.Future[Any], other: asyncio.Future[Any], seconds: float | None
) -> bool:
    """Wait for either of two futures, at most ``seconds`` (None: without limit); return whether one
    is done."""
    done, _ = await asyncio.wait({one, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _guarded(
    make: Callable[[], Coroutine[Any, Any, T]], seconds: float | None, expects: Expected
) -> T:
    """Run a coroutine and turn its errors into PluginFault; ``SystemExit`` and the like would
    otherwise end the loop."""
    mine = asyncio.current_task()
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
    except GeneratorExit as error:
        if asyncio.current_task() is not mine:  # this coroutine is being closed from outside
            raise
        raise PluginFault(describe(error)) from error
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
    """Runs coroutines of plugins, inline or in the plugin's thread, and monitors the threads.

    Args:
        inline: names of the plugins that run in the core's loop.
        report: called with a plugin and the fault for which its thread was abandoned.
        contexts: what runtimes of plugins are given.
    """

    def __init__(
        self,
        inline: frozenset[str],
        report: Callable[[str, PluginFault], None],
        contexts: Contexts,
    ) -> None:
        self.inline = inline
        self.contexts = contexts
        self._report = report
        self.last_standstill: tuple[float, float] | None = None
        """The last long standstill of tocsin: its end in monotonic seconds, and its length in
        seconds. A shorter standstill afterwards does not replace it."""
        self._threads: dict[str, PluginThread] = {}

    def call(
        self,
        plugin: str,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float | None,
        expects: Expected = (),
    ) -> Coroutine[Any, Any, T]:
        """Run a plugin's coroutine.

        Args:
            plugin: name of the plugin.
            make: creates the coroutine.
            seconds: time in seconds after which it is cancelled; None: never.
            expects: tocsin's own errors that it may raise; any other is a fault.

        Returns:
            A coroutine with the same result.

        Raises:
            PluginFault: the plugin broke its contract.
            TimeoutError: it was cancelled at the deadline.
        """
        if plugin in self.inline:
            return _guarded(make, seconds, expects)
        thread = self._threads.get(plugin)
        if thread is None:
            thread = self._threads[plugin] = PluginThread(plugin)
        return thread.call(make, seconds, expects)

    async def watch(self) -> None:
        """Monitor the threads until cancelled."""
        while True:
            with standstill() as still:
                await asyncio.sleep(TICK)
                lost = still.seconds
            if lost:  # the threads could not run either, and need time to catch up
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

    async def _close(self, plugin: str) -> None:
        if self.loop_of(plugin) is None:  # nothing of it runs any more
            return
        with suppress(PluginFault, TimeoutError):
            await self.call(plugin, partial(self.contexts.close, plugin), CLOSE_DEADLINE)

    async def close(self, plugin: str, used: Used) -> None:
        """Close what a plugin has opened, if it did. Its errors and timeouts are ignored: nothing
        more is expected of it."""
        if used.is_used:
            with suppress(PluginFault, TimeoutError):
                await self.call(plugin, used.close, CLOSE_DEADLINE)

    def reset(self, plugin: str, fault: PluginFault) -> None:
        """Abandon a plugin's thread after a severe fault."""
        if thread := self._threads.get(plugin):
            thread.abandon(fault)

    def awaited(self, plugin: str) -> None:
        """Record that a plugin's thread waits for the core, so that it does not count as blocked.
        Ignored if called from another thread."""
        if thread := self._threads.get(plugin):
            thread.awaited()

    def loop_of(self, plugin: str) -> asyncio.AbstractEventLoop | None:
        """Return the event loop in which a plugin runs now; None if its thread does not run. Called
        in the core's loop."""
        if plugin in self.inline:
            return asyncio.get_running_loop()
        thread = self._threads.get(plugin)
        return None if thread is None else thread.loop

    async def stop(self) -> None:
        """Close what runtimes of plugins share, and end every thread."""
        await asyncio.gather(*map(self._close, self.contexts.in_use()))
        self.contexts.stop()
        for thread in self._threads.values():
            thread.stop()
