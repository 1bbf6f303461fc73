"""The event stream, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.api.conftest import Asker, Stack, facts
from tests.conftest import eventually
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import Result
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer, chunks, stream
from tocsin.core.monitor.bus import Bus, Subscription

pytestmark = pytest.mark.usefixtures("stack")


async def read_events(content: Any, count: int) -> list[dict[str, str]]:
    """The next events of a stream, comments and the retry line left out."""
    events: list[dict[str, str]] = []
    current: dict[str, str] = {}
    async with asyncio.timeout(20):
        async for raw in content:
            line = raw.decode().rstrip("\n")
            if not line and "data" in current:
                events.append(current)
                current = {}
                if len(events) == count:
                    break
            elif not line.startswith(":") and ": " in line:
                key, _, value = line.partition(": ")
                current[key] = value
    return events


def crash(stack: Stack) -> None:
    stack.see("web", "docker", Result.down("gone", container=facts(Reason.CRASHED, "exited")))


async def test_the_stream_tells_news_and_resumes(ask: Asker, stack: Stack) -> None:
    """Changes arrive as events as they happen; Last-Event-ID brings what was missed meanwhile,
    each once, also where a flood of results came between."""
    url = "/api/v1/stream?kinds=status"
    answer = await ask.client.get(url, headers=ask.headers)
    assert answer.content_type == "text/event-stream"
    await answer.content.readline()
    crash(stack)
    (event,) = await read_events(answer.content, 1)
    assert event["event"] == "status"
    data = json.loads(event["data"])
    assert (data["target"], data["before"], data["after"]) == ("web", "up", "down")
    answer.close()
    stack.see("web", "docker", Result.up("back", container=facts()))
    for _ in range(1500):
        stack.bus.publish("result", {})
    headers = {**ask.headers, "Last-Event-ID": event["id"]}
    answer = await ask.client.get(url, headers=headers)
    await answer.content.readline()
    crash(stack)
    events = await read_events(answer.content, 2)
    assert [e["event"] for e in events] == ["status", "status"]
    assert [json.loads(e["data"])["after"] for e in events] == ["up", "down"]
    answer.close()


@pytest.mark.parametrize("last", ["17", "0-3", "x", "9" * 5000])
async def test_a_reader_from_before_a_restart_is_told(ask: Asker, last: str) -> None:
    """An id of another run of tocsin, or no id at all, cannot be resumed from: the reader is told
    that it lost news, not how many."""
    answer = await ask.client.get("/api/v1/stream", headers={**ask.headers, "Last-Event-ID": last})
    (event,) = await read_events(answer.content, 1)
    assert event == {"retry": "2000", "event": "lost", "data": '{"count":null}'}
    answer.close()


async def test_what_is_no_longer_kept_is_told_as_lost(ask: Asker, stack: Stack) -> None:
    """One who comes back too late is told that news are lost, then gets those still kept."""
    answer = await ask.client.get("/api/v1/stream?kinds=event", headers=ask.headers)
    await answer.content.readline()
    stack.bus.publish("event", {"n": -1})
    (event,) = await read_events(answer.content, 1)
    answer.close()
    for n in range(1200):
        stack.bus.publish("event", {"n": n})
    headers = {**ask.headers, "Last-Event-ID": event["id"]}
    answer = await ask.client.get("/api/v1/stream?kinds=event", headers=headers)
    events = await read_events(answer.content, 1001)
    assert events[0]["event"] == "lost"
    assert [json.loads(e["data"])["n"] for e in events[1:]] == list(range(200, 1200))
    answer.close()


async def test_a_listener_that_does_not_read_loses_the_oldest() -> None:
    """Publishing never waits: the oldest news give way, and the listener knows how many."""
    bus = Bus()
    with bus.subscribe("status", limit=10) as subscription:
        for n in range(25):
            bus.publish("status", n)
            bus.publish("other", n)
        assert subscription.lost == 15
        assert [news.data for news in await subscription.batch()] == list(range(15, 25))


async def test_head_and_wrong_kinds(ask: Asker) -> None:
    """HEAD ends at once; an empty list of kinds is refused, not taken for all of them."""
    async with asyncio.timeout(10):
        answer = await ask.client.head("/api/v1/stream", headers=ask.headers)
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        await answer.read()
    await ask.get("/api/v1/stream?kinds=", 400)


async def test_a_stream_ends_with_its_token(ask: Asker, stack: Stack) -> None:
    """A revoked token gets no further news from a stream that is already open."""
    plain = stack.tokens.create("guest", Role.VIEWER)
    headers = {"Authorization": f"Bearer {plain}"}
    answer = await ask.client.get("/api/v1/stream", headers=headers)
    await answer.content.readline()
    stack.tokens.revoke("guest")
    crash(stack)
    async with asyncio.timeout(20):
        rest = await answer.content.read()
    assert b"gone" not in rest


@pytest.fixture
async def server(stack: Stack) -> AsyncIterator[tuple[ApiServer, int]]:
    """A real server and its port."""
    made = ApiServer(stack)
    url = await made.start("127.0.0.1", 0)
    yield made, int(url.rpartition(":")[2])
    await made.stop()


async def stalled(
    stack: Stack,
    port: int,
    until: Callable[[Subscription], bool] = lambda subscription: subscription.lost > 0,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader that asks for the stream and reads nothing, while news are published."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=4096)
    token = stack.tokens.create("slow", Role.VIEWER)
    head = f"GET /api/v1/stream?kinds=event HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}"
    writer.write(head.encode() + b"\r\n\r\n")
    await eventually(lambda: stack.bus._subscriptions)
    (subscription,) = stack.bus._subscriptions

    async def flooded() -> bool:
        for _ in range(200):
            stack.bus.publish("event", {"filler": "x" * 1000})
        await asyncio.sleep(0)
        return until(subscription)

    await eventually(flooded)
    return reader, writer


async def test_a_slow_reader_is_told_what_it_lost(
    stack: Stack, server: tuple[ApiServer, int]
) -> None:
    """A reader that stalls and goes on again is told how many news it lost."""
    reader, writer = await stalled(stack, server[1])
    async with asyncio.timeout(20):
        seen = b""
        while (found := re.search(rb'event: lost\ndata: {"count":(\d+)}\n', seen)) is None:
            more = await reader.read(4096)
            assert more, "the stream ended"
            seen = seen[-100:] + more
    assert int(found[1]) > 0
    writer.close()


async def test_stopping_ends_every_stream(stack: Stack, server: tuple[ApiServer, int]) -> None:
    """Readers that wait and readers that take nothing are both let go when the server stops."""
    _, writer = await stalled(stack, server[1])
    reader, other = await asyncio.open_connection("127.0.0.1", server[1])
    token = stack.tokens.create("waiting", Role.VIEWER)
    other.write(
        f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"retry: 2000\n\n")
    async with asyncio.timeout(20):
        await server[0].stop()
        await reader.read()
    assert not stack.bus._subscriptions
    writer.close()
    other.close()


async def test_an_idle_stream_shows_signs_of_life(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments keep an idle connection open; it ends with its token, without any news too."""
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.01)
    plain = stack.tokens.create("guest", Role.VIEWER)
    headers = {"Authorization": f"Bearer {plain}"}
    answer = await ask.client.get("/api/v1/stream", headers=headers)
    async with asyncio.timeout(20):
        await answer.content.readuntil(b": still here\n\n")
        stack.tokens.revoke("guest")
        await answer.content.read()


async def test_a_reader_that_takes_nothing_is_cut_off(
    stack: Stack, server: tuple[ApiServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that stays stalled does not hold its connection and its news for good."""
    monkeypatch.setattr(chunks, "PATIENCE", 0.05)
    _, writer = await stalled(stack, server[1], until=lambda _: not stack.bus._subscriptions)
    writer.close()


async def test_half_a_character_breaks_no_answer_and_no_stream(ask: Asker, stack: Stack) -> None:
    """A probe may repeat a file's name, which may be no text: lists, single views, alerts and the
    stream show it with a question mark in its place."""
    url = "/api/v1/stream?kinds=result,status"
    answer = await ask.client.get(url, headers=ask.headers)
    await answer.content.readline()
    stack.see("dead", "docker", Result.down("the file tag-\udce4.sql is old"))
    events = await read_events(answer.content, 2)
    answer.close()
    assert all(json.loads(e["data"])["message"] == "the file tag-?.sql is old" for e in events)
    for path in ("targets", "targets/dead", "checks", "containers", "containers/dead", "alerts"):
        assert "the file tag-?.sql is old" in json.dumps(await ask.get(f"/api/v1/{path}")), path
