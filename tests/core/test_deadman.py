"""The dead man's switch: a ping goes out while tocsin does its job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tests.conftest import eventually
from tocsin import Secret
from tocsin.core.config.core_settings import DeadmanSettings
from tocsin.core.contracts.model import Health
from tocsin.core.contracts.rule import VerdictState
from tocsin.core.lifecycle.deadman import Deadman
from tocsin.core.lifecycle.self_monitoring import PATIENCE, verdicts
from tocsin.testing import SettableClock


class Waiting:
    """Waits for pings; answers as told."""

    def __init__(self) -> None:
        self.pings = 0
        self.status = 200
        self.hang = False
        self.url = ""

    async def start(self, aiohttp_server: AiohttpServer) -> None:
        app = web.Application()
        app.router.add_get("/ping/s3cr3t", self._ping)
        self.url = str((await aiohttp_server(app)).make_url("/ping/s3cr3t"))

    async def _ping(self, _: web.Request) -> web.Response:
        self.pings += 1
        if self.hang:
            await asyncio.sleep(3600)
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    def settings(self, **options: Any) -> DeadmanSettings:
        return DeadmanSettings(url=Secret(self.url), **options)


@pytest.fixture
async def waiting(aiohttp_server: AiohttpServer) -> Waiting:
    made = Waiting()
    await made.start(aiohttp_server)
    return made


@pytest.fixture
async def deadman(clock: SettableClock) -> AsyncIterator[Deadman]:
    made = Deadman(clock, lambda: WELL[0])
    WELL[0] = True
    yield made
    await made.stop()


WELL = [True]


def impaired(deadman: Deadman) -> bool:
    """Whether monitor_impaired fires for it."""
    (_, verdict), *_ = verdicts(deadman.health(), [], [])
    return verdict.state is VerdictState.FIRING


async def test_it_pings_each_interval_while_all_is_well(
    deadman: Deadman, waiting: Waiting, clock: SettableClock
) -> None:
    """One ping at once, one each interval; none while tocsin does not do its job; then again."""
    deadman.apply(waiting.settings(interval=60))
    for count in (1, 2, 3):
        await eventually(lambda count=count: deadman.pings == count)
        assert waiting.pings == count
        await eventually(clock.next_wait)
        clock.advance(60)
    await eventually(lambda: deadman.pings == 4)
    WELL[0] = False
    await eventually(clock.next_wait)
    clock.advance(60)
    await eventually(clock.next_wait)
    assert waiting.pings == 4
    WELL[0] = True
    clock.advance(60)
    await eventually(lambda: waiting.pings == 5)
    assert deadman.health()["deadman"].status is Health.OK


@pytest.mark.parametrize(
    ("status", "says"), [(500, "it answered 500"), (404, "it answered 404"), (302, "answered 302")]
)
async def test_a_refusal_is_told_and_the_url_is_not(
    deadman: Deadman, waiting: Waiting, status: int, says: str
) -> None:
    """An answer that is none, a redirect among them: named in health, without the secret URL."""
    waiting.status = status
    deadman.apply(waiting.settings())
    await eventually(lambda: deadman.trouble)
    health = deadman.health()["deadman"]
    assert health.status is Health.DEGRADED
    assert says in health.message
    assert "s3cr3t" not in health.message


async def test_nobody_there_and_one_that_hangs(deadman: Deadman, waiting: Waiting) -> None:
    """Both are told in a few words, and pinged again at the next interval."""
    waiting.hang = True
    deadman.apply(waiting.settings(timeout=0.05))
    await eventually(lambda: deadman.trouble == "no answer in time")
    deadman.apply(DeadmanSettings(url=Secret("http://127.0.0.1:9/s3cr3t")))
    await eventually(lambda: "Connect" in str(deadman.trouble))
    assert "s3cr3t" not in str(deadman.trouble)


async def test_one_lost_ping_is_no_impairment(
    deadman: Deadman, waiting: Waiting, clock: SettableClock
) -> None:
    """Whoever waits has patience: monitor_impaired fires only when pings fail for minutes."""
    waiting.status = 503
    deadman.apply(waiting.settings(interval=60))
    await eventually(lambda: deadman.trouble)
    assert not impaired(deadman)
    clock.advance(PATIENCE + 1)
    assert impaired(deadman)
    waiting.status = 200
    await eventually(lambda: deadman.trouble is None)
    assert not impaired(deadman)


async def test_without_a_url_there_is_none(deadman: Deadman, waiting: Waiting) -> None:
    """Not configured: no health line; a reload that takes the URL away ends the pings."""
    deadman.apply(DeadmanSettings())
    assert deadman.health() == {}
    deadman.apply(waiting.settings())
    await eventually(lambda: deadman.pings == 1)
    deadman.apply(DeadmanSettings())
    assert deadman.health() == {}
