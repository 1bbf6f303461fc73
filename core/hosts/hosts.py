"""All plugin hosts: which plugin runs in which, and the watch over them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from math import inf
from pathlib import Path

import psutil
from attrs import define, field

from tocsin.core.hosts import methods
from tocsin.core.hosts.core_peer import RATE, SHARE_OF_ALL, CorePeer
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.nursery import Nursery
from tocsin.core.hosts.output import Output
from tocsin.core.hosts.process_tree import Usage, usage_of
from tocsin.core.logs import get_logger
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.runtime.time_share import TimeShare
from tocsin.core.units import format_bytes

log = get_logger(__name__)

BLOCKED_AFTER = 2.0
"""Seconds without an answer after which a host counts as blocked, and within which a call that is
cancelled has to end."""

PING_EVERY = 0.5
"""Seconds of silence after which a busy host is asked for a sign of life."""

LEAKED_TASKS = 100
"""Number of tasks left by finished calls, above which a plugin counts as leaking."""

LOOK_EVERY = 2.0
"""Seconds between two looks at the memory and the processor time of hosts."""

TREE_EVERY = 5
"""Every so many looks, the descendants of hosts count as well."""

CPU_WINDOW = 10.0
"""Seconds over which processor time is averaged."""

FORGIVE_AFTER = 5.0
"""Seconds that a host has to run for its plugins to count as working again."""

FLOOD, FLOOD_ENDS = 10.0, 2.0
"""Seconds of flood after which a host is reported, and without one after which it is over."""

REPORT_EVERY = 60.0
"""Seconds between two reports of one flood, and of two ends of a host."""

LOG_AGAIN = 3600.0
"""Seconds after which the same reason for the end of a host is logged again."""

THREADS = 32
"""Threads for what blocks: starts and ends of hosts, and looks at what they use."""

LEAVE_AFTER = 1.0
"""Seconds that plugins have for ending what they run when tocsin stops."""

STOP_PATIENCE = 5.0
"""Timeout, in seconds, for the process tree of a host to end."""

MOST_FILES, MOST_THREADS, MOST_PROCESSES = 4096, 256, 64
"""Open files and threads of the process of a host, and its descendants."""

SHARE = 0.25
"""Share of this machine's memory that all hosts together may use."""


def _ignore(*_: object) -> None:
    """Do nothing."""


@define
class _Watched:
    """What was seen of one process of a host.

    Attributes:
        peer: its connection.
        asked_at: when it was asked for a sign of life that has not come; None: it was not.
        usage: what its tree used at the last look.
        cpu_since: when the present window of processor time began, and the time used until then.
    """

    peer: CorePeer
    asked_at: float | None = None
    usage: Usage = field(factory=lambda: Usage(0, 0.0))
    cpu_since: tuple[float, float] | None = None
    is_forgiven: bool = False


@define(eq=False)
class Hosts:
    """All hosts.

    Attributes:
        memory: bytes that the process tree of one host may use.
        cpu: processors that it may use, on average.
        nursery: starts processes.
    """

    memory: int
    cpu: float
    nursery: Nursery = field(factory=Nursery)
    _output: Output = field(init=False, factory=Output)
    _time: TimeShare = field(init=False, factory=lambda: TimeShare(SHARE_OF_ALL))
    _threads: ThreadPoolExecutor = field(init=False, factory=lambda: ThreadPoolExecutor(THREADS))
    _report: Callable[[str, PluginFault], object] = field(init=False, default=_ignore)
    _forgive: Callable[[str], object] = field(init=False, default=_ignore)
    _hosts: dict[str, Host] = field(init=False, factory=dict)
    _of: dict[str, Host] = field(init=False, factory=dict)
    """By plugin: its host."""
    _watched: dict[Host, _Watched] = field(init=False, factory=dict)
    _blamed: set[Host] = field(init=False, factory=set)
    _reasons: dict[Host, tuple[str, float]] = field(init=False, factory=dict)
    """The reason that was last logged for the end of each host, without numbers, and when."""
    _floods: dict[Host, tuple[float, float, float]] = field(init=False, factory=dict)
    """When each host's flood began, when it last had to wait, and when that was last reported."""
    _looked_at: float = field(init=False, default=0.0)
    _looks: int = field(init=False, default=0)
    _looking: asyncio.Task[None] | None = field(init=False, default=None)

    def __iter__(self) -> Iterator[Host]:
        """Return the hosts."""
        return iter(self._hosts.values())

    def __contains__(self, plugin: str) -> bool:
        """Return whether a plugin runs in a host."""
        return plugin in self._of

    def add(self, plugin: str, value: str, distribution: str) -> Host:
        """Return the host of a plugin, which is new unless others of its distribution have one.

        Args:
            plugin: name of the plugin.
            value: value of its entry point.
            distribution: name of its distribution.
        """
        host = self._hosts.get(distribution)
        if host is None:
            host = self._hosts[distribution] = Host(
                distribution, self.nursery, self._output, self._threads, self._time, self
            )
        host.plugins[plugin] = value
        self._of[plugin] = host
        return host

    def attach(
        self,
        data_dir: Path,
        report: Callable[[str, PluginFault], object],
        forgive: Callable[[str], object],
    ) -> None:
        """Serve a tocsin.

        Args:
            data_dir: its data directory.
            report: called in its loop with a plugin and the fault for which its host was ended.
            forgive: called with a plugin whose host runs again.
        """
        self._report, self._forgive = report, forgive
        for host in self:
            host.data_dir = str(data_dir)

    def of(self, plugin: str) -> Host:
        """Return the host of a plugin. Raises KeyError."""
        return self._of[plugin]

    # What hosts report

    def ended(self, host: Host, fault: PluginFault, peer: CorePeer | None) -> None:
        """Report the end of a host. One that had no connection yet was being started for a caller,
        who gets the fault."""
        reason, now = re.sub(r"\d", "", str(fault)), time.monotonic()
        before, logged = self._reasons.get(host, ("", -inf))
        again = now - logged < (LOG_AGAIN if reason == before else REPORT_EVERY)
        level = log.debug if again else log.error
        if not again:
            self._reasons[host] = (reason, now)
        level("a plugin host was ended", distribution=host.distribution, reason=str(fault),
              next_start_seconds=host.rest.seconds if host.rest else 0)  # fmt: skip
        if peer is not None and not peer.loop.is_closed():
            peer.loop.call_soon_threadsafe(self._blame, host, fault)

    def _blame(self, host: Host, fault: PluginFault) -> None:
        self._watched.pop(host, None)
        self._blamed.add(host)
        for plugin in host.plugins:
            self._report(plugin, fault)

    def flooded(self, host: Host) -> None:
        """Record that a host has to wait, since it sends too much; one that always does is
        reported."""
        now = time.monotonic()
        began, last, reported = self._floods.get(host, (now, now, -inf))
        if now - last > FLOOD_ENDS:
            began = now
        if now - began >= FLOOD and now - reported >= REPORT_EVERY:
            reported = now
            fault = PluginFault(f"sends more than {RATE:g} messages a second, and is slowed down")
            log.warning("a plugin host sends too much", distribution=host.distribution,
                        reason=str(fault))  # fmt: skip
            for plugin in host.plugins:
                self._report(plugin, fault)
        self._floods[host] = (began, now, reported)

    # The watch

    def inspect(self) -> None:
        """End hosts that are blocked, that leak, or that use too much. Called in the core's loop
        several times a second."""
        now = time.monotonic()
        for host in tuple(self):
            if host.peer is not None:
                self._inspect(host, host.peer, now)
        if now - self._looked_at >= LOOK_EVERY and self._looking is None and self._watched:
            self._looked_at = now
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)

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
        if not watched.is_forgiven and now - host.started_at > FORGIVE_AFTER:
            watched.is_forgiven = True
            self._works_again(host)
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

    def _works_again(self, host: Host) -> None:
        if host in self._blamed:
            self._blamed.discard(host)
            for plugin in host.plugins:
                self._forgive(plugin)

    async def _look(self) -> None:
        self._looks += 1
        running = {h: h.child.process for h in self._watched if h.child is not None}
        tree = self._looks % TREE_EVERY == 0
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._usages, running, tree
        )
        now = time.monotonic()
        for host, usage in found.items():
            if host in self._watched and (tree or usage.memory > self.memory):
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
                if found[host].memory > self.memory:  # what it shares with others does not count
                    found[host] = usage_of(process, tree=True)
            except psutil.Error:
                continue
        if tree:
            self.nursery.sweep()
        return found

    def _judge(self, host: Host, watched: _Watched, usage: Usage, now: float) -> None:
        watched.usage = usage
        if usage.memory > self.memory:
            host.fail(f"used {format_bytes(usage.memory)} of memory; the limit is "
                      f"{format_bytes(self.memory)} ([plugins] host_memory)")  # fmt: skip
            return
        for number, most, what in (
            (usage.files, MOST_FILES, "open files"),
            (usage.threads, MOST_THREADS, "threads"),
            (usage.processes, MOST_PROCESSES, "child processes"),
        ):
            if number > most:
                host.fail(f"has {number} {what}; the limit is {most}")
                return
        if watched.cpu_since is None:
            watched.cpu_since = (now, usage.cpu)
            return
        began, before = watched.cpu_since
        if now - began >= CPU_WINDOW:
            watched.cpu_since = (now, usage.cpu)
            used = (usage.cpu - before) / (now - began)
            if used > self.cpu:
                host.fail(f"used {used:.0%} of a processor for {now - began:.0f} s; the limit is "
                          f"{self.cpu:.0%} ([plugins] host_cpu)")  # fmt: skip

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

    async def leave(self, keep: Collection[str]) -> None:
        """End hosts that are no longer needed, after a moment in which what they run is cancelled
        and closed; what waits for them then does not wait any longer.

        Args:
            keep: plugins whose hosts go on.
        """
        await asyncio.sleep(LEAVE_AFTER)
        for host in self:
            if not set(keep) & host.plugins.keys():
                host.is_over = True
                host.end(None)

    async def stop(self) -> None:
        """End all hosts."""
        if self._looking is not None:
            self._looking.cancel()
        for host in self:
            host.is_over = True
        ends = [end for host in self if (end := host.end(None)) is not None]
        await asyncio.to_thread(wait, ends, STOP_PATIENCE)
        await asyncio.to_thread(self.nursery.stop)
        self._threads.shutdown(wait=False, cancel_futures=True)
