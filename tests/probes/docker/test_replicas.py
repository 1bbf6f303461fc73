"""Services of several containers on a real Docker Engine: scaled, rolled out, replaced, failing."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import need
from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, watching
from tocsin import Status
from tocsin.testing import RecordingSink

pytestmark = pytest.mark.docker

STACK = """\
services:
  web:
    image: busybox:1.36
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
"""


def statuses(sink: RecordingSink, target: str) -> list[Status]:
    """What was told of a target, without repetitions."""
    told = [result.status for result in sink.results.get(target, [])]
    return [one for n, one in enumerate(told) if n == 0 or told[n - 1] is not one]


def says(sink: RecordingSink, target: str, text: str) -> Callable[[], bool]:
    """Whether the newest result of a target has a text in its message."""

    def said() -> bool:
        last = sink.last(target)
        return last is not None and text in last.message

    return said


async def test_a_service_of_compose_that_is_scaled_and_rolled_out(lab: Lab, tmp_path: Path) -> None:
    """Of three replicas one crashes: the service is degraded, and says which; a tool that rolls out
    by counting up, and removes the old ones, is no failure; with none left running it is down."""
    compose, file = need("docker-compose"), tmp_path / "docker-compose.yml"
    file.write_text(STACK)

    async def up(count: int) -> None:
        await asyncio.to_thread(
            subprocess.run,
            [
                compose, "-p", lab.prefix, "-f", str(file), "up", "-d", "--no-recreate",
                "--scale", f"web={count}",
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def names() -> list[str]:
        return sorted(docker("ps", "-a", "--format", "{{.Names}}", f"-f=name={lab.prefix}").split())

    async with watching(lab) as (_, sink):
        await up(3)
        await sink.until(says(sink, "web", "all 3 replicas run"))
        old = names()
        assert sink.targets[old[0]].service == "web"
        docker("kill", "-s", "KILL", old[2])
        await sink.until(says(sink, "web", f"2 of 3 replicas serve: {old[2]}: killed by a person"))
        docker("start", old[2])
        await sink.until(says(sink, "web", "all 3 replicas run"))
        await up(6)
        await sink.until(says(sink, "web", "all 6 replicas run"))
        for name in old:
            await asyncio.to_thread(docker, "stop", name)
            await asyncio.to_thread(docker, "rm", name)
        await sink.until(says(sink, "web", "all 3 replicas run"), 60)
        assert Status.DOWN not in statuses(sink, "web")
        new = [name for name in names() if name not in old]
        docker("kill", *new)
        await sink.until(says(sink, "web", "none of its 3 replicas serves"))
        last = sink.last("web")
        assert last is not None
        assert last.status is Status.DOWN


def task(lab: Lab, slot: int, number: int) -> str:
    """A container as Swarm makes one."""
    name = f"{lab.prefix}.{slot}.{number:025d}"
    labels = {
        "com.docker.swarm.service.name": lab.prefix, "com.docker.swarm.task.name": name,
        "com.docker.swarm.task.id": f"{number:025d}", "com.docker.swarm.task": "",
    }  # fmt: skip
    docker("run", "-d", "--name", name, *(f"-l={k}={v}" for k, v in labels.items()), IMAGE, *SLEEP)
    return name


async def test_tasks_of_swarm_are_replaced(lab: Lab) -> None:
    """Each is stopped, and another one begins in its place, while the old one stays on the engine:
    the service is up all the time, by its own name; a task that fails is told."""
    old = [task(lab, 1, 1), task(lab, 2, 1)]
    async with watching(lab) as (_, sink):
        await sink.until(says(sink, lab.prefix, "all 2 replicas run"))
        for slot, name in enumerate(old, 1):
            docker("stop", "-t", "0", name)
            task(lab, slot, 2)
        await sink.until(says(sink, lab.prefix, "all 2 replicas run"))
        assert statuses(sink, lab.prefix) == [Status.UP]
        await sink.until(lambda: {name for name, _ in sink.gone} == set(old))
    # What it finds at its start is not told of.
    async with watching(lab) as (_, sink):
        await sink.until(lambda: sink.last(lab.prefix))
        assert not set(old) & sink.targets.keys()


async def test_a_service_that_swarm_has_given_up_here_is_gone(lab: Lab) -> None:
    """It is degraded while there may be another instance, and retires after the grace, though the
    engine keeps its last container."""
    name = task(lab, 1, 1)
    async with watching(lab, redeploy_grace=1.0) as (_, sink):
        await sink.until(says(sink, lab.prefix, "1 replica runs"))
        docker("stop", "-t", "0", name)
        await sink.until(says(sink, lab.prefix, "being replaced by its orchestrator"))
        await sink.until(lambda: (lab.prefix, "stopped by its orchestrator") in sink.gone)
        assert Status.DOWN not in statuses(sink, lab.prefix)
        task(lab, 1, 2)
        await sink.until(says(sink, lab.prefix, "1 replica runs"))


async def test_attempts_of_a_kubelet(lab: Lab) -> None:
    """A container of a pod that crashed is down until the next attempt runs, under another name;
    a service is called like its workload."""

    def attempt(number: int, *command: str) -> None:
        name = f"k8s_{lab.prefix}_{lab.prefix}-7d9f8c6b5d-x2v4k_default_u1_{number}"
        docker("run", "-d", "--name", name, IMAGE, *command)

    async with watching(lab) as (_, sink):
        attempt(0, "sh", "-c", "exit 3")
        await sink.until(says(sink, lab.prefix, "crashed with exit code 3"))
        attempt(1, *SLEEP)
        await sink.until(says(sink, lab.prefix, "1 replica runs"))
        assert statuses(sink, lab.prefix)[-1] is Status.UP
