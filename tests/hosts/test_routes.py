"""Routes of plugins in a host."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest

from tests.conftest import eventually
from tests.hosts.conftest import Core
from tocsin import ActionError, Request, Role, Target, TargetSnapshot
from tocsin.core.hosts.hosted_route import HostedRoute
from tocsin.core.hosts.methods import Answered
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.testing import FixedSystem

ROUTES = """
    routes = Routes()
    @frozen
    class Page:
        limit: int = 10
    @frozen
    class Item:
        name: str
        size: int
    @frozen
    class Made:
        text: str
    @routes.get("items/{id}")
    async def item(request: Request, query: Page) -> Made:
        '''Return an item.'''
        if request.path["id"] == "0": raise ActionError("there is no item 0", missing=True)
        return Made(f"{request.path['id']} {query.limit} {request.actor}")
    @routes.post("items", role=Role.OPERATOR)
    async def make(request: Request, body: Item) -> Made:
        '''Make an item.'''
        return Made(f"{body.name} {body.size}")
    @routes.get("ticks", media="text/plain")
    async def ticks(request: Request):
        '''Tick.'''
        for number in range(2000):
            yield f"{number} " + "x" * 1000
    @hookimpl
    def tocsin_routes(): return routes.routes
"""


async def test_routes_answer_as_they_do_in_the_core(core: Core) -> None:
    """Query and body are decoded in the host by the plugin's own types; what does not fit is
    refused with the sentence that the core would have used."""
    core.load(ROUTES)
    (item, make, _) = (cast("HostedRoute", route) for _, route in core.manager.routes)
    assert [route.path for _, route in core.manager.routes] == [
        "/api/v1/plugins/strange/items/{id}", "/api/v1/plugins/strange/items",
        "/api/v1/plugins/strange/ticks",
    ]  # fmt: skip
    assert (item.role, make.role, item.summary) == (Role.VIEWER, Role.OPERATOR, "Return an item")
    asked = Request(actor="ann", role=Role.VIEWER, path={"id": "7"})
    assert (await item.ask(asked, {"limit": "3"}, None)).body == b'{"text":"7 3 ann"}'
    wrong = await item.ask(asked, {"limit": "x"}, None)
    assert (wrong.status, wrong.text) == (
        422, "a query parameter is wrong: limit: expected `int`, got `str`",
    )  # fmt: skip
    with pytest.raises(ActionError, match="there is no item 0"):
        await item.ask(Request(actor="ann", role=Role.VIEWER, path={"id": "0"}), {}, None)
    assert (await make.ask(asked, {}, {"name": "a", "size": 2})).body == b'{"text":"a 2"}'
    wrong = await make.ask(asked, {}, {"name": "a"})
    assert (wrong.status, wrong.text) == (
        422, "the body is wrong: object missing required field `size`",
    )  # fmt: skip


async def test_the_openapi_document_has_the_routes_of_hosts(core: Core) -> None:
    """It describes them as it does those of the core's own process."""
    from tocsin.core.config.core_settings import PluginSettings
    from tocsin.core.http.openapi import document
    from tocsin.core.plugin.manager import PluginManager

    core.load(ROUTES)
    remote = document([], core.manager.routes, "1", core.manager.route_documents)
    inline = PluginManager(PluginSettings(inline=("strange",)), core.manager._discover)
    inline.load()
    assert len(inline.routes) == 3
    assert "strange" not in inline.hosts
    assert remote == document([], inline.routes, "1", inline.route_documents)


async def test_a_stream_flows_no_faster_than_it_is_read(core: Core) -> None:
    """All chunks arrive in order; the host waits while they are not read; a reader who leaves ends
    the generator."""
    core.load(ROUTES)
    ticks = cast("HostedRoute", core.manager.routes[2][1])
    asked = Request(actor="ann", role=Role.VIEWER)
    read: list[bytes | Answered] = []
    stream = ticks.stream(asked, {}, None)
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            read.append(chunk)
            if len(read) == 1:  # everything that the host may send has come meanwhile
                peer = core.host.peer
                assert peer is not None
                before = -1.0
                while before != peer.heard_at:
                    before = peer.heard_at
                    await asyncio.sleep(0.2)
                (take,) = core.host.calls.streams.values()
                waiting = cast("Any", take).__self__.qsize()
                assert 100 < waiting < 300
    assert len(read) == 2000
    assert cast("bytes", read[1999]).startswith(b"1999 ")
    left = ticks.stream(asked, {}, None)
    async with aclosing(left) as chunks:
        async for _ in chunks:
            break
    peer = core.host.peer
    assert peer is not None
    await eventually(lambda: not peer.is_busy)
    assert not core.host.calls.streams


async def test_a_route_reads_the_running_tocsin(core: Core) -> None:
    """Each read of its view is answered by the core, targets in portions; after the request it is
    over."""
    core.load("""
        routes = Routes()
        kept = []
        @routes.get("count")
        async def count(request: Request, view: SystemView) -> dict[str, int]:
            '''Count.'''
            kept.append(view)
            found = {"targets": len([t async for t in view.targets()])}
            found["again"] = len([t async for t in view.targets()])
            found["alerts"] = len(await view.alerts())
            found["runs"] = (await view.statistics()).runs
            return found
        @routes.get("late")
        async def late(request: Request) -> str:
            '''Ask too late.'''
            await kept[0].alerts()
            return ""
        @hookimpl
        def tocsin_routes(): return routes.routes
    """)
    count, late = (cast("HostedRoute", route) for _, route in core.manager.routes)
    assert (count.wants_view, late.wants_view) == (True, False)
    system = FixedSystem(
        targets=[TargetSnapshot(target=Target(name=f"t{n}")) for n in range(250)],
    )
    asked = Request(actor="ann", role=Role.VIEWER)
    answer = await count.ask(asked, {}, None, system)
    assert answer.body == b'{"targets":250,"again":250,"alerts":0,"runs":0}'
    with pytest.raises(PluginFault, match="after its end"):
        await late.ask(asked, {}, None)
