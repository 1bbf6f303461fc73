"""Services of a real Swarm, on an engine of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from tests.probes.docker.lab import IMAGE, OwnEngine, docker, newest
from tests.probes.docker.test_replicas import says
from tocsin import Result, Status
from tocsin.plugins.probes.docker_health.source import DockerSource, DockerWatch
from tocsin.testing import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.slow]

HEALTHY, FAILING = "sleep 1000", "sh -c 'sleep 0.3; exit 3'"


@pytest.fixture
def swarm(own_engine: OwnEngine) -> Iterator[OwnEngine]:
    docker(*own_engine.on, "swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1")
    yield own_engine
    docker(*own_engine.on, "swarm", "leave", "--force", check=False)


async def test_a_service_of_swarm_through_its_life(swarm: OwnEngine) -> None:
    """A rolling update is no failure; tasks that fail again and again are, without a moment at
    which they are well; scaled to nothing it retires; a task that cannot be made is down, with
    Swarm's own reason; and it is well again each time its tasks are."""

    def service(*args: str) -> None:
        subprocess.run(
            ["docker", *swarm.on, "service", *args], check=True, capture_output=True, timeout=90
        )

    async def update(*args: str) -> None:
        await asyncio.to_thread(service, "update", *args, "web")

    service(
        "create", "-d", "--name=web", "--replicas=2", "--network=host", "--stop-signal=KILL",
        "--restart-delay=200ms", "--update-monitor=200ms", "--update-failure-action=continue",
        IMAGE, *HEALTHY.split(),
    )  # fmt: skip
    source = DockerWatch(DockerSource(host=f"unix://{swarm.socket}", redeploy_grace=1.0))
    sink = RecordingSink()
    task = asyncio.create_task(source.run("docker", 1.0, sink))

    def since(count: int) -> list[Result]:
        return sink.results["web"][count:]

    try:
        await sink.until(says(sink, "web", "all 2 replicas run"))
        first = [name for name in sink.targets if name != "web"]
        count = len(sink.results["web"])
        await update("--force")
        await sink.until(lambda: set(first) <= {name for name, _ in sink.gone})
        await sink.until(says(sink, "web", "all 2 replicas run"))
        assert {result.status for result in since(count)} == {Status.UP}

        await update("-d", f"--args={FAILING}")
        await sink.until(lambda: newest(sink, "web").message.count("restart loop") == 2, 60)
        count = len(sink.results["web"])
        await sink.until(lambda: len(since(count)) > 20, 60)
        assert {result.status for result in since(count)} == {Status.DOWN}, since(count)

        await asyncio.to_thread(service, "scale", "-d", "web=0")
        await sink.until(lambda: ("web", "stopped by its orchestrator") in sink.gone, 60)
        await update("-d", f"--args={HEALTHY}", "--replicas=2")
        await sink.until(says(sink, "web", "all 2 replicas run"), 60)

        await update("-d", "--no-resolve-image", "--image=127.0.0.1:9/missing:1")
        await sink.until(says(sink, "web", "no instance of it runs: "), 60)
        assert newest(sink, "web").status is Status.DOWN
        assert "127.0.0.1:9/missing:1" in newest(sink, "web").message
        await update("-d", "--no-resolve-image", f"--image={IMAGE}")
        await sink.until(says(sink, "web", "all 2 replicas run"), 60)
    finally:
        task.cancel()
        await asyncio.wait({task})
