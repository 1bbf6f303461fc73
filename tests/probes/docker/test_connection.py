"""The docker-health source where the engine is slow, answers for some containers only, or is gone
for a moment: a proxy before the real one."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, newest, reached, watching
from tests.probes.docker.proxy import Ask, Proxy, before_the_engine
from tocsin import ActionError, Reason, Status
from tocsin.plugins.probes.docker_health import redeploys, stats
from tocsin.plugins.probes.docker_health import source as source_module
from tocsin.plugins.probes.docker_health.engine import THREADS, Engine
from tocsin.plugins.probes.docker_health.source import DockerSource

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
        # The engine tells of the two in either order.
        await sink.until(lambda: {"die", "stop"} <= {e.action for e in sink.events})
        assert newest(sink, name).status is Status.UP
        proxy.fail("/_ping")  # the engine is away, too
        proxy.cut()
        await sink.until(lambda: sink.troubles)
        proxy.heal()
        assert (await reached(sink, name, Reason.STOPPED)).status is Status.DOWN


async def test_a_start_from_before_is_not_taken_for_a_new_one(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connected again, the engine repeats its events from the last one on, or from a little before:
    a start from before tocsin listened does not undo that somebody stopped the container since."""
    listen = Engine.listen
    monkeypatch.setattr(
        Engine, "listen", lambda e, since, tell: listen(e, since and since - 30, tell)
    )
    name = lab.name("web")
    docker("run", "-d", "--name", name, IMAGE, "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
    async with watching(lab, host=proxy.host) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await asyncio.to_thread(docker, "stop", name)
        await reached(sink, name, Reason.STOPPED)
        inventories = len(sink.inventories)
        proxy.cut()
        await sink.until(lambda: len(sink.inventories) > inventories)
        told = len(sink.results[name])
        await asyncio.to_thread(docker, "run", "-d", "--name", lab.name("later"), IMAGE, *SLEEP)
        await reached(sink, lab.name("later"), Reason.RUNNING)  # its events come after the repeated
        assert {r.status for r in sink.results[name][told:]} <= {Status.DOWN}


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
        proxy.fail("/_ping")  # the engine is away, too
        proxy.cut()
        await sink.until(lambda: sink.troubles)
        proxy.heal()
        await sink.until(lambda: sink.gone)
        assert sink.gone == [(name, "removed on purpose")]


async def test_a_question_that_is_cut_off_is_asked_again(lab: Lab, proxy: Proxy) -> None:
    """A proxy ends connections before the answer, to each kind of question, twice: the engine is
    well, and nothing becomes unknown."""
    asked: Counter[str] = Counter()

    def cut(path: str) -> Callable[[Ask], Awaitable[bytes]]:
        async def twice(ask: Ask) -> bytes:
            asked[path] += 1
            return b"" if asked[path] < 3 else await ask()

        return twice

    paths = ("/version", "/_ping", "/containers/json", "/containers/[^/]+/json", "/events.*until")
    for path in paths:
        proxy.answer(path, cut(path))
    name = lab.name("web")
    docker("run", "-d", "--name", name, IMAGE, *SLEEP)
    async with watching(lab, host=proxy.host, reconcile=1.0) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        await sink.until(lambda: min(asked[path] for path in paths) >= 3)
        assert sink.troubles == []
        assert {result.status for result in sink.results[name]} == {Status.UP}


async def test_a_stream_that_is_cut_is_opened_again(lab: Lab, proxy: Proxy) -> None:
    """A proxy ends all connections, again and again, and the engine is well: no container becomes
    unknown, and what happens meanwhile and afterwards is told."""
    names = [lab.name(short) for short in ("a", "b")]
    for name in names:
        docker("run", "-d", "--name", name, IMAGE, *SLEEP)
    async with watching(lab, host=proxy.host) as (_, sink):
        for name in names:
            await reached(sink, name, Reason.RUNNING)
            sink.inventories.clear()
            proxy.cut()
            await asyncio.to_thread(docker, "kill", name)
            await reached(sink, name, Reason.STOPPED)
            await sink.until(lambda: sink.inventories)
        assert sink.troubles == []
        results = [result.status for name in names for result in sink.results[name]]
        assert Status.UNKNOWN not in results


def id_of(name: str) -> str:
    return docker("inspect", "-f", "{{.Id}}", name)


@pytest.mark.parametrize("trouble", ["hang", "fail"])
async def test_one_container_the_engine_does_not_answer_about_is_alone_unknown(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """``docker inspect`` of one container hangs, or is an error of the engine: that target is
    unknown, all others are watched as ever; an event tells of its end all the same, and once the
    engine answers it is seen again."""
    monkeypatch.setattr(source_module, "CALL_TIMEOUT", 1)
    sick, well = lab.name("sick"), lab.name("well")
    docker("run", "-d", "--name", sick, IMAGE, *SLEEP)
    docker("run", "-d", "--name", well, IMAGE, *SLEEP)
    async with watching(lab, host=proxy.host, reconcile=1) as (source, sink):
        await reached(sink, sick, Reason.RUNNING)
        getattr(proxy, trouble)(f"/containers/{id_of(sick)}/json")
        result = await reached(sink, sick, Reason.UNSEEN)
        assert result.status is Status.UNKNOWN
        assert result.message == "the engine does not answer about it"
        with pytest.raises(ActionError, match="did not complete the request: "):
            await source.inspect(sick)
        await asyncio.to_thread(docker, "kill", well)
        assert (await reached(sink, well, Reason.STOPPED)).status is Status.DOWN
        await asyncio.to_thread(docker, "kill", sick)
        assert (await reached(sink, sick, Reason.STOPPED)).status is Status.DOWN
        await asyncio.to_thread(docker, "start", sick)
        await sink.until(lambda: newest(sink, sick).status is Status.UP)
        await sink.until(lambda: newest(sink, sick).status is Status.UNKNOWN)
        proxy.heal()
        await sink.until(lambda: newest(sink, sick).status is Status.UP)
        assert Status.UNKNOWN not in {r.status for r in sink.results[well]}
        assert sink.troubles == []


async def test_a_container_the_engine_never_answered_about_is_there_all_the_same(
    lab: Lab, proxy: Proxy
) -> None:
    """A container whose inspect fails from the start is unknown, not missing, under its own name;
    once the engine answers it is like any other."""
    name = lab.name("sick")
    docker("run", "-d", "--name", name, "-l", "tocsin.critical=true", IMAGE, *SLEEP)
    proxy.fail(f"/containers/{id_of(name)}/json")
    async with watching(lab, host=proxy.host, reconcile=1) as (_, sink):
        assert sink.inventories[0] == {name}
        assert sink.targets[name].critical
        assert (await reached(sink, name, Reason.UNSEEN)).status is Status.UNKNOWN
        proxy.heal()
        assert (await reached(sink, name, Reason.RUNNING)).status is Status.UP


async def test_statistics_of_one_container_that_fail_take_nothing_from_others(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``docker stats`` of one container hangs: it has no figures, the others have theirs, and the
    engine is not impaired."""
    monkeypatch.setattr(source_module, "CALL_TIMEOUT", 2)
    monkeypatch.setattr(stats, "read_cgroup", lambda *_: None)
    sick, well = lab.name("sick"), lab.name("well")
    docker("run", "-d", "--name", sick, IMAGE, *SLEEP)
    docker("run", "-d", "--name", well, IMAGE, *SLEEP)
    proxy.hang(f"/containers/{id_of(sick)}/stats")
    async with watching(lab, host=proxy.host) as (_, sink):
        await sink.until(
            lambda: any("cpu_percent" in r.metrics for r in sink.results.get(well, []))
        )
        assert newest(sink, sick).status is Status.UP
        assert "memory_bytes" not in newest(sink, sick).metrics
        assert sink.troubles == []


async def test_a_ping_waits_behind_nothing() -> None:
    """While every thread for single containers hangs, the engine still answers a ping."""
    engine, free = Engine(DockerSource().client), threading.Event()
    await engine.connect()
    hanging = [asyncio.ensure_future(engine.run(free.wait)) for _ in range(2 * THREADS)]
    try:
        assert await asyncio.wait_for(engine.call("ping"), 10)
        assert not any(each.done() for each in hanging)
    finally:
        free.set()
        await asyncio.wait(hanging)
        engine.close()


@pytest.mark.parametrize("kind", ["dies", "starts", "goes"])
async def test_an_inventory_undoes_no_event(lab: Lab, proxy: Proxy, kind: str) -> None:
    """A container dies, starts or is removed while an inventory holds an older document of it: what
    the event told stays."""
    name = lab.name("x")
    docker("run", "-d", "--name", name, IMAGE, *SLEEP)
    if kind == "starts":
        docker("kill", name)
    before, act, after = {
        "dies": (Reason.RUNNING, ("kill",), Reason.STOPPED),
        "starts": (Reason.STOPPED, ("start",), Reason.RUNNING),
        "goes": (Reason.RUNNING, ("rm", "-f"), Reason.REMOVED),
    }[kind]
    async with watching(lab, host=proxy.host, reconcile=1, redeploy_grace=60) as (_, sink):
        await reached(sink, name, before)
        held = proxy.hold(f"/containers/{id_of(name)}/json")
        await held.taken.wait()
        await asyncio.to_thread(docker, *act, name)
        await reached(sink, name, after)
        told, taken = len(sink.results[name]), len(sink.inventories)
        held.release()
        await sink.until(lambda: len(sink.inventories) > taken + 1)
        later = {r.container.reason for r in sink.results[name][told:] if r.container is not None}
        assert later <= {after}


async def test_a_container_made_during_an_inventory_is_not_missed(lab: Lab, proxy: Proxy) -> None:
    """A container is made after the engine's list for an inventory, before its end: it is not taken
    for one that is gone."""
    name = lab.name("new")
    async with watching(lab, host=proxy.host, reconcile=1) as (_, sink):
        held = proxy.hold(r"/containers/json")
        await held.taken.wait()
        await asyncio.to_thread(docker, "run", "-d", "--name", name, IMAGE, *SLEEP)
        await reached(sink, name, Reason.RUNNING)
        taken = len(sink.inventories)
        held.release()
        await sink.until(lambda: len(sink.inventories) > taken + 1)
        assert all(name in inventory for inventory in sink.inventories[taken:])
        told = [r.container.reason for r in sink.results[name] if r.container is not None]
        assert Reason.REMOVED not in told
