"""What plugins read of the running tocsin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from pytest_aiohttp import AiohttpClient

from tests.api.conftest import Asker, Stack, facts
from tocsin import Request, Routes, Severity, Status, SystemView, TargetSnapshot, hookimpl
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.http import ApiServer
from tocsin.core.http.system_view import PORTION, RunningSystem
from tocsin.testing import FixedSystem, check_route_conformance

routes = Routes()


@routes.get("down")
async def down(request: Request, view: SystemView) -> list[str]:
    """List the targets that are down."""
    return [one.target.name async for one in view.targets() if one.status is Status.DOWN]


@routes.get("names", media="text/plain")
async def names(request: Request, view: SystemView) -> AsyncIterator[str]:
    """Send the name of each target."""
    async for one in view.targets():
        yield f"{one.target.name}\n"


class Plugin:
    """Offers the routes."""

    @hookimpl
    def tocsin_routes(self) -> Any:
        return routes.routes


@pytest.fixture
async def view(stack: Stack) -> RunningSystem:
    return RunningSystem(stack)


async def test_targets_with_their_checks(stack: Stack, view: RunningSystem) -> None:
    """Status, messages, numbers of results and of containers; a check without a result is
    unknown."""
    stack.put_check("web", "http")
    found = {one.target.name: one async for one in view.targets()}
    assert set(found) == {"web", "db", "dead", "site / ü", 'od"d\\\n'}
    web = found["web"]
    assert (web.status, web.container) == (Status.UNKNOWN, facts())
    seen, unseen = web.checks
    assert (seen.name, seen.probe, seen.status, seen.message) == (
        "docker", "docker-health", Status.UP, "running",
    )  # fmt: skip
    assert seen.metrics["cpu_percent"] == 5.0
    assert (seen.runs, seen.failures) == (1, 0)
    assert seen.at is not None
    assert (unseen.status, unseen.at, unseen.metrics) == (Status.UNKNOWN, None, {})
    site = found["site / ü"]
    assert site.container is None
    assert (site.checks[0].latency, site.checks[0].metrics) == (0.1, {"body_bytes": 3.0})


async def test_alerts_channels_components_plugins_and_counters(
    stack: Stack, view: RunningSystem
) -> None:
    """Everything else that /metrics exposes; secrets in messages are hidden."""
    (alert,) = await view.alerts()
    assert (alert.rule, alert.target, alert.severity) == ("container_down", "db", Severity.CRITICAL)
    assert [channel.name for channel in await view.channels()] == ["ops"]
    stack.parts["database"] = ComponentHealth(
        status=Health.DEGRADED, message="postgresql://u:kQ9xLr2vTzWm4Hn8@h/d is gone",
        details={"rows_written": 7, "text": "x", "flag": True, "not": float("nan")},
    )  # fmt: skip
    parts = {part.name: part for part in await view.components()}
    assert parts["database"].numbers == {"rows_written": 7.0}
    assert "kQ9" not in parts["database"].message
    assert parts["scheduler"].status is Health.OK
    assert {one.status for one in await view.plugins()} == {"ok"}
    counters = await view.statistics()
    assert (counters.version, counters.checks) == ("0.0.1", 2)


async def test_targets_that_go_meanwhile_are_left_out(stack: Stack, view: RunningSystem) -> None:
    """They are read in portions; the event loop is free in between."""
    for n in range(2 * PORTION):
        stack.add(f"t{n}", "service", "http", "http")
    seen: list[TargetSnapshot] = []
    async for one in view.targets():
        if not seen:
            for n in range(2 * PORTION):
                stack.drop(f"t{n}")
        seen.append(one)
    assert len(seen) == PORTION


@pytest.mark.parametrize("inline", [False, True], ids=["own thread", "inline"])
async def test_a_route_reads_the_state(
    stack: Stack, inline: bool, tokens: dict[str, str], aiohttp_client: AiohttpClient
) -> None:
    """A handler with a parameter ``view`` gets it, also in its plugin's own thread; the answer is
    of one moment."""
    stack.plugins.add("tests", Plugin, "tests", "0")
    if inline:
        stack.isolation.inline = frozenset({"tests"})
    ask = Asker(await aiohttp_client(TestServer(ApiServer(stack).application())), tokens["viewer"])
    assert await ask.get("/api/v1/plugins/tests/down") == ["db"]
    answer = await ask.client.get("/api/v1/plugins/tests/names", headers=ask.headers)
    assert (await answer.text()).splitlines()[:2] == ["web", "db"]
    document = await ask.get("/api/v1/openapi.json")
    assert document["paths"]["/api/v1/plugins/tests/down"]["get"]["parameters"] == []


def test_a_view_has_its_type() -> None:
    """Another annotation is refused with a sentence."""

    async def wrong(request: Request, view: int) -> None:
        """Read it."""

    with pytest.raises(ValueError, match="annotate 'view' of wrong with SystemView"):
        routes.get("wrong")(wrong)


async def test_the_suite_of_routes_gives_a_view() -> None:
    """An empty one, or that of the test."""
    assert await check_route_conformance(routes.routes[0]) == []
    target = SimpleNamespace(name="web")
    gone = TargetSnapshot(target=target, status=Status.DOWN)  # type: ignore[arg-type]
    view = FixedSystem(targets=[gone])
    assert await check_route_conformance(routes.routes[0], view=view) == ["web"]
    assert await check_route_conformance(routes.routes[1], view=view) == [b"web\n"]
    assert await asyncio.wait_for(view.alerts(), 1) == ()
