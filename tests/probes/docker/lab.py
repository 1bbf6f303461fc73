"""Containers of one test on the real engine, and a source that watches them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tocsin import Reason, Result
from tocsin.plugins.probes.docker_health.source import DockerSource, DockerWatch
from tocsin.testing import RecordingSink

PARTS = Path(__file__).parents[3] / ".ci/parts"
IMAGE = "busybox:1.36"
SLEEP = ("sleep", "1000")


def docker(*args: str, check: bool = True) -> str:
    done = subprocess.run(
        ["docker", *args], capture_output=True, text=True, timeout=60, check=check
    )
    return done.stdout.strip()


class Lab:
    """Containers of one test: made with a prefix of their own, removed afterwards."""

    def __init__(self) -> None:
        self.prefix = f"tocsin-test-{uuid.uuid4().hex[:8]}"

    def name(self, short: str) -> str:
        return f"{self.prefix}-{short}"

    def run(self, short: str, *args: str) -> str:
        options = [a for a in args if a.startswith("-")]
        command = [a for a in args if not a.startswith("-")]
        docker("run", "-d", "--name", self.name(short), *options, IMAGE, *command)
        return self.name(short)

    def clean(self) -> None:
        ids = docker("ps", "-aq", "--filter", f"name={self.prefix}").split()
        if ids:
            docker("rm", "-fv", *ids, check=False)


class OwnEngine:
    """An engine of one test's own, with the image and a network namespace with loopback alone."""

    def __init__(self) -> None:
        self.directory = Path("/var/tmp") / f"tocsin-engine-{uuid.uuid4().hex[:8]}"
        self.socket = f"{self.directory}/docker.sock"
        self.on = ("-H", f"unix://{self.socket}")
        self.start()
        subprocess.run([PARTS / "busybox-image.sh", self.socket], check=True, timeout=60)

    @property
    def pid(self) -> int:
        return int((self.directory / "docker.pid").read_text())

    def start(self) -> None:
        self._do("start", "--bridge=none", "--iptables=false")

    def stop(self) -> None:
        self._do("stop")

    def _do(self, what: str, *options: str) -> None:
        subprocess.run(
            [PARTS / "dockerd.sh", what, self.directory, self.socket, *options],
            check=True, timeout=60, capture_output=True, env={**os.environ, "APART": "1"},
        )  # fmt: skip

    def clean(self) -> None:
        for each in docker(*self.on, "ps", "-aq", check=False).split():
            docker(*self.on, "rm", "-f", each, check=False)
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def newest(sink: RecordingSink, target: str) -> Result:
    """The newest result of a target, which must have one."""
    result = sink.last(target)
    assert result is not None, f"nothing was seen of {target}"
    return result


@asynccontextmanager
async def watching(lab: Lab, **options: Any) -> AsyncIterator[tuple[DockerWatch, RecordingSink]]:
    """A source that watches the lab's containers only, its first inventory taken."""
    include = (f"{lab.prefix}*", f"*_{lab.prefix}*")
    source = DockerWatch(DockerSource(**{"include": include, **options}))
    sink = RecordingSink()
    task = asyncio.create_task(source.run("docker", 5.0, sink))
    await sink.until(lambda: sink.inventories)
    try:
        yield source, sink
    finally:
        task.cancel()
        await asyncio.wait({task})


async def reached(sink: RecordingSink, name: str, reason: Reason) -> Result:
    """The first result of a target with that reason."""

    def found() -> Result | None:
        for result in reversed(sink.results.get(name, [])):
            if result.container is not None and result.container.reason is reason:
                return result
        return None

    await sink.until(found)
    result = found()
    assert result is not None
    return result
