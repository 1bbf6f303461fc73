"""Threads with an event loop, for plugin objects that a program hands to the plugin manager."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from tocsin.core.plugin.faults import PluginFault, describe
from tocsin.core.plugin.guard import Expected, guarded
from tocsin.core.resolver.guard import guard_lookups
from tocsin.core.runtime.deadline import standstill

T = TypeVar("T")

TICK = 0.25
"""Seconds between two signs of life of a plugin's thread."""

BLOCKED_AFTER = 2.0
"""Seconds without a sign of life after which a thread counts as blocked."""

MOST_GIVEN_UP = 2
"""Number of abandoned threads of one plugin that are still running, at which it gets no new one."""


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
                self._give_up(PluginFault(describe(error, "in a background task"), severe=True))
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
        future = asyncio.run_coroutine_threadsafe(guarded(make, seconds, expects), loop)
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

        A thread cannot be ended from outside. While several of them still run, the plugin gets no
        new one.
        """
        thread, self._loop = self._thread, None
        self._give_up(fault)
        if thread is not None and thread.is_alive() and thread not in self._given_up:
            self._given_up.append(thread)

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


async def _first(
    one: asyncio.Future[Any], other: asyncio.Future[Any], seconds: float | None
) -> bool:
    """Wait for either of two futures, at most ``seconds`` (None: without limit); return whether one
    is done."""
    done, _ = await asyncio.wait({one, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)
