"""All plugin hosts: which plugin runs in which, and what is reported of them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from math import inf
from pathlib import Path

from attrs import define, field

from tocsin.core.hosts.core_peer import RATE, SHARE_OF_ALL, CorePeer
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.nursery import Nursery
from tocsin.core.hosts.output import Output
from tocsin.core.hosts.watch import Watch
from tocsin.core.logs import get_logger
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.runtime.time_share import TimeShare

log = get_logger(__name__)

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


def _ignore(*_: object) -> None:
    """Do nothing."""


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
    _watch: Watch = field(init=False)
    _output: Output = field(init=False, factory=Output)
    _time: TimeShare = field(init=False, factory=lambda: TimeShare(SHARE_OF_ALL))
    _threads: ThreadPoolExecutor = field(init=False, factory=lambda: ThreadPoolExecutor(THREADS))
    _report: Callable[[str, PluginFault], object] = field(init=False, default=_ignore)
    _forgive: Callable[[str], object] = field(init=False, default=_ignore)
    _hosts: dict[str, Host] = field(init=False, factory=dict)
    _of: dict[str, Host] = field(init=False, factory=dict)
    """By plugin: its host."""
    _blamed: set[Host] = field(init=False, factory=set)
    _reasons: dict[Host, tuple[str, float]] = field(init=False, factory=dict)
    """The reason that was last logged for the end of each host, without numbers, and when."""
    _floods: dict[Host, tuple[float, float, float]] = field(init=False, factory=dict)
    """When each host's flood began, when it last had to wait, and when that was last reported."""

    def __attrs_post_init__(self) -> None:
        self._watch = Watch(self.memory, self.cpu, self.nursery, self._threads)

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

    def inspect(self) -> None:
        """End hosts that are blocked, that leak, or that use too much. Called in the core's loop
        several times a second."""
        for host in self._blamed.intersection(self._watch.inspect(tuple(self))):
            self._blamed.discard(host)
            for plugin in host.plugins:
                self._forgive(plugin)

    def excuse(self, seconds: float) -> None:
        """Do not count seconds for which the core itself stood still."""
        self._watch.excuse(seconds)

    async def leave(self, keep: Collection[str]) -> None:
        """End hosts that are no longer needed, after a moment in which what they run is cancelled
        and closed; what waits for them then does not wait any longer.

        Args:
            keep: plugins whose hosts go on.
        """
        leaving = [host for host in self if not set(keep) & host.plugins.keys()]
        for host in leaving:
            host.is_over = host.child is None  # one that runs may still be asked to close
        if any(host.child is not None for host in leaving):
            await asyncio.sleep(LEAVE_AFTER)
        for host in leaving:
            host.is_over = True
            host.end(None)

    async def stop(self) -> None:
        """End all hosts."""
        self._watch.stop()
        for host in self:
            host.is_over = True
        ends = [end for host in self if (end := host.end(None)) is not None]
        await asyncio.to_thread(wait, ends, STOP_PATIENCE)
        await asyncio.to_thread(self.nursery.stop)
        self._threads.shutdown(wait=False, cancel_futures=True)
