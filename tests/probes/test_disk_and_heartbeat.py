"""The disk probe on real file systems, the heartbeat probe by its verdicts."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import need
from tests.contexts import polled
from tocsin import Heartbeat, Status, Target
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.plugins.probes.disk import DiskCheck, DiskProbe
from tocsin.plugins.probes.heartbeat import HeartbeatProbe
from tocsin.testing import check_probe_conformance, check_push_conformance

TARGET = Target(name="host")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 10 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    options = "size=10m,nr_inodes=100"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_disk_that_fills_up_is_degraded_then_down(small: Path) -> None:
    """Free percent falls from up over degraded to down, and the metrics tell how much is left."""
    probe = DiskProbe(paths=(str(small),))
    result = await polled(probe).check(TARGET)
    assert result.status is Status.UP
    assert result.metrics["disk_free_percent"] == 100
    assert result.metrics["disk_total_bytes"] == 10 * 2**20
    (small / "a").write_bytes(b"x" * int(8.8 * 2**20))
    assert (await polled(probe).check(TARGET)).status is Status.DEGRADED
    (small / "b").write_bytes(b"x" * int(0.6 * 2**20))
    result = await polled(probe).check(TARGET)
    assert result.status is Status.DOWN
    assert f"{small} has" in result.message
    assert "free" in result.message


def test_what_cannot_be_written_cannot_run_full(tmp_path: Path) -> None:
    """Without paths a file system that is read-only is left out, be it full, as an image is meant
    to be; one of which only this mount is read-only is not."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    image, place, bound = tmp_path / "image", tmp_path / "a mount", tmp_path / "bound"
    place.mkdir()
    bound.mkdir()
    image.write_bytes(b"\0" * 2**20)
    subprocess.run([need("mkfs.ext4"), "-q", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False).returncode:
        pytest.skip("no loop device is to be had")
    try:
        (place / "full").write_bytes(b"x" * int(psutil.disk_usage(str(place)).free * 0.98))
        probe = DiskCheck(DiskProbe(root=str(tmp_path)))
        assert asyncio.run(probe.check(TARGET)).status is Status.DOWN
        bind = ["mount", "--bind", "-o", "ro", str(place), str(bound)]
        subprocess.run(bind, check=True)
        assert (asyncio.run(polled(DiskProbe(root=str(bound))).check(TARGET))).status is Status.DOWN
        subprocess.run(["umount", str(bound)], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        result = asyncio.run(polled(DiskProbe(root=str(tmp_path))).check(TARGET))
        assert (result.status, "no mount point" in result.message) == (Status.UNKNOWN, True)
        result = asyncio.run(probe.check(TARGET))  # which has seen that it could be written
        assert result.status is Status.DOWN
        assert f"{place} has become read-only" in result.message
        assert (
            asyncio.run(polled(DiskProbe(paths=(str(place),))).check(TARGET))
        ).status is Status.DOWN
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_inodes_run_out_too(small: Path) -> None:
    """A disk with room but without inodes is down."""
    for n in range(97):
        (small / str(n)).touch()
    result = await polled(DiskProbe(paths=(str(small),))).check(TARGET)
    assert (result.status, "inodes" in result.message) == (Status.DOWN, True)


async def test_bytes_can_be_asked_for(tmp_path: Path) -> None:
    """min_free_bytes counts whatever the percentage."""
    lenient: dict[str, Any] = {
        "min_free_percent": 0, "degraded_free_percent": 0, "min_inodes_free_percent": 0,
    }  # fmt: skip
    free = psutil.disk_usage(str(tmp_path)).free
    enough = DiskProbe(paths=(str(tmp_path),), min_free_bytes=free // 2, **lenient)
    assert (await polled(enough).check(TARGET)).status is Status.UP
    wanting = DiskProbe(paths=(str(tmp_path),), min_free_bytes=free * 2, **lenient)
    assert (await polled(wanting).check(TARGET)).status is Status.DOWN


async def test_a_path_that_is_not_there_is_down() -> None:
    """A mount point that has gone is told, not passed over."""
    result = await polled(DiskProbe(paths=("/no/such/mount",))).check(TARGET)
    assert (result.status, "cannot be accessed" in result.message) == (Status.DOWN, True)


async def test_what_tocsin_may_not_look_at_is_unknown(tmp_path: Path) -> None:
    """Permissions that tocsin lacks say nothing about a disk or a backup."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "a.dump").write_text("x")
    os.seteuid(65534)
    try:
        disk = await polled(DiskProbe(paths=(str(closed),))).check(TARGET)
        both = await polled(DiskProbe(paths=("/", str(closed)), min_free_percent=0)).check(TARGET)
        backup = await BackupScriptProbe(files=f"{closed}/*.dump").check(TARGET)
    finally:
        os.seteuid(0)
    assert (disk.status, backup.status) == (Status.UNKNOWN, Status.UNKNOWN), (disk, backup)
    assert "permission denied" in disk.message
    # What else there is counts for rules.
    assert (both.status, "disk_free_percent" in both.metrics) == (Status.UNKNOWN, True)
    assert "permission denied" in backup.message


async def test_local_file_systems_are_found_by_themselves() -> None:
    """Without paths the machine's own file systems are looked at, each once."""
    result = await polled(DiskProbe()).check(TARGET)
    assert result.attributes["mounts"]


HOUR = HeartbeatProbe(period=3600, grace=300)


def beat(status: Status = Status.UP, message: str = "") -> Heartbeat:
    return Heartbeat(at=datetime(2026, 1, 1, tzinfo=UTC), status=status, message=message)


@pytest.mark.parametrize(
    ("last", "silence", "status", "message"),
    [
        (beat(), 10, Status.UP, "in time"),
        (beat(message="3 files"), 10, Status.UP, "3 files"),
        (beat(Status.DOWN, "disk full"), 10, Status.DOWN, "disk full"),
        (beat(), 3700, Status.DEGRADED, "late: silent for 1h 1m, expected every 1h"),
        (beat(), 4000, Status.DOWN, "silent for 1h 6m, expected every 1h"),
        (None, 10, Status.UNKNOWN, "waiting for the first beat"),
        (None, 4000, Status.DOWN, "no beat in 1h 6m"),
    ],
)
def test_silence_is_the_alarm(
    last: Heartbeat | None, silence: float, status: Status, message: str
) -> None:
    """In time is up, late is degraded, past the grace is down, a reported failure is down."""
    result = HOUR.judge(TARGET, last, silence)
    assert (result.status, message in result.message) == (status, True), result.message


async def test_they_keep_to_the_contract(tmp_path: Path) -> None:
    """Both pass the testing kit's suites."""
    await check_probe_conformance(DiskProbe(paths=(str(tmp_path),)))
    check_push_conformance(HOUR)
