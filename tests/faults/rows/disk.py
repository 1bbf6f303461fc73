"""The disk of the data directory is full."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.faults.fault import ROOT, Fault
from tests.faults.peers import HarnessError
from tests.faults.world import World


def mount_tmpfs(place: Path, stack: ExitStack, size: str = "24m") -> None:
    """Make a directory that is a small disk of its own. Raises HarnessError."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(mount, check=False).returncode != 0:
        raise HarnessError("a tmpfs cannot be mounted here")
    stack.callback(subprocess.run, ["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Fill a disk to the last byte with the file ``ballast``."""
    with (place / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        for size in (65536, 512):
            with suppress(OSError):
                while ballast.write(b"x" * size):
                    pass


class DiskFull(Fault):
    """The journal's disk, a tmpfs, is filled to the last byte, and emptied again."""

    name = "disk-full"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        mount_tmpfs(world.data, stack)

    def inject(self, world: World) -> None:
        fill(world.data)

    def heal(self, world: World) -> None:
        (world.data / "ballast").unlink()
