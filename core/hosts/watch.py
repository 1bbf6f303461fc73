"""The watch over plugin hosts: signs of life, what they leave behind, and what they use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

import psutil
from attrs import define, field

from tocsin.core.hosts import methods
from tocsin.core.hosts.core_peer import CorePeer
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.nursery import Nursery
from tocsin.core.hosts.process_tree import Usage, usage_of
from tocsin.core.logs import get_logger
from tocsin.core.units import format_bytes

log = get_logger(__name__)

BLOCKED_AFTER = 2.0
"""Seconds without an answer after which a host counts as blocked, and within which a call that is
cancelled has to end."""

PING_EVERY = 0.5
"""Seconds of silence after which a busy host is asked for a sign of life."""

LEAKED_TASKS = 100
"""Number of tasks left by finished calls, above which a plugin counts as leaking."""

LEAKED_PROCESSES = 20
"""Number of descendants of a host that runs no call, above which a plugin counts as leaking."""

LOOK_EVERY = 2.0
"""Seconds between two looks at the memory and the processor time of hosts."""

TREE_EVERY = 5
"""Every so many looks, the descendants of hosts count as well."""

CPU_WINDOW = 10.0
"""Seconds over which processor time is averaged."""

WORKS_AFTER = 5.0
"""Seconds that a host has to run for its plugins to count as working again."""

MOST_FILES, MOST_THREADS, MOST_PROCESSES = 4096, 256, 64
"""Open files and threads of the process of a host, and its descendants."""

SHARE = 0.25
"""Share of this machine's memory that all hosts together may use."""


@define
class _Watched:
    """What was seen of one process of a host.

    Attributes:
        peer: its connection.
        asked_at: when it was asked for a sign of life that has not come; None: it was not.
        cpu_since: when the present window of processor time began, and the time used until then.
    """

    peer: CorePeer
    asked_at: float | None = None
    cpu_since: tuple[float, float] | None = None


@define(eq=False)
class Watch:
    """Ends hosts that misbehave.

    Args:
        memory: bytes that the process tree of one host may use.
        cpu: processors that it may use, on average.
        nursery: knows what dead hosts have left behind.
        threads: for what blocks.
    """

    _memory: int
    _cpu: float
    _nursery: Nursery
    _threads: ThreadPoolExecutor
    _watched: dict[Host, _Watched] = field(init=False, factory=dict)
    _looked_at: float = field(init=False, default=0.0)
    _looks: int = field(init=False, default=0)
    _looking: asyncio.Task[None] | None = field(init=False, default=None)

    def inspect(self, hosts: Collection[Host]) -> list[Host]:
        """End hosts that are blocked, that leak, or that use too much. Called in the core's loop
        several times a second.

        Args:
            hosts: all hosts.

        Returns:
            The hosts that have run long enough to count as working.
        """
        now = time.monotonic()
        for host in hosts:
            if host.peer is not None:
                self._inspect(host, host.peer, now)
        self._watched = {h: w for h, w in self._watched.items() if h.peer is w.peer}
        if now - self._looked_at >= LOOK_EVERY and self._looking is None and self._watched:
            self._looked_at = now
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)
        return [h for h in self._watched if now - h.started_at > WORKS_AFTER]

    def stop(self) -> None:
        """End a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()

    def excuse(self, seconds: float) -> None:
        """Do not count seconds for which the core itself stood still."""
        for watched in self._watched.values():
            if watched.asked_at is not None:
                watched.asked_at += seconds
            calls = watched.peer.cancelled
            calls.update({number: at + seconds for number, at in calls.items()})

    def _inspect(self, host: Host, peer: CorePeer, now: float) -> None:
        watched = self._watched.get(host)
        if watched is None or watched.peer is not peer:
            watched = self._watched[host] = _Watched(peer)
        while host.forgotten:
            if (number := host.forgotten.popleft()) in peer.defined:
                peer.defined.discard(number)
                peer.note(methods.FORGET, (number,))
        if peer.is_paused:  # it waits for the core
            watched.asked_at = None
            peer.cancelled = dict.fromkeys(peer.cancelled, peer.loop.time())
            return
        if watched.asked_at is not None:
            if now - watched.asked_at > BLOCKED_AFTER:
                host.fail(f"blocked its event loop for {now - watched.asked_at:.0f} s")
            return
        if any(peer.loop.time() - at > BLOCKED_AFTER for at in peer.cancelled.values()):
            host.fail(f"ignored the cancellation of a call for {BLOCKED_AFTER:g} s")
        elif peer.is_busy and peer.loop.time() - peer.heard_at >= PING_EVERY:
            watched.asked_at = now
            task = asyncio.ensure_future(peer.ask(methods.PING, ()))
            task.add_done_callback(lambda done: self._answered(host, watched, done))

    def _answered(self, host: Host, watched: _Watched, done: asyncio.Future[int]) -> None:
        watched.asked_at = None
        if done.cancelled() or done.exception() is not None or host.peer is not watched.peer:
            return
        if (left := done.result()) > LEAKED_TASKS:
            host.fail(f"left {left} tasks behind")

    async def _look(self) -> None:
        self._looks += 1
        running = {h: h.child.process for h in self._watched if h.child is not None}
        tree = self._looks % TREE_EVERY == 0
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._usages, running, tree
        )
        now = time.monotonic()
        for host, usage in found.items():
            if host in self._watched and (tree or usage.memory > self._memory):
                self._judge(host, self._watched[host], usage, now)
        if tree:
            self._judge_all(found)

    def _looked(self, done: asyncio.Task[None]) -> None:
        self._looking = None
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("the usage of plugin hosts cannot be read", reason=str(error))

    def _usages(self, running: Mapping[Host, psutil.Process], tree: bool) -> dict[Host, Usage]:
        found = {}
        for host, process in running.items():
            try:
                found[host] = usage_of(process, tree=tree)
                if found[host].memory > self._memory:  # what it shares with others does not count
                    found[host] = usage_of(process, tree=True)
            except psutil.Error:
                continue
        if tree:
            self._nursery.sweep()
        return found

    def _judge(self, host: Host, watched: _Watched, usage: Usage, now: float) -> None:
        if usage.memory > self._memory:
            host.fail(f"used {format_bytes(usage.memory)} of memory; the limit is "
                      f"{format_bytes(self._memory)} ([plugins] host_memory)")  # fmt: skip
            return
        for number, most, what in (
            (usage.files, MOST_FILES, "open files"),
            (usage.threads, MOST_THREADS, "threads"),
            (usage.processes, MOST_PROCESSES, "child processes"),
        ):
            if number > most:
                host.fail(f"has {number} {what}; the limit is {most}")
                return
        if usage.processes > LEAKED_PROCESSES and not watched.peer.is_busy:
            host.fail(f"left {usage.processes} child processes behind")
            return
        if watched.cpu_since is None:
            watched.cpu_since = (now, usage.cpu)
            return
        began, before = watched.cpu_since
        if now - began >= CPU_WINDOW:
            watched.cpu_since = (now, usage.cpu)
            used = (usage.cpu - before) / (now - began)
            if used > self._cpu:
                host.fail(f"used {used:.0%} of a processor for {now - began:.0f} s; the limit is "
                          f"{self._cpu:.0%} ([plugins] host_cpu)")  # fmt: skip

    def _judge_all(self, found: Mapping[Host, Usage]) -> None:
        """End the largest hosts until all together are within their share of the memory."""
        limit = psutil.virtual_memory().total * SHARE
        total = sum(usage.memory for usage in found.values())
        for host, usage in sorted(found.items(), key=lambda item: -item[1].memory):
            if total <= limit:
                break
            total -= usage.memory
            host.fail(f"used {format_bytes(usage.memory)} of memory, the most of all plugins, "
                      "which together used too much")  # fmt: skip
