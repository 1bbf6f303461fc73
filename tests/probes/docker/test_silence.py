"""The docker-health source where the stream of events says nothing any more, and does not end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, newest, reached, watching
from tests.probes.docker.proxy import Ask, Proxy, before_the_engine
from tocsin import Reason, Status
from tocsin.plugins.probes.docker_health import engine, stream, watch
from tocsin.plugins.probes.docker_health import source as source_module
from tocsin.plugins.probes.docker_health.source import DockerWatch
from tocsin.testing import RecordingSink

pytestmark = pytest.mark.docker

STREAM = r"/events\?(?!.*until=)"
PAST = r"/events\?.*until="


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is asked often."""
    monkeypatch.setattr(watch, "VERIFY_EVERY", 0.3)
    monkeypatch.setattr(stream, "LATE", 0.5)
    monkeypatch.setattr(engine, "PAST_TIMEOUT", 1)


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with before_the_engine(tmp_path) as made:
        yield made


def run(lab: Lab, short: str) -> str:
    docker("run", "-d", "--name", lab.name(short), IMAGE, *SLEEP)
    return lab.name(short)


async def past_the_first_moments(source: DockerWatch, sink: RecordingSink) -> None:
    """Until what the stream does not tell is its fault: it has begun for certain."""
    watched = source._running()._stream
    await sink.until(lambda: 0 < watched._sure < time.time())


async def _forbidden(_: Ask) -> bytes:
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_a_stream_that_falls_silent_is_renewed(
    lab: Lab, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection of the stream is half open: what happens is told all the same, once, and the
    log says that the stream is renewed, and that the new one tells."""
    name, other = run(lab, "a"), run(lab, "b")
    async with watching(lab, host=proxy.host, reconcile=3600) as (source, sink):
        await reached(sink, name, Reason.RUNNING)
        await past_the_first_moments(source, sink)
        proxy.mute(STREAM)
        await asyncio.to_thread(docker, "kill", name)
        assert (await reached(sink, name, Reason.STOPPED)).status is Status.DOWN
        await sink.until(lambda: "delivers events again" in caplog.text)
        proxy.answer(PAST, _forbidden)  # so that the stream alone can tell
        await asyncio.to_thread(docker, "kill", other)
        assert (await reached(sink, other, Reason.STOPPED)).status is Status.DOWN
        assert [(e.target, e.action) for e in sink.events].count((name, "die")) == 1
        assert caplog.text.count("misses events") == 1
        assert "source docker: the event stream misses events" in caplog.text
        assert sink.troubles == []


async def test_a_stream_is_silent_from_the_first_moment(
    lab: Lab, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream has begun and says nothing: an end just after the first inventory is told."""
    name = run(lab, "a")
    proxy.mute(STREAM, later=True)
    proxy.let_begin = True
    async with watching(lab, host=proxy.host, reconcile=3600) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await asyncio.to_thread(docker, "kill", name)
        await sink.until(lambda: newest(sink, name).status is Status.DOWN)
        await sink.until(lambda: "misses events" in caplog.text)
        assert sink.troubles == []


async def test_no_stream_tells_anything_for_ever(
    lab: Lab, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Every stream is silent: each end is told, though the inventory is not due, and the log says
    once what is wrong."""
    name = run(lab, "a")
    async with watching(lab, host=proxy.host, reconcile=3600) as (source, sink):
        await reached(sink, name, Reason.RUNNING)
        await past_the_first_moments(source, sink)
        proxy.mute(STREAM, later=True)
        for _ in range(3):
            await asyncio.to_thread(docker, "kill", name)
            await sink.until(lambda: newest(sink, name).status is Status.DOWN)
            await asyncio.to_thread(docker, "start", name)
            await sink.until(lambda: newest(sink, name).status is Status.UP)
        assert (
            caplog.text.count("misses events") <= 1
        )  # not at all, where all came in the first moments
        assert sink.troubles == []


async def test_nothing_is_said_of_events_at_all(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No request for events is answered, from the start: inventories take their place, the log says
    so, and what stopped before tocsin came is not waited for."""
    monkeypatch.setattr(source_module, "CALL_TIMEOUT", 1)
    name, before = run(lab, "a"), run(lab, "b")
    docker("kill", before)
    proxy.hang("/events")
    async with watching(lab, host=proxy.host, reconcile=3600) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await sink.until(lambda: "it does not begin" in caplog.text)
        await asyncio.to_thread(docker, "kill", name)
        await sink.until(lambda: newest(sink, name).status is Status.DOWN)
        assert newest(sink, before).status is Status.DOWN
        proxy.heal()
        await asyncio.to_thread(docker, "start", name)
        await sink.until(lambda: newest(sink, name).status is Status.UP)
        await sink.until(lambda: "delivers events again" in caplog.text)
        assert sink.troubles == []


@pytest.mark.parametrize("what", ["end", "new", "gone"])
async def test_an_inventory_that_finds_what_no_event_announced_renews_the_stream(
    lab: Lab, proxy: Proxy, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """A proxy lets nobody ask for past events, and the stream is silent: the first inventory that
    finds a container ended, new or gone has it renewed, and the new one tells."""
    name, other = run(lab, "a"), run(lab, "b")
    proxy.answer(PAST, _forbidden)
    async with watching(lab, host=proxy.host, reconcile=2) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        proxy.mute(STREAM)
        if what == "new":
            await asyncio.to_thread(run, lab, "c")
        else:
            await asyncio.to_thread(docker, *(("kill",) if what == "end" else ("rm", "-f")), name)
        await sink.until(lambda: "was not delivered" in caplog.text)
        await sink.until(lambda: "delivers events again" in caplog.text)
        await asyncio.to_thread(docker, "kill", other)
        assert (await reached(sink, other, Reason.STOPPED)).status is Status.DOWN
        assert sink.troubles == []


async def test_a_stream_that_tells_is_left_alone(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    """With the stream in order nothing is renewed, whatever comes, ends and goes."""
    async with watching(lab, reconcile=1) as (_, sink):
        for n in range(4):
            name = await asyncio.to_thread(run, lab, f"n{n}")
            await asyncio.to_thread(docker, "restart", "-t", "0", name)
            await asyncio.to_thread(docker, "rm", "-f", name)
        taken = len(sink.inventories)
        await sink.until(lambda: len(sink.inventories) > taken + 2)
        assert "silent" not in caplog.text
        assert sink.troubles == []
