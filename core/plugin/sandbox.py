"""Isolation of plugins: deadlines for synchronous calls, and event loops for their coroutines.

A third-party coroutine never runs in the core's event loop. Each plugin has a
:class:`PluginThread`, a thread with an event loop: a plugin that blocks, or calls ``sys.exit``,
stops only its own thread. The plugins in ``[plugins] inline`` (by default, the built-in ones) run
in the core's loop, for speed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from tocsin.core.contracts.context import Context
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe
from tocsin.core.plugin.threads import TICK, Expected, PluginThread, guarded
from tocsin.core.runtime.deadline import standstill

__all__ = ["Isolation", "PluginFault", "PluginThread", "call_with_deadline", "describe"]

T = TypeVar("T")

CLOSE_DEADLINE = 2.0
"""Timeout, in seconds, for a plugin to release its resources."""

LONG_STANDSTILL = 10.0
"""Seconds for which the process may stand still (stopped, suspended) before that is reported."""

LEAKED_TASKS = 100
"""Number of tasks left by finished runs, above which a plugin counts as leaking."""


class Used(Protocol):
    """What a plugin may have opened, and then has to close."""

    @property
    def context(self) -> Context | None:
        """What it was given, if it was."""

    @property
    def is_used(self) -> bool:
        """Whether it has to be closed."""

    async def close(self) -> None:
        """Release the resources; runs code of the plugin."""


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
            return guarded(make, seconds, expects)
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
        if used.context is not None:
            self.contexts.forget(used.context)

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
