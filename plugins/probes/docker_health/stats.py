"""CPU, memory and network usage of a container.

Source: the kernel's cgroup files (v1 and v2) if they can be read, else the engine's statistics.
As in ``docker stats``, a CPU usage of 100 percent is one core, and memory excludes the inactive
file cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
from attrs import frozen

from tocsin.plugins.probes.docker_health.engine import part

T = TypeVar("T")

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@frozen(kw_only=True)
class Reading:
    """Counters at one moment: ``at`` in monotonic seconds, CPU in seconds, sizes in bytes.

    A counter that does not exist is None (a kernel may lack the memory controller).
    """

    at: float
    cpu_seconds: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    rx_bytes: int | None
    tx_bytes: int | None


@frozen(kw_only=True)
class Usage:
    """Usage computed from two readings: percentages, and sizes in bytes."""

    cpu_percent: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_percent: float | None
    rx_bytes: int | None
    tx_bytes: int | None


def usage(before: Reading | None, now: Reading) -> Usage:
    """Return the usage between two readings; only the CPU percentage needs both."""
    cpu = None
    then = None if before is None or now.at <= before.at else before.cpu_seconds
    if before is not None and now.cpu_seconds is not None and then is not None:
        used = now.cpu_seconds - then
        cpu = round(100 * used / (now.at - before.at), 3) if used >= 0 else None
    memory, limit = now.memory_bytes, now.memory_limit_bytes
    return Usage(
        cpu_percent=cpu,
        memory_bytes=memory,
        memory_limit_bytes=limit,
        memory_percent=round(100 * memory / limit, 3) if memory is not None and limit else None,
        rx_bytes=now.rx_bytes,
        tx_bytes=now.tx_bytes,
    )


def read_cgroup(container_id: str, pid: int, own_network: bool) -> Reading | None:
    """Return the counters from the kernel's files of a container. Blocks for some 100 µs.

    Args:
        container_id: must be part of the process's cgroup path.
        pid: of the container's main process on this host.
        own_network: whether the container has its own network namespace.

    Returns:
        None if the files cannot be read: another host, another pid namespace, or the container
        has ended.
    """
    try:
        groups = _groups(pid)
        if not any(container_id in path for path in groups.values()):
            return None  # another process has this pid here
        read_cpu, read_memory = (
            (_cpu_v2, _memory_v2) if "cpuacct" not in groups else (_cpu_v1, _memory_v1)
        )
        cpu, at = _or_none(read_cpu, groups), time.monotonic()
        memory = _or_none(read_memory, groups)
        rx, tx = _network(pid) if own_network else (None, None)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    if cpu is None and memory is None:
        return None  # the engine may have counters
    return Reading(
        at=at,
        cpu_seconds=cpu,
        memory_bytes=None if memory is None else memory[0],
        memory_limit_bytes=None if memory is None else _limit(memory[1]),
        rx_bytes=rx,
        tx_bytes=tx,
    )


def _or_none(read: Callable[[Mapping[str, str]], T], groups: Mapping[str, str]) -> T | None:
    """Return what a controller counts; None if the controller does not exist."""
    try:
        return read(groups)
    except (FileNotFoundError, KeyError):
        return None


def _groups(pid: int) -> dict[str, str]:
    """Return path by controller from ``/proc/PID/cgroup``, see cgroups(7); in v2 the key is ""."""
    groups = {}
    for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _cpu_v1(groups: Mapping[str, str]) -> float:
    account = CGROUP / "cpuacct" / groups["cpuacct"].lstrip("/")
    return int((account / "cpuacct.usage").read_text()) / 1e9


def _memory_v1(groups: Mapping[str, str]) -> tuple[int, int]:
    memory = CGROUP / "memory" / groups["memory"].lstrip("/")
    used = int((memory / "memory.usage_in_bytes").read_text())
    cache = _field(memory / "memory.stat", "total_inactive_file")
    return max(0, used - cache), int((memory / "memory.limit_in_bytes").read_text())


def _cpu_v2(groups: Mapping[str, str]) -> float:
    return _field(CGROUP / groups[""].lstrip("/") / "cpu.stat", "usage_usec") / 1e6


def _memory_v2(groups: Mapping[str, str]) -> tuple[int, int]:
    group = CGROUP / groups[""].lstrip("/")
    used = int((group / "memory.current").read_text())
    cache = _field(group / "memory.stat", "inactive_file")
    limit = (group / "memory.max").read_text().strip()
    return max(0, used - cache), 0 if limit == "max" else int(limit)


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    raise KeyError(name)


def _network(pid: int) -> tuple[int | None, int | None]:
    """Return bytes received and sent on all interfaces but lo; None if there is no other."""
    rows = [
        line.partition(":") for line in (PROC / str(pid) / "net/dev").read_text().splitlines()[2:]
    ]
    counts = [values.split() for name, _, values in rows if name.strip() != "lo"]
    # Tunnel devices exist in every network namespace, but only eth and similar carry traffic.
    counts = [c for c in counts if len(c) >= 9]
    if not any(name.strip().startswith(("eth", "en", "veth")) for name, _, _ in rows):
        return None, None
    return sum(int(c[0]) for c in counts), sum(int(c[8]) for c in counts)


def _limit(limit: int) -> int:
    """Return the effective limit in bytes: at most the memory of the host."""
    total = psutil.virtual_memory().total
    return limit if 0 < limit < total else total


def from_api(document: Mapping[str, Any]) -> Reading | None:
    """Convert the engine's statistics to a reading; None for a container that has ended."""
    cpu, memory = part(document, "cpu_stats", "cpu_usage"), part(document, "memory_stats")
    networks = part(document, "networks")
    total, used = _count(cpu, "total_usage"), _count(memory, "usage")
    limit = _count(memory, "limit")
    if "privateworkingset" in memory:
        total = None  # Windows counts in units of 100 ns
    if used is not None:
        details = part(memory, "stats")
        cache = _count(details, "total_inactive_file") or _count(details, "inactive_file")
        used = max(0, used - (cache or 0))
        limit = limit or psutil.virtual_memory().total
    # For a container that has ended, an engine reports all counters as zero, or none.
    if used is None and not total and not networks:
        return None
    return Reading(
        at=time.monotonic(),
        cpu_seconds=None if total is None else total / 1e9,
        memory_bytes=used,
        memory_limit_bytes=limit or None,
        rx_bytes=_sum(networks, "rx_bytes"),
        tx_bytes=_sum(networks, "tx_bytes"),
    )


def _count(table: Mapping[str, Any], name: str) -> int | None:
    count = table.get(name)
    return count if isinstance(count, int) else None


def _sum(networks: Mapping[str, Any], name: str) -> int | None:
    """Return the sum over all networks that have this counter; None if none has it."""
    counts = [
        count for each in networks.values() if (count := _count(part(each), name)) is not None
    ]
    return sum(counts) if counts else None
