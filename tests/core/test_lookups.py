"""Looking names up while the resolver is away."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import evolve
from pytest_aiohttp import AiohttpServer

from tests.contexts import contexts, polled
from tocsin import Secret, Status, Target, connect_to, look_up, own_shortage
from tocsin.core.app import Tocsin
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.punctuality import host_names
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.resolver import lookups
from tocsin.core.resolver.guard import guard_lookups
from tocsin.core.resolver.local_names import HostsFile
from tocsin.core.resolver.lookups import Lookups, lookups_of_check
from tocsin.core.resolver.threads import LookupThreads
from tocsin.core.runtime.shortage import LookupTrouble
from tocsin.plugins.notifiers.webhook import WebhookChannel, WebhookNotifier
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe
from tocsin.testing import message_of

TARGET = Target(name="shop")


class Resolver:
    """The system's: names under ``dead.test`` are never answered while it is away, ``*.busy.test``
    by "try again", others are 127.0.0.1 but those that are not there."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: Any, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if host.endswith("dead.test"):
            self.back.wait()
        if host.endswith("busy.test"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host.startswith("no."):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    own = Lookups(LookupThreads("checks", 4), LookupThreads("delivery", 2))
    monkeypatch.setattr(lookups, "LOOKUPS", own)
    yield made
    made.back.set()


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    isolation = Isolation(frozenset({"http", "tcp"}), lambda *_: None, contexts())
    clock = SystemClock()
    yield Runner(clock, isolation, ProbeFaults(clock, PluginManager(PluginSettings())))
    await isolation.stop()


@pytest.fixture
async def site(aiohttp_server: AiohttpServer) -> int:
    """The port of a site that answers everything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_route("*", "/", answer)
    return (await aiohttp_server(app)).port or 0


async def test_addresses_and_names_of_the_hosts_file_take_no_thread(
    resolver: Resolver, tmp_path: Path
) -> None:
    """They are known at once, whatever their form, while every lookup hangs; the hosts file is read
    again when it changes, and is not where the resolver comes first."""
    hosts, switch = tmp_path / "hosts", tmp_path / "nsswitch.conf"
    hosts.write_text("127.0.0.7 Shop.lan shop # the shop\n::1 six\n127.0.0.8 six\nnonsense x\n")
    switch.write_text("hosts: files dns\n")
    lookups.LOOKUPS.hosts_file = HostsFile(hosts, switch)
    for host, place in {
        "127.0.0.1": ("127.0.0.1", 80), "127.1": ("127.0.0.1", 80), "::1": ("::1", 80, 0, 0),
        "fe80::1%1": ("fe80::1", 80, 0, 1), "shop.LAN": ("127.0.0.7", 80),
        "six": ("::1", 80, 0, 0),
    }.items():  # fmt: skip
        assert (await look_up(host, 80))[0][4] == place
    assert len(await look_up("six", 80)) == 2
    assert [row[4] for row in await look_up("six", 1, family=socket.AF_INET)] == [("127.0.0.8", 1)]
    hosts.write_text("127.0.0.10 shop.lan\n")
    assert (await look_up("shop.lan", 1))[0][4] == ("127.0.0.10", 1)
    with pytest.raises(socket.gaierror):
        await look_up("127.0.0.1", 1, family=socket.AF_INET6)
    assert resolver.asked == []
    switch.write_text("hosts: dns files\n")
    assert (await look_up("shop.lan", 1))[0][4] == ("127.0.0.1", 1)
    assert resolver.asked == ["shop.lan"]


async def test_a_hosts_file_that_cannot_be_opened_now_is_read_later(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no descriptor left, what was read last holds, and the change is not forgotten."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.7 shop\n")
    lookups.LOOKUPS.hosts_file = HostsFile(hosts, tmp_path / "none")
    assert (await look_up("shop", 1))[0][4] == ("127.0.0.7", 1)
    hosts.write_text("127.0.0.10 shop\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(OSError(24, "too many")))
        assert (await look_up("shop", 1))[0][4] == ("127.0.0.7", 1)
    assert (await look_up("shop", 1))[0][4] == ("127.0.0.10", 1)


async def test_lookups_of_one_name_are_one(resolver: Resolver) -> None:
    """Who asks for a name that is being looked up gets that answer; it holds for a moment."""
    every = [asyncio.create_task(look_up("a.dead.test", n, timeout=60)) for n in range(50)]
    await asyncio.sleep(0)
    resolver.back.set()
    assert [(await one)[0][4] for one in every] == [("127.0.0.1", n) for n in range(50)]
    await look_up("a.dead.test", 1)
    assert resolver.asked == ["a.dead.test"]


def probes_of(host: str, port: int) -> list[tuple[str, Any]]:
    return [
        ("tcp", TcpProbe(host=host, port=port, timeout=0.3)),
        ("http", HttpProbe(url=f"http://{host}:{port}/", timeout=0.3)),
        ("http", HttpProbe(url=f"http://{host}:{port}/", timeout=0.3, method="POST")),
        ("postgres-query", PostgresQueryProbe(host=host, port=port, user="u", timeout=0.3)),
    ]


@pytest.mark.parametrize("host", ["a.dead.test", "a.busy.test"])
async def test_a_name_that_the_resolver_is_silent_about_is_unknown(
    resolver: Resolver, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each probe says that tocsin could not look the name up; health names it until it could."""
    monkeypatch.setattr(lookups, "PATIENCE", 0.05)
    for _, probe in probes_of(host, 1):
        result = await polled(evolve(probe, timeout=5.0)).check(TARGET)
        assert result.status is Status.UNKNOWN, result
        assert result.message.startswith(f"tocsin could not look up the name: {host} (")
    assert host in host_names().message
    resolver.back.set()
    if host == "a.dead.test":
        await look_up(host, 1, timeout=60)
        assert host_names().message == ""


async def test_a_tocsin_that_stopped_leaves_no_trouble_to_the_next(
    resolver: Resolver, tmp_path: Path
) -> None:
    """Which names could not be looked up is of one app; the next in the process begins without."""
    with pytest.raises(LookupTrouble):
        await look_up("dead.test", 1, timeout=0.05)
    assert "dead.test" in host_names().message
    plugins = PluginManager(PluginSettings())
    settings = load_config(None, {"TOCSIN_DATA_DIR": str(tmp_path)}, plugins)
    await Tocsin(None, {}, plugins, settings).stop()
    assert host_names().message == ""


async def test_a_name_that_does_not_exist_is_down(resolver: Resolver) -> None:
    """The resolver has answered: that is the target's trouble."""
    for _, probe in probes_of("no.test", 1):
        result = await polled(probe).check(TARGET)
        assert (result.status, result.message.rpartition(": ")[2]) == (
            Status.DOWN, "the host name cannot be resolved",
        )  # fmt: skip
    assert host_names().message == ""


async def test_any_probe_that_still_looked_up_is_unknown(
    resolver: Resolver, runner: Runner
) -> None:
    """A run that ends by its own timer, in whatever library, while the name is being looked up, is
    unknown: the runner knows what was under way."""
    for plugin, probe in probes_of("a.dead.test", 1):
        seen = await runner.run(TARGET, "c", plugin, polled(probe))
        assert seen.result.status is Status.UNKNOWN

    class Impatient(TcpProbe):
        async def check(self, target: Target) -> Any:
            from tocsin import Result

            try:
                async with asyncio.timeout(0.05):
                    await connect_to("a.dead.test", 1)
            except TimeoutError:
                return Result.down("no answer")

    seen = await runner.run(TARGET, "c", "tcp", polled(Impatient(host="x", port=1)))
    assert seen.result.status is Status.UNKNOWN
    assert "a.dead.test" in seen.result.message


async def test_checks_cannot_fill_what_delivery_needs(resolver: Resolver, site: int) -> None:
    """While lookups of checks hang in numbers, a channel reaches a numeric address and a name, and
    a check of an address is up."""
    hang = [
        asyncio.create_task(polled(probe).check(TARGET))
        for n in range(40)
        for _, probe in probes_of(f"{n}.dead.test", site)
    ]
    await asyncio.sleep(0.05)
    for host in ("127.0.0.1", "hook.test"):
        notifier = WebhookChannel(
            WebhookNotifier(url=Secret(f"http://{host}:{site}/"), allow_private=True)
        )
        assert (await notifier.send(message_of())).answer.startswith("answered 200")
    assert (
        await polled(HttpProbe(url=f"http://127.0.0.1:{site}/")).check(TARGET)
    ).status is Status.UP
    results = await asyncio.gather(*hang)
    assert {one.status for one in results} == {Status.UNKNOWN}
    assert threading.active_count() < 40


async def test_names_that_are_answered_are_not_starved(resolver: Resolver) -> None:
    """Names that hang have half of the threads at most, once they are known to."""
    for n in range(4):
        with pytest.raises(LookupTrouble):
            await look_up(f"{n}.dead.test", 1, timeout=0.05)
    with pytest.raises(LookupTrouble, match="no thread was free"):
        await look_up("a.test", 1, timeout=0.05)
    resolver.back.set()
    await look_up("b.test", 1, timeout=60)
    resolver.back.clear()
    slow = lookups.LOOKUPS.checks._were_slow
    for n in range(4):
        slow[f"{n}.dead.test"] = None
        with pytest.raises(LookupTrouble):
            await look_up(f"{n}.dead.test", 2, family=socket.AF_INET, timeout=0.05)
    assert (await look_up("c.test", 1, timeout=60))[0][4] == ("127.0.0.1", 1)


async def test_delivery_takes_the_last_good_answer(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel goes on with the address that it had when its resolver is silent, or says to try
    again; checks do not, and without an address it is told why."""
    monkeypatch.setattr(lookups, "FRESH", -1)
    monkeypatch.setattr(lookups, "DELIVERY_PATIENCE", 0.05)
    monkeypatch.setattr(lookups, "DELIVERY_AT_MOST", 0.1)
    for host in ("a.dead.test", "a.busy.test"):
        lookups.LOOKUPS.answers[host, 0] = (time.monotonic(), [(socket.AF_INET, ("127.0.0.3", 0))])
    for host in ("a.dead.test", "a.busy.test"):
        assert (await look_up(host, 9))[0][4] == ("127.0.0.3", 9)
        with pytest.raises(LookupTrouble), lookups_of_check():
            await look_up(host, 9, timeout=0.1)
    with pytest.raises(LookupTrouble) as caught:
        await look_up("b.dead.test", 9)
    assert own_shortage(caught.value) == (
        "tocsin could not look up the name: b.dead.test (no answer within 0.1 s)"
    )


async def test_libraries_look_up_the_same_way(resolver: Resolver, site: int) -> None:
    """In a guarded event loop a library's own connections do, for checks and for delivery."""
    guard_lookups(asyncio.get_running_loop())
    _, writer = await asyncio.open_connection("a.test", site)
    writer.close()
    assert lookups.LOOKUPS.answers["a.test", 0][1] == [(socket.AF_INET, ("127.0.0.1", 0))]
    with lookups_of_check() as watch, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.open_connection("a.dead.test", site)
    assert "a.dead.test" in (watch.trouble() or "")
