"""A target that is down is told from an uplink of our own that is gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.contexts import polled
from tocsin import Probe, Result, Status, Target
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.reviewers import Reviewers
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import ReviewerSettings
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.plugins.operations.uplink import FRESH, Uplink, is_outside
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe
from tocsin.testing import SettableClock

SHOP = HttpProbe(url="http://shop.invalid/", timeout=5)
BESIDE = HttpProbe(url="http://127.0.0.1:9/", timeout=5)


class Outside:
    """A place that accepts connections, until it is told not to."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.server: asyncio.Server | None = None
        self.asked = 0

    async def open(self) -> None:
        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked += 1
            writer.close()

        self.server = await asyncio.start_server(accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    made = Outside()
    await made.open()
    yield made
    await made.close()


Settings = dict[str, ReviewerSettings]


def settings_of(*addresses: str) -> Settings:
    """The reviewers of a configuration with these addresses."""
    reviewer = Uplink(addresses=addresses)
    return {
        "uplink": ReviewerSettings(
            name="uplink", plugin="uplink", reviewer=reviewer, broken=None, options={}
        )
    }


@pytest.fixture
async def reviewers(
    outside: Outside, clock: SettableClock, tmp_path: Path
) -> AsyncIterator[Reviewers]:
    """The uplink, which one of two addresses shows; the other never answers."""
    plugins = frozenset({"http", "uplink"})
    isolation = Isolation(plugins, lambda *_: None, Contexts(tmp_path, clock))
    made = Reviewers(isolation)
    await made.apply(settings_of("127.0.0.1:1", f"127.0.0.1:{outside.port}"))
    yield made
    await made.stop()
    await isolation.stop()


def health(reviewers: Reviewers) -> ComponentHealth:
    """The component that the uplink reports."""
    return reviewers.isolation.contexts.health()["uplink"]


async def seen(reviewers: Reviewers, probe: Probe, plugin: str = "http") -> Result:
    """What a check records."""
    plugins = PluginManager(PluginSettings())
    plugins.load()
    clock = reviewers.isolation.contexts.clock
    runner = Runner(clock, reviewers.isolation, ProbeFaults(clock, plugins), reviewers)
    return (await runner.run(Target(name="shop"), "http", plugin, polled(probe))).result


async def test_down_is_down_while_the_uplink_is_there(
    reviewers: Reviewers, outside: Outside
) -> None:
    """A failure outside is the target's own while any address answers."""
    result = await seen(reviewers, SHOP)
    assert result.status is Status.DOWN
    assert outside.asked == 1
    assert health(reviewers).status is Health.OK


async def test_what_lies_outside_is_unknown_without_the_uplink(
    reviewers: Reviewers, outside: Outside, clock: SettableClock
) -> None:
    """Nothing answers: a target outside is unknown, and says why; one beside us stays down.
    tocsin's health names the reason, which ``monitor_impaired`` tells, until the uplink is back."""
    await outside.close()
    result = await seen(reviewers, SHOP)
    assert result.status is Status.UNKNOWN
    assert result.message.startswith("tocsin's own uplink failed")
    assert "cannot be resolved" in result.message
    assert (await seen(reviewers, BESIDE)).status is Status.DOWN
    found = health(reviewers)
    assert found.status is Health.DEGRADED
    assert f"127.0.0.1:{outside.port}" in found.message
    await outside.open()
    clock.advance(FRESH)
    for _ in range(200):  # it looks by itself
        if health(reviewers).status is Health.OK:
            break
        await asyncio.sleep(0.02)
    assert health(reviewers).status is Health.OK
    assert (await seen(reviewers, SHOP)).status is Status.DOWN


async def test_who_notices_first_is_not_told_that_all_was_well_a_moment_ago(
    reviewers: Reviewers, outside: Outside, clock: SettableClock
) -> None:
    """The uplink answered, and a second later it is gone: the first failure after that is unknown
    already."""
    assert (await seen(reviewers, SHOP)).status is Status.DOWN
    await outside.close()
    clock.advance(1)
    assert (await seen(reviewers, SHOP)).status is Status.UNKNOWN


@pytest.mark.slow
async def test_many_failures_are_one_look(reviewers: Reviewers, outside: Outside) -> None:
    """A hundred checks that fail at once ask the outside once."""
    await asyncio.gather(*(seen(reviewers, SHOP) for _ in range(100)))
    assert outside.asked == 1


async def test_without_addresses_nothing_is_doubted(reviewers: Reviewers) -> None:
    """Not configured: no health line, and down is down."""
    await reviewers.apply(settings_of())
    assert reviewers.isolation.contexts.health() == {}
    assert (await seen(reviewers, SHOP)).status is Status.DOWN


@frozen(kw_only=True)
class Odd(Probe):
    """Says where it goes in ways it should not."""

    answer: object = None

    async def check(self, target: Target) -> Result:
        return Result.down("down")

    def network_host(self, target: Target) -> str | tuple[str, ...] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (("127.0.0.1", "shop.invalid"), Status.UNKNOWN),
        (("127.0.0.1", "localhost"), Status.DOWN),
        ((), Status.DOWN),
        ((7, "shop.invalid"), Status.UNKNOWN),
    ],
)
async def test_one_of_several_hosts_outside_is_enough(
    reviewers: Reviewers, outside: Outside, hosts: tuple[str, ...], status: Status
) -> None:
    """A probe may name several hosts: the result is not valid if any of them is outside."""
    await outside.close()
    assert (await seen(reviewers, Odd(answer=hosts))).status is status


@pytest.mark.parametrize("answer", [None, "", 7, ["shop.invalid"], RuntimeError("no")])
async def test_a_probe_that_cannot_say_where_it_goes_is_believed(
    reviewers: Reviewers, outside: Outside, answer: object
) -> None:
    """No host, nonsense, an exception: the result stands."""
    await outside.close()
    assert (await seen(reviewers, Odd(answer=answer))).status is Status.DOWN


async def test_a_new_configuration_looks_anew(reviewers: Reviewers, outside: Outside) -> None:
    """A reload forgets what was found with other addresses."""
    await outside.close()
    assert (await seen(reviewers, SHOP)).status is Status.UNKNOWN
    await reviewers.apply(settings_of())
    assert reviewers.isolation.contexts.health() == {}
    assert (await seen(reviewers, SHOP)).status is Status.DOWN


@pytest.mark.parametrize(
    ("host", "out"),
    [
        ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.1.1", False), ("fe80::1", False),
        ("8.8.8.8", True), ("2606:4700::1111", True), ("postgres", False), ("localhost", False),
        ("shop.invalid", True),
    ],
)  # fmt: skip
async def test_what_counts_as_outside(host: str, out: bool) -> None:
    """Global addresses, and names of several parts that lead there or nowhere; nothing is sent to
    any of them to find out."""
    assert await is_outside(host) is out


def test_our_probes_say_where_they_go() -> None:
    """The host of http, tcp and postgres-query; none for a socket."""
    target = Target(name="t")
    assert SHOP.network_host(target) == "shop.invalid"
    assert TcpProbe(host="db.example.org", port=1).network_host(target) == "db.example.org"
    dsn = "postgresql://u:p@db.example.org/d"
    from tocsin import Secret

    assert PostgresQueryProbe(dsn=Secret(dsn)).network_host(target) == "db.example.org"
    assert PostgresQueryProbe(host="/run/postgresql").network_host(target) is None
