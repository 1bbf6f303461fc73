"""The disk probe: free space and free inodes of mount points."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import psutil
from attrs import define, frozen, validators
from attrs import field as option

from tocsin import (
    Bytes,
    Context,
    Metric,
    Panel,
    PanelChart,
    PanelCurve,
    PanelFact,
    Probe,
    ProbeRuntime,
    Result,
    Status,
    Target,
    hookimpl,
    own_shortage,
)
from tocsin.plugins.probes import _metrics
from tocsin.plugins.probes._threads import LOOKS

_VIRTUAL = frozenset(
    "tmpfs devtmpfs overlay squashfs proc sysfs cgroup cgroup2 devpts mqueue ramfs iso9660 nsfs "
    "tracefs debugfs securityfs pstore bpf autofs fuse.lxcfs fuse.portal efivarfs".split()
)


MOUNTS = Path("/proc/self/mountinfo")


@frozen
class _Room:
    """Free space of a mount point; sizes in bytes."""

    path: str
    total: int
    free: int
    free_percent: float
    inodes_free_percent: float | None
    is_read_only: bool


@frozen(kw_only=True)
class DiskProbe(Probe):
    """Check the free space of mount points; the fullest one decides.

    A file system that becomes read-only is down: Linux remounts one so after errors of its disk.

    Attributes:
        paths: mount points, or any paths on them; unset: all writable local file systems.
        exclude: patterns of mount points to ignore, such as "/boot*".
        min_free_percent: less free space than this is down.
        degraded_free_percent: less free space than this is degraded.
        min_free_bytes: less free space than this is down, whatever the percentage.
        min_inodes_free_percent: fewer free inodes than this is down.
        root: where the host's file system is mounted, if not at "/" (in a container: "/host").
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.DISK

    # min_free_percent is 0, since the rule disk_space_low reports low space: a check that is down
    # as well would cause a second alert.
    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "host/disk": {"paths": ["/"], "min_free_percent": 0}
    }

    paths: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_free_percent: float = option(
        default=10.0, validator=validators.and_(validators.ge(0), validators.le(100))
    )
    degraded_free_percent: float = option(
        default=15.0, validator=validators.and_(validators.ge(0), validators.le(100))
    )
    min_free_bytes: Bytes = 0
    min_inodes_free_percent: float = option(
        default=5.0, validator=validators.and_(validators.ge(0), validators.le(100))
    )
    root: str = "/"

    async def open(self, context: Context) -> DiskCheck:
        """Return what examines the mount points."""
        return DiskCheck(self)


@define(eq=False)
class DiskCheck(ProbeRuntime):
    """Examines the mount points of one check.

    Attributes:
        options: its options.
    """

    options: DiskProbe
    _writable: set[str] = option(init=False, factory=set)
    """Mount points that have been writable in an earlier run."""

    async def check(self, target: Target) -> Result:
        """Examine each mount point on its own thread, since a dead one blocks forever."""
        patience = (
            self.options.timeout * 0.4
        )  # spent up to twice (list, examine), with time to spare
        try:
            paths = await self._chosen(patience)
        except TimeoutError:
            return Result.down("the mount points cannot be listed: one of them does not answer")
        except (OSError, RuntimeError) as error:
            return Result.unknown(
                own_shortage(error) or f"the mount points cannot be listed: {error}"
            )
        if not paths:
            return Result.unknown("no mount point was found to check; set paths")
        rooms: list[_Room] = []
        silent: list[str] = []
        lack: str | None = None
        failed: list[str] = []
        outcomes = await asyncio.gather(
            *(LOOKS.look("disk", path, partial(_look, path), patience) for path in paths),
            return_exceptions=True,
        )
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, TimeoutError):
                silent.append(path)
            elif isinstance(outcome, BaseException):
                lack = own_shortage(outcome)
                if lack is None and isinstance(outcome, PermissionError):
                    lack = f"tocsin may not access {path} (permission denied)"
                if lack is None:
                    raise outcome
            elif isinstance(outcome, str):
                failed.append(outcome)
            else:
                rooms.append(outcome)
        if lack is not None and not (rooms or silent or failed):
            return Result.unknown(lack)
        failed += [
            f"{room.path} has become read-only"
            for room in rooms
            if room.is_read_only and room.path in self._writable
        ]
        self._writable.update(room.path for room in rooms if not room.is_read_only)
        result = self._judge(rooms, silent, failed)
        if lack is None or result.status is Status.DOWN:
            return result
        # The metrics of the other mount points still count for rules such as disk_space_low.
        return Result.unknown(lack, metrics=result.metrics, attributes=result.attributes)

    async def _chosen(self, seconds: float) -> list[str]:
        """Return the mount points to examine. Raises TimeoutError after ``seconds``."""
        options = self.options
        if options.paths:
            return [_under(options.root, path) for path in options.paths]
        return await LOOKS.look("disks", (options.root, options.exclude), self._local, seconds)

    def _local(self) -> list[str]:
        # One that was writable and is read-only now stays: most likely its disk has an error.
        options = self.options
        fixed = _read_only() - self._writable
        found = [
            part.mountpoint
            for part in psutil.disk_partitions(all=False)
            if part.fstype not in _VIRTUAL and part.mountpoint not in fixed
        ] or ["/"]
        # One device may be mounted in several places (bind mounts); use the shortest path.
        devices: dict[int, str] = {}
        for path in sorted(found, key=len):
            if any(fnmatchcase(path, pattern) for pattern in options.exclude):
                continue
            try:
                if not PurePosixPath(path).is_relative_to(options.root) or os.path.isfile(path):  # noqa: PTH113
                    continue
                devices.setdefault(os.stat(path).st_dev, path)  # noqa: PTH116
            except OSError:
                continue
        return list(devices.values())

    def _judge(self, rooms: Sequence[_Room], silent: list[str], failed: list[str]) -> Result:
        attributes = {
            "mounts": {
                room.path: {"free_percent": room.free_percent, "free_bytes": room.free}
                for room in rooms
            }
        }
        metrics: dict[str, float] = {}
        if rooms:
            fullest = min(rooms, key=lambda room: room.free_percent)
            metrics = {
                "disk_free_percent": fullest.free_percent,
                "disk_free_bytes": float(min(room.free for room in rooms)),
                "disk_total_bytes": float(fullest.total),
            }
            inodes = [r.inodes_free_percent for r in rooms if r.inodes_free_percent is not None]
            if inodes:
                metrics["inodes_free_percent"] = min(inodes)
        down = [text for room in rooms if (text := self._full(room))] + failed
        down += [f"{path} does not answer" for path in silent]
        if down:
            return Result.down("; ".join(down), metrics=metrics, attributes=attributes)
        tight = [room for room in rooms if room.free_percent < self.options.degraded_free_percent]
        if tight:
            text = "; ".join(_words(room) for room in tight)
            return Result.degraded(text, metrics=metrics, attributes=attributes)
        return Result.up(_words(fullest), metrics=metrics, attributes=attributes)

    def _full(self, room: _Room) -> str | None:
        options = self.options
        if room.free_percent < options.min_free_percent or room.free < options.min_free_bytes:
            return _words(room)
        inodes = room.inodes_free_percent
        if inodes is not None and inodes < options.min_inodes_free_percent:
            return f"{room.path} has {inodes:.1f}% of its inodes free"
        return None


def _read_only() -> set[str]:
    """Return the mount points of read-only file systems, whose free space cannot change.

    A read-only mount of a writable file system is not among them: other mounts may fill it. Source:
    the super options in proc_pid_mountinfo(5).
    """
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").split("\n")
    except OSError:
        return set()
    found: dict[str, bool] = {}
    for line in lines:
        words, _, more = line.partition(" - ")
        if len(fields := words.split(" ")) > 5 and len(further := more.split(" ")) > 2:
            place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
            found[place] = "ro" in further[2].split(",")  # the last mount at a place hides others
    return {place for place, read_only in found.items() if read_only}


def _under(root: str, path: str) -> str:
    return path if root == "/" else f"{root.rstrip('/')}/{path.lstrip('/')}"


def _look(path: str) -> _Room | str:
    """Return the free space of one mount point, or a clause that says why it is unknown.

    Raises:
        OSError: tocsin itself lacks permission, descriptors or memory.
    """
    try:
        usage = psutil.disk_usage(path)
        inodes = os.statvfs(path)
    except OSError as error:
        if own_shortage(error) is not None or isinstance(error, PermissionError):
            raise
        return f"{path} cannot be accessed ({error.strerror})"
    # Percentages as df(1) computes them: space reserved for root is neither used nor free.
    usable = usage.used + usage.free
    return _Room(
        path,
        usage.total,
        usage.free,
        round(100 * usage.free / usable, 3) if usable else 0.0,
        round(100 * inodes.f_favail / inodes.f_files, 3) if inodes.f_files else None,
        bool(inodes.f_flag & os.ST_RDONLY),
    )


def _words(room: _Room) -> str:
    free, units = float(room.free), ["B", "kB", "MB", "GB", "TB"]
    while free >= 1000 and len(units) > 1:
        free /= 1000
        units.pop(0)
    return f"{room.path} has {room.free_percent:.1f}% free ({free:.1f} {units[0]})"


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"disk": DiskProbe}


@hookimpl
def tocsin_panels() -> tuple[Panel, ...]:
    """Return the panel of a disk, or of the fullest of several."""
    share = PanelChart(title="Free space", curves=(PanelCurve(metric="disk_free_percent"),))
    room = PanelChart(title="Free bytes", curves=(PanelCurve(metric="disk_free_bytes"),))
    size = PanelFact(label="Size", value="disk_total_bytes")
    inodes = PanelFact(label="Free inodes", value="inodes_free_percent")
    return (Panel(name="space", title="Space", facts=(size, inodes), charts=(share, room)),)
