"""The docker-health source where the engine is slow, answers for some containers only, or is gone
for a moment: a proxy before the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, reached, watching
from tests.probes.docker.proxy import Proxy, before_the_engine
from tocsin import Reason, Status
from tocsin.plugins.probes.docker_health import redeploys

pytestmark = pytest.mark.docker


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with before_the_engine(tmp_path) as made:
        yield made


async def test_an_end_held_back_as_the_connection_is_lost_is_told_after_it(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Compose container stops, and before it is clear whether it is made anew the connection
    breaks: connected again, the source tells that it is stopped."""
    monkeypatch.setattr(redeploys, "REDEPLOY_HINT", 60)
    name = lab.name("web")
    docker(
        "run", "-d", "--name", name, "-l", f"com.docker.compose.project={lab.prefix}",
        "-l", "com.docker.compose.service=web", IMAGE,
        "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait",
    )  # fmt: skip
    async with watching(lab, host=proxy.host) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await asyncio.to_thread(docker, "stop", name)
        await sink.until(lambda: any(e.action == "stop" for e in sink.events))
        assert sink.last(name).status is Status.UP  # type: ignore[union-attr]
        proxy.cut()
        await sink.until(lambda: sink.troubles)
        assert (await reached(sink, name, Reason.STOPPED)).status is Status.DOWN


async def test_a_target_removed_as_the_connection_is_lost_retires_after_it(
    lab: Lab, proxy: Proxy
) -> None:
    """A container is removed and the connection breaks within the grace: connected again, the
    source retires the target."""
    name = lab.name("gone")
    docker("run", "-d", "--name", name, IMAGE, *SLEEP)
    async with watching(lab, host=proxy.host, redeploy_grace=2) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await asyncio.to_thread(docker, "rm", "-f", name)
        await reached(sink, name, Reason.REMOVED)
        proxy.cut()
        await sink.until(lambda: sink.troubles)
        await sink.until(lambda: sink.gone)
        assert sink.gone == [(name, "removed on purpose")]
