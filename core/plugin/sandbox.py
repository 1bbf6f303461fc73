"""Isolation of plugins: deadlines for synchronous calls, and where their coroutines run.

Third-party plugins that are installed run in plugin hosts, processes of their own (see
:mod:`tocsin.core.hosts`). The built-in ones and those in ``[plugins] inline`` run in the core's
loop. A plugin object that a program has handed to the plugin manager, as tests do, runs in a
:class:`PluginThread`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from tocsin.core.contracts.context import Context
from tocsin.core.hosts.hosts import Hosts
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import InvalidReceipt, PluginFault, call_with_deadline, describe
from tocsin.core.plugin.guard import Expected, guarded
from tocsin.core.plugin.threads import TICK, PluginThread
from tocsin.core.plugin.traces import Traces
from tocsin.core.runtime.deadline import standstill
from tocsin.core.runtime.shortage import own_shortage

__all__ = [
    "InvalidReceipt",
    "Isolation",
    "PluginFault",
    "PluginThread",
    "call_with_deadline",
    "describe",
]

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


class Records(Protocol):
    """The records of plugins: each is failed while one of its parts is."""

    def fail(
        self, name: str, reason: str, retry_at: datetime | None = None, part: str = ""
    ) -> bool:
        """Mark a part of a plugin, and with it the plugin, as failed."""

    def recover(self, name: str, part: str | None = None) -> bool:
        """Mark a part of a plugin as working; without a part: all of them."""


class Isolation:
    """Runs coroutines of plugins, inline or in the plugin's thread, and monitors the threads.

    Args:
        inline: names of the plugins that run in the core's loop.
        report: called with a plugin and the fault for which its thread was abandoned.
        contexts: what runtimes of plugins are given.
        hosts: the plugins that run in processes of their own.
        forgive: called with a plugin whose process runs again.
        records: where breaches of contracts are recorded; None: nowhere.
    """

    def __init__(
        self,
        inline: frozenset[str],
        report: Callable[[str, PluginFault], object],
        contexts: Contexts,
        hosts: Hosts | None = None,
        forgive: Callable[[str], object] = lambda _: None,
        records: Records | None = None,
    ) -> None:
        self.inline = inline
        self.contexts = contexts
        self.traces = Traces()
        """Logs the tracebacks of what plugins raise."""
        self._report = report
        self._records = records
        self._hosts = hosts
        if hosts is not None:
            hosts.attach(contexts.data_dir, report, forgive)
        self.last_standstill: tuple[float, float] | None = None
        """The last long standstill of tocsin: its end in monotonic seconds, and its length in
        seconds. A shorter standstill afterwards does not replace it."""
        self.is_leaving = False
        """Whether tocsin stops, and with it the plugins."""
        self._threads: dict[str, PluginThread] = {}

    async def call(
        self,
        plugin: str,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float | None,
        expects: Expected = (),
    ) -> T:
        """Run a plugin's coroutine and return its result.

        Args:
            plugin: name of the plugin.
            make: creates the coroutine.
            seconds: time in seconds after which it is cancelled; None: never.
            expects: tocsin's own errors that it may raise; any other is a fault.

        Raises:
            PluginFault: the plugin broke its contract; the log has the traceback.
            TimeoutError: it was cancelled at the deadline.
        """
        try:
            if self._is_in_loop(plugin):
                return await guarded(make, seconds, expects)
            thread = self._threads.get(plugin)
            if thread is None:
                thread = self._threads[plugin] = PluginThread(plugin)
            return await thread.call(make, seconds, expects)
        except PluginFault as fault:
            self.traces.note(plugin, str(fault), fault)
            raise

    def breach(
        self,
        plugin: str,
        part: str,
        fault: PluginFault | str,
        retry_at: datetime | None = None,
        said: str | None = None,
    ) -> None:
        """Record that a part of a plugin broke its contract: the plugin counts as failed until
        :meth:`works` is called for that part. A shortage of tocsin's own is no breach.

        Args:
            plugin: the plugin.
            part: the part, such as "channel ops"; it precedes the reason.
            fault: the fault; of a severe one the thread of the plugin is abandoned, too.
            retry_at: when the part is tried again, if it is paused; aware UTC.
            said: the whole reason; None: the part and the fault.
        """
        if isinstance(fault, PluginFault):
            if fault.severe:
                self.reset(plugin, fault)
            if own_shortage(fault) is not None:
                return
        if self._records is not None:
            why = fault if isinstance(fault, str) else describe(fault)
            self._records.fail(plugin, said or f"{part} {why}", retry_at, part)

    def works(self, plugin: str, part: str) -> None:
        """Record that a part of a plugin works; see :meth:`breach`."""
        if self._records is not None:
            self._records.recover(plugin, part)

    def _is_in_loop(self, plugin: str) -> bool:
        """Return whether what is called of a plugin runs in the core's loop: itself, or the calls
        to its host."""
        return plugin in self.inline or (self._hosts is not None and plugin in self._hosts)

    async def watch(self) -> None:
        """Monitor the threads until cancelled."""
        while True:
            with standstill() as still:
                await asyncio.sleep(TICK)
                lost = still.seconds
            if lost:  # the threads could not run either, and need time to catch up
                if lost >= LONG_STANDSTILL:
                    self.last_standstill = (time.monotonic(), lost)
                if self._hosts is not None:
                    self._hosts.excuse(lost)
                continue
            self.inspect()

    def inspect(self) -> None:
        """End hosts and abandon threads that are blocked or leak, and report their plugins."""
        if self._hosts is not None:
            self._hosts.inspect()
        for plugin, thread in self._threads.items():
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
        if self._is_in_loop(plugin):
            return asyncio.get_running_loop()
        thread = self._threads.get(plugin)
        return None if thread is None else thread.loop

    async def leave(self, keep: Collection[str]) -> None:
        """End the hosts of plugins that are not needed while tocsin stops.

        Args:
            keep: plugins that are.
        """
        self.is_leaving = True
        if self._hosts is not None:
            await self._hosts.leave(keep)

    async def stop(self) -> None:
        """Close what runtimes of plugins share, and end every thread and host."""
        await asyncio.gather(*map(self._close, self.contexts.in_use()))
        self.contexts.stop()
        for thread in self._threads.values():
            thread.stop()
        if self._hosts is not None:
            await self._hosts.stop()
