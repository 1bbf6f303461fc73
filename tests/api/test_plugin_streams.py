"""Routes of plugins that stream."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from attrs import frozen

from tests.api.conftest import Asker, Stack
from tests.conftest import eventually
from tocsin import ActionError, Request, Role, Route, Routes, hookimpl
from tocsin.core.http import ApiServer, chunks, plugin_routes, plugin_streams
from tocsin.core.shapes.answers import MAX_CHUNK

routes = Routes()
UNDER = "/api/v1/plugins/river"


@frozen(kw_only=True)
class FlowQuery:
    how: str = "count"
    size: int = 1000


class Flow:
    """What the generators did."""

    yielded = 0
    open = 0


@routes.get("count", media="text/event-stream")
async def count(request: Request) -> AsyncIterator[str]:
    """Count to three, then wait for ever."""
    Flow.open += 1
    try:
        async with asyncio.timeout(3600):  # is entered and left in one task
            for n in range(3):
                yield f"data: {n} {request.actor}\n\n"
            await asyncio.sleep(3600)
    finally:
        Flow.open -= 1


@routes.get("flood", media="application/octet-stream")
async def flood(request: Request, query: FlowQuery) -> AsyncIterator[bytes]:
    """Yield as fast as it can."""
    Flow.open += 1
    try:
        while True:
            Flow.yielded += 1
            yield b"x" * query.size
    finally:
        Flow.open -= 1


@routes.get("flow", media="text/plain")
async def flow(request: Request, query: FlowQuery) -> AsyncIterator[str | bytes]:
    """Do what is asked for."""
    odd: dict[str, Any] = {"odd": 7, "large": "x" * (MAX_CHUNK + 1), "broken": "\udce4"}
    match query.how:
        case "refuse":
            raise ActionError("there is no such river", missing=True)
        case "hang":
            await asyncio.sleep(3600)
        case "block":
            time.sleep(3600)  # noqa: ASYNC251 - a plugin that blocks
        case "stubborn":
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        case "early":
            raise ValueError("dry")
        case "nothing":
            return
    yield "first\n"
    match query.how:
        case "late":
            raise ValueError("dry")
        case "refuse late":
            raise ActionError("no more")
        case "exit":
            raise SystemExit(3)
        case "stubborn later":
            Flow.open += 1
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        case "yields on":
            Flow.open += 1
            try:
                while True:
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(3600)
                    yield "still here\n"
            finally:
                Flow.open -= 1
    if query.how in odd:
        yield odd[query.how]
    yield b"last\n"


@routes.get("lines")
async def lines(request: Request) -> AsyncIterator[str]:
    """Write a JSON document piece by piece."""
    yield "[1,"
    yield "2]"


class River:
    @hookimpl
    def tocsin_routes(self) -> list[Route]:
        return routes.routes


@pytest.fixture(params=["inline", "own thread"])
async def stack(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The same, with a plugin that streams, in the core's loop or in a thread of its own."""
    Flow.yielded = Flow.open = 0
    if request.param == "inline":
        stack.isolation.inline |= {"river"}
    stack.plugins.add("river", lambda: River(), "tests", "0")
    yield stack
    await stack.isolation.stop()


own_thread = pytest.mark.parametrize("stack", ["own thread"], indirect=True)
"""For what a plugin in the core's own loop would do to the core."""


def reason(stack: Stack) -> str | None:
    return next(r.reason for r in stack.plugins.records if r.name == "river")


async def test_chunks_are_sent_as_they_come(ask: Asker, stack: Stack) -> None:
    """A reader receives each chunk while the generator goes on; headers forbid proxies to buffer.
    When the reader leaves, the generator is ended, and the plugin is not blamed."""
    async with asyncio.timeout(20):
        answer = await ask.client.get(f"{UNDER}/count", headers=ask.headers)
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store"
        for n in range(3):
            assert await answer.content.readuntil(b"\n\n") == f"data: {n} admin\n\n".encode()
    assert Flow.open == 1
    answer.close()
    await eventually(lambda: Flow.open == 0)
    assert reason(stack) is None


async def test_a_stream_that_ends_is_a_whole_answer(ask: Asker, stack: Stack) -> None:
    """str is sent as UTF-8, bytes unchanged; a generator without any chunk is an empty answer, and
    HEAD is answered without a body."""
    answer = await ask.client.get(f"{UNDER}/flow", headers=ask.headers)
    assert (answer.content_type, await answer.text()) == ("text/plain", "first\nlast\n")
    answer = await ask.client.get(f"{UNDER}/flow?how=nothing", headers=ask.headers)
    assert (answer.status, await answer.text()) == (200, "")
    assert await ask.get(f"{UNDER}/lines") == [1, 2]
    async with asyncio.timeout(20):
        answer = await ask.client.head(f"{UNDER}/count", headers=ask.headers)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    await eventually(lambda: Flow.open == 0)
    assert reason(stack) is None


async def test_a_refusal_before_the_first_chunk_is_a_problem(ask: Asker, stack: Stack) -> None:
    """An ActionError and a query that does not fit are answered as on other routes; the plugin is
    not blamed. A refusal after the first chunk cuts the stream off."""
    problem = await ask.get(f"{UNDER}/flow?how=refuse", status=404)
    assert problem["detail"] == "there is no such river"
    await ask.get(f"{UNDER}/flow?size=x", status=422)
    await ask.get(f"{UNDER}/count?x=1", status=400)
    assert (await read_cut(ask, "refuse late")) == b"first\n"
    assert reason(stack) is None


async def read_cut(ask: Asker, how: str) -> bytes:
    """What arrives of a stream that is cut off."""
    answer = await ask.client.get(f"{UNDER}/flow?how={how}", headers=ask.headers)
    assert answer.status == 200
    read = []

    async def read_all() -> None:
        async for piece in answer.content.iter_any():
            read.append(piece)

    with pytest.raises(aiohttp.ClientPayloadError):
        await asyncio.wait_for(read_all(), 20)
    return b"".join(read)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("late", "raised ValueError: dry"),
        ("exit", "called sys.exit(3)"),
        ("odd", "yielded int from a stream, not str or bytes"),
        ("large", f"yielded more than {MAX_CHUNK} bytes at once"),
        ("broken", "raised UnicodeEncodeError"),
    ],
)
async def test_a_generator_that_breaks_cuts_its_stream_off(
    ask: Asker, stack: Stack, how: str, words: str
) -> None:
    """What was yielded before arrives, the connection ends without the end mark of the answer, and
    the plugin is failed with the reason, until a stream ends well."""
    assert await read_cut(ask, how) == b"first\n"
    assert words in str(reason(stack))
    await (await ask.client.get(f"{UNDER}/flow", headers=ask.headers)).read()
    await eventually(lambda: reason(stack) is None)


async def test_a_generator_that_breaks_at_once_is_a_problem(ask: Asker, stack: Stack) -> None:
    """A fault before the first chunk is a 502 that names the plugin and the route."""
    problem = await ask.get(f"{UNDER}/flow?how=early", status=502)
    clause = "failed to answer GET /api/v1/plugins/river/flow: it raised ValueError: dry"
    assert problem["detail"] == f"plugin river {clause}"
    assert reason(stack) == clause


async def test_a_generator_that_yields_nothing_is_given_up(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a first chunk within the deadline the answer is 504 and the generator is ended; after
    it there is no deadline."""
    monkeypatch.setattr(plugin_routes, "DEADLINE", 0.2)
    await ask.get(f"{UNDER}/flow?how=hang", status=504)
    answer = await ask.client.get(f"{UNDER}/count", headers=ask.headers)
    await asyncio.sleep(0.5)
    await answer.content.readuntil(b"data: 2 admin\n\n")
    assert Flow.open == 1
    answer.close()
    await eventually(lambda: Flow.open == 0)


@own_thread
@pytest.mark.parametrize("how", ["stubborn", "stubborn later"])
async def test_a_generator_that_ignores_its_end_loses_its_thread(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A generator that goes on after its cancellation is a fault: the plugin is failed, gets a new
    thread, and its other routes answer."""
    monkeypatch.setattr(plugin_routes, "DEADLINE", 0.3)
    monkeypatch.setattr(plugin_streams, "END_WITHIN", 0.2)
    answer = await ask.client.get(f"{UNDER}/flow?how={how}", headers=ask.headers)
    assert answer.status == (502 if how == "stubborn" else 200)
    await eventually(lambda: Flow.open == (how == "stubborn later"))
    answer.close()
    await eventually(lambda: "ignored its cancellation" in str(reason(stack)))
    await (await ask.client.get(f"{UNDER}/flow", headers=ask.headers)).read()


async def test_a_generator_that_yields_after_its_cancellation_is_ended(
    ask: Asker, stack: Stack
) -> None:
    """One that answers its cancellation with a further chunk ends there; it is no fault."""
    answer = await ask.client.get(f"{UNDER}/flow?how=yields%20on", headers=ask.headers)
    await answer.content.readuntil(b"first\n")
    await eventually(lambda: Flow.open == 1)
    answer.close()
    await eventually(lambda: Flow.open == 0)
    assert reason(stack) is None


@own_thread
async def test_a_generator_that_blocks_its_thread_is_a_fault(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocked thread is abandoned; its streams are cut off, and the plugin is failed."""
    monkeypatch.setattr("tocsin.core.plugin.threads.BLOCKED_AFTER", 0.5)
    monkeypatch.setattr(stack.isolation, "_report", stack.plugins.fail)
    watching = asyncio.ensure_future(stack.isolation.watch())
    answer = await ask.client.get(f"{UNDER}/count", headers=ask.headers)
    await answer.content.readuntil(b"data: 2 admin\n\n")
    problem = await ask.get(f"{UNDER}/flow?how=block", status=502)
    assert "blocked its event loop" in problem["detail"]
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.content.read()
    assert "blocked its event loop" in str(reason(stack))
    await (await ask.client.get(f"{UNDER}/flow", headers=ask.headers)).read()
    watching.cancel()


@pytest.fixture
async def server(stack: Stack) -> AsyncIterator[tuple[ApiServer, int]]:
    made = ApiServer(stack)
    url = await made.start("127.0.0.1", 0)
    yield made, int(url.rpartition(":")[2])
    await made.stop()


async def reader_of(
    stack: Stack, port: int, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader with small buffers that has asked for a stream and read nothing of it."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=4096)
    with suppress(Exception):
        stack.tokens.revoke("slow")
    token = stack.tokens.create("slow", Role.VIEWER)
    head = f"GET {UNDER}/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def stands_still() -> None:
    """Wait until the generator yields no more."""
    async with asyncio.timeout(20):
        before = -1
        while before != Flow.yielded or not before:
            before = Flow.yielded
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_a_flood_waits_for_its_reader(
    stack: Stack, server: tuple[ApiServer, int], size: int
) -> None:
    """A generator that is faster than its reader waits: the number and size of what is on its way
    is bounded, and it goes on when the reader reads."""
    reader, writer = await reader_of(stack, server[1], f"flood?size={size}")
    await stands_still()
    assert Flow.yielded * size < 8_000_000  # with the buffers of both sockets
    before = Flow.yielded
    async with asyncio.timeout(20):
        while Flow.yielded < before + 1_000_000 / size:
            assert await reader.read(65536)
    writer.close()
    await eventually(lambda: Flow.open == 0)
    assert reason(stack) is None


@pytest.mark.parametrize("size", [0, 1])
async def test_a_flood_of_little_does_not_keep_the_core_from_its_work(
    stack: Stack, server: tuple[ApiServer, int], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """While a generator yields empty or tiny chunks to a reader that takes them all, the API
    answers; empty chunks alone are no first chunk, so that the plugin is late."""
    monkeypatch.setattr(plugin_routes, "DEADLINE", 1.0)
    reader, writer = await reader_of(stack, server[1], f"flood?size={size}")
    taking = asyncio.ensure_future(take_all(reader))
    await eventually(lambda: Flow.yielded > 100)
    async with aiohttp.ClientSession() as session:
        for _ in range(20):
            async with asyncio.timeout(2):
                await (await session.get(f"http://127.0.0.1:{server[1]}/health")).read()
    if size == 0:
        await eventually(lambda: Flow.open == 0)
    writer.close()
    with suppress(ConnectionError):
        await taking
    await eventually(lambda: Flow.open == 0)
    said = reason(stack)
    assert said is None if size else said is not None and "within 1 s" in said


async def take_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def test_a_reader_that_leaves_ends_an_idle_stream(
    stack: Stack, server: tuple[ApiServer, int]
) -> None:
    """The generator is ended also where it yields nothing by which the leaving could show."""
    reader, writer = await reader_of(stack, server[1], "count")
    await reader.readuntil(b"data: 2 slow\n\n")
    writer.close()
    await eventually(lambda: Flow.open == 0, seconds=5)
    assert reason(stack) is None


async def test_a_reader_that_takes_nothing_is_cut_off(
    stack: Stack, server: tuple[ApiServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that stays stalled holds neither its connection nor the generator."""
    monkeypatch.setattr(chunks, "PATIENCE", 0.1)
    _, writer = await reader_of(stack, server[1], "flood")
    await eventually(lambda: Flow.yielded > 0 and Flow.open == 0)
    assert reason(stack) is None
    writer.close()


async def test_stopping_ends_every_stream(
    stack: Stack, server: tuple[ApiServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that wait and readers that take nothing are let go at once when tocsin stops, cut
    off."""
    monkeypatch.setattr(plugin_streams, "LOOK_EVERY", 60.0)
    _, stalled = await reader_of(stack, server[1], "flood")
    await stands_still()
    reader, waiting = await reader_of(stack, server[1], "count")
    await reader.readuntil(b"data: 2 slow\n\n")
    async with asyncio.timeout(1.5):
        await server[0].stop()
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    await eventually(lambda: Flow.open == 0)
    assert reason(stack) is None
    stalled.close()
    waiting.close()


async def test_a_stream_ends_with_its_token(ask: Asker, stack: Stack) -> None:
    """When its token is revoked, an idle stream is ended."""
    plain = stack.tokens.create("guest", Role.VIEWER)
    headers = {"Authorization": f"Bearer {plain}"}
    answer = await ask.client.get(f"{UNDER}/count", headers=headers)
    await answer.content.readuntil(b"data: 2 guest\n\n")
    stack.tokens.revoke("guest")
    with pytest.raises(aiohttp.ClientPayloadError):
        async with asyncio.timeout(20):
            await answer.content.read()
    await eventually(lambda: Flow.open == 0)


async def test_a_plugin_has_a_limit_of_open_streams(ask: Asker, stack: Stack) -> None:
    """One stream more than the limit is refused with 503 and a time to retry; its plain routes and
    streams that are closed make room again."""
    answers = [
        await ask.client.get(f"{UNDER}/count", headers=ask.headers)
        for _ in range(plugin_streams.MOST_STREAMS)
    ]
    refused = await ask.client.get(f"{UNDER}/count", headers=ask.headers)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
    assert "plugin river has 20 open streams" in (await refused.json())["detail"]
    for answer in answers:
        answer.close()
    await eventually(lambda: Flow.open == 0)
    answer = await ask.client.get(f"{UNDER}/count", headers=ask.headers)
    assert answer.status == 200
    answer.close()
    await eventually(lambda: Flow.open == 0)


async def test_the_document_names_the_stream(ask: Asker) -> None:
    """OpenAPI has a stream's media type and the answers that it may be refused with."""
    document = await ask.get("/api/v1/openapi.json")
    answers = document["paths"][f"{UNDER}/count"]["get"]["responses"]
    assert answers["200"]["content"] == {"text/event-stream": {"schema": {"type": "string"}}}
    lines = document["paths"][f"{UNDER}/lines"]["get"]["responses"]["200"]["content"]
    assert lines == {"application/json": {"schema": {}}}
    assert {"404", "409", "502", "503", "504"} <= answers.keys()
