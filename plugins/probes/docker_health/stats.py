"""CPU, memory and network of a container: from cgroup files where they can be read (v1 and v2),
else from the engine's statistics.

CPU as ``docker stats`` counts it: 100 is one core. Memory without inactive file cache, as there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from attrs import frozen

from tocsin.plugins.probes.docker_health.engine import part

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@frozen(kw_only=True)
class Reading:
    """Counters at one moment: ``at`` in monotonic seconds, CPU in seconds, sizes in bytes."""

    at: float
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int
    rx_bytes: int | None
    tx_bytes: int | None


@frozen(kw_only=True)
class Usage:
    """What two readings come to."""

    cpu_percent: float | None
    memory_bytes: int
    memory_limit_bytes: int
    memory_percent: float
    rx_bytes: int | None
    tx_bytes: int | None


def usage(before: Reading | None, now: Reading) -> Usage:
    """The usage between two readings; CPU needs both."""
    cpu = None
    if before is not None and now.at > before.at and now.cpu_seconds >= before.cpu_seconds:
        cpu = round(100 * (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at), 3)
    return Usage(
        cpu_percent=cpu,
        memory_bytes=now.memory_bytes,
        memory_limit_bytes=now.memory_limit_bytes,
        memory_percent=round(100 * now.memory_bytes / now.memory_limit_bytes, 3),
        rx_bytes=now.rx_bytes,
        tx_bytes=now.tx_bytes,
    )


def read_cgroup(container_id: str, pid: int, own_network: bool) -> Reading | None:
    """Read the kernel's files of a container; blocking, some 100 µs. None where they cannot be
    read: another host, another pid namespace, or the container has ended."""
    try:
        groups = _groups(pid)
        if not any(container_id in path for path in groups.values()):
            return None  # that number is some other process here
        read = _read_v2 if "cpuacct" not in groups else _read_v1
        cpu, memory, limit = read(groups)
        rx, tx = _network(pid) if own_network else (None, None)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return Reading(
        at=time.monotonic(),
        cpu_seconds=cpu,
        memory_bytes=memory,
        memory_limit_bytes=_limit(limit),
        rx_bytes=rx,
        tx_bytes=tx,
    )


def _groups(pid: int) -> dict[str, str]:
    """Controller to path, out of ``/proc/PID/cgroup`` (cgroups(7)); version 2 has no controller."""
    groups = {}
    for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _read_v1(groups: Mapping[str, str]) -> tuple[float, int, int]:
    account = CGROUP / "cpuacct" / groups["cpuacct"].lstrip("/")
    memory = CGROUP / "memory" / groups["memory"].lstrip("/")
    cpu = int((account / "cpuacct.usage").read_text()) / 1e9
    used = int((memory / "memory.usage_in_bytes").read_text())
    cache = _field(memory / "memory.stat", "total_inactive_file")
    return cpu, max(0, used - cache), int((memory / "memory.limit_in_bytes").read_text())


def _read_v2(groups: Mapping[str, str]) -> tuple[float, int, int]:
    group = CGROUP / groups[""].lstrip("/")
    cpu = _field(group / "cpu.stat", "usage_usec") / 1e6
    used = int((group / "memory.current").read_text())
    cache = _field(group / "memory.stat", "inactive_file")
    limit = (group / "memory.max").read_text().strip()
    return cpu, max(0, used - cache), 0 if limit == "max" else int(limit)


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    raise KeyError(name)


def _network(pid: int) -> tuple[int | None, int | None]:
    """Bytes received and sent over all interfaces but lo; None where there is no other."""
    rows = [
        line.partition(":") for line in (PROC / str(pid) / "net/dev").read_text().splitlines()[2:]
    ]
    counts = [values.split() for name, _, values in rows if name.strip() != "lo"]
    # Tunnel devices exist in every network namespace; only eth and its like carry traffic.
    counts = [c for c in counts if len(c) >= 9]
    if not any(name.strip().startswith(("eth", "en", "veth")) for name, _, _ in rows):
        return None, None
    return sum(int(c[0]) for c in counts), sum(int(c[8]) for c in counts)


def _limit(limit: int) -> int:
    """A limit in force; where there is none (or none that matters), the host's memory."""
    total = psutil.virtual_memory().total
    return limit if 0 < limit < total else total


def from_api(document: Mapping[str, Any]) -> Reading | None:
    """A reading out of the engine's statistics; None for a container that has ended."""
    cpu, memory = part(document, "cpu_stats", "cpu_usage"), part(document, "memory_stats")
    if "usage" not in memory or "total_usage" not in cpu:
        return None
    details = part(memory, "stats")
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = part(document, "networks")
    return Reading(
        at=time.monotonic(),
        cpu_seconds=cpu["total_usage"] / 1e9,
        memory_bytes=max(0, memory["usage"] - cache),
        memory_limit_bytes=memory.get("limit") or psutil.virtual_memory().total,
        rx_bytes=sum(n["rx_bytes"] for n in networks.values()) if networks else None,
        tx_bytes=sum(n["tx_bytes"] for n in networks.values()) if networks else None,
    )
