"""The docker-health source where the engine's clock is not ours: on another machine, or set."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, newest, reached, watching
from tests.probes.docker.proxy import before_the_engine
from tocsin import Reason, Status
from tocsin.plugins.probes.docker_health import events, reasons, watch

pytestmark = pytest.mark.docker

FAILS_AT_FIRST = "echo >> /n; [ $(wc -l < /n) -gt 3 ] && exec sleep 1000; exit 1"


@pytest.mark.parametrize("hours", [1, -1])
async def test_an_engine_whose_clock_is_off_by_an_hour(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Starts, ends and uptimes are told by our clock; a restart loop is one for as long as by any
    other; and when the engine's clock is set back, what happens then is no old news."""
    monkeypatch.setattr(watch, "VERIFY_EVERY", 0.3)
    for module in (reasons, events):
        monkeypatch.setattr(module, "SETTLED", 1.0)
    begun = time.time()
    name, loops = lab.name("a"), lab.name("b")
    docker("run", "-d", "--name", name, IMAGE, *SLEEP)
    async with before_the_engine(tmp_path) as proxy:
        proxy.off = hours * 3600
        async with watching(lab, host=proxy.host, reconcile=3600) as (source, sink):
            result = await reached(sink, name, Reason.RUNNING)
            assert result.container is not None
            assert result.container.started_at is not None
            assert abs(result.container.started_at.timestamp() - begun) < 30
            assert 0 <= result.metrics["uptime_seconds"] < 60
            restart = "--restart=on-failure:9"
            command = ("sh", "-c", FAILS_AT_FIRST)
            await asyncio.to_thread(docker, "run", "-d", "--name", loops, restart, IMAGE, *command)
            await sink.until(lambda: sum(e.action == "start" for e in sink.events) >= 4)
            await sink.until(lambda: "running again for a moment" in newest(sink, loops).message)
            await sink.until(lambda: newest(sink, loops).status is Status.UP)
            await asyncio.to_thread(docker, "kill", name)
            ended = await reached(sink, name, Reason.STOPPED)
            assert ended.container is not None
            proxy.off = min(0, proxy.off)
            stream = source._running()._stream
            await sink.until(lambda: stream.began < time.time() + 60)
            sink.results[name].clear()
            await asyncio.to_thread(docker, "start", name)
            await reached(sink, name, Reason.RUNNING)
            before = [e for e in sink.events if (e.target, e.action) != (name, "start")]
            assert all(abs(event.at.timestamp() - begun) < 60 for event in before)
            assert [e.action for e in sink.events if e.target == name] == ["kill", "die", "start"]
