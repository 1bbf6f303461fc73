"""Connections that are slow, idle or too many, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import count

import pytest
from aiohttp import web

from tests.api.conftest import Stack
from tests.conftest import eventually
from tocsin.core.contracts.model import Result
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer, connections, decoding, stream
from tocsin.core.http.connections import Connections
from tocsin.core.runtime import descriptors

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
PARTIAL = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "


class Api:
    """The API on a port of its own, and clients that speak plain bytes."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.server = ApiServer(stack)
        self.port = 0
        self.clients = AsyncExitStack()
        self._names = count()

    @property
    def connections(self) -> Connections:
        held = self.server._connections
        assert held is not None
        return held

    def allow(self, most: int) -> None:
        self.connections._most = most

    async def connect(
        self, data: bytes = b"", source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        self.clients.callback(_abort, writer)
        writer.write(data)
        return reader, writer

    async def ask(self, data: bytes = HEALTH, source: str = "127.0.0.1") -> bytes:
        """The status line of the answer to a request; empty where there is none."""
        reader, writer = await self.connect(data, source)
        async with asyncio.timeout(20):
            line = await reader.readline()
        writer.transport.abort()
        return line

    def stream(self) -> bytes:
        """A request for an event stream."""
        token = self.stack.tokens.create(f"t{next(self._names)}", Role.VIEWER)
        return self.streams_of(token)

    def streams_of(self, token: str) -> bytes:
        head = f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        return head.encode()


def _abort(writer: asyncio.StreamWriter) -> None:
    """A writer that nobody holds closes its connection."""
    writer.transport.abort()


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[Api]:
    made = Api(stack)
    url = await made.server.start("127.0.0.1", 0)
    made.port = int(url.rpartition(":")[2])
    async with made.clients:
        yield made
        await made.clients.aclose()
    await made.server.stop()


async def test_1100_slow_connections_keep_nobody_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open requests make room for whole ones at once, their number is bounded, and after a
    while they are closed."""
    for n in range(1100):
        await api.connect(PARTIAL)
        if n % 100 == 99:
            assert (await api.ask()).startswith(b"HTTP/1.1 200")
    assert len(api.connections) <= api.connections.most_of_peer <= connections.MOST
    for one in list(api.connections._all.values()):
        one.until = 0.0  # as if their time were over
    await eventually(lambda: len(api.connections) == 0)
    assert (await api.ask()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", HEALTH])
async def test_a_request_that_trickles_in_is_cut_off(
    api: Api, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """A client that sends a byte now and then is closed once its headers are late, whether it has
    asked something before or not."""
    monkeypatch.setattr(connections, "HEADERS_WITHIN", 0.5)
    reader, writer = await api.connect(before)
    if before:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.write(PARTIAL)

    async def trickle() -> None:
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    try:
        async with asyncio.timeout(20):
            with suppress(ConnectionError):  # or closed in order
                while await reader.read(1000):
                    pass
    finally:
        trickling.cancel()


@pytest.mark.slow
async def test_a_connection_that_asks_again_is_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may send one request after the other over one connection, with pauses longer than
    the headers of one request may take."""
    monkeypatch.setattr(connections, "HEADERS_WITHIN", 0.5)
    reader, writer = await api.connect()
    for _ in range(3):
        writer.write(HEALTH)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200")
        await asyncio.sleep(connections.SWEEP + 0.7)


async def test_a_body_that_trickles_in_is_given_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers in time and a body that does not come: 408."""
    monkeypatch.setattr(decoding, "BODY_WITHIN", 0.3)
    token = api.stack.tokens.create("op", Role.OPERATOR)
    head = (
        "POST /api/v1/heartbeats/job HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n\r\n{{"
    )
    assert (await api.ask(head.encode())).startswith(b"HTTP/1.1 408")


async def test_a_reader_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for much and reads nothing of it is closed."""
    monkeypatch.setattr(connections, "STALLED", 0.3)

    async def much(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 20_000_000)

    held = Connections(web.Server(much))
    listener = await asyncio.get_running_loop().create_server(held, "127.0.0.1", 0)
    client = socket.socket()
    try:
        client.connect(listener.sockets[0].getsockname())
        client.sendall(HEALTH)
        await eventually(lambda: len(held) == 1)
        await eventually(lambda: len(held) == 0)
    finally:
        client.close()
        listener.close()
        held.stop()


async def test_connections_in_use_make_no_room(api: Api) -> None:
    """Where all connections are being served a new one is refused, with 503 and when to come back;
    none of those in use is closed."""
    api.allow(8)
    readers = [(await api.connect(api.stream()))[0] for _ in range(4)]
    for reader in readers:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    reader, _ = await api.connect(HEALTH)
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 5" in answer
    assert b"application/problem+json" in answer
    assert not any(reader.at_eof() for reader in readers)


async def test_one_address_does_not_keep_out_others(api: Api) -> None:
    """An address that has all connections it may have leaves the other half to other addresses."""
    api.allow(8)
    for _ in range(4):
        reader, _ = await api.connect(api.stream())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert (await api.ask()).startswith(b"HTTP/1.1 503")
    assert (await api.ask(source="127.0.0.2")).startswith(b"HTTP/1.1 200")


async def test_no_connection_is_taken_from_the_reserve_of_delivery(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no more descriptors are left than delivery needs, connections are refused at once; when
    there are some again, they are taken."""
    monkeypatch.setattr(descriptors, "room_for_api", lambda: False)
    assert (await api.ask()).startswith(b"HTTP/1.1 503")
    monkeypatch.undo()
    assert (await api.ask()).startswith(b"HTTP/1.1 200")


async def test_event_streams_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One token has so many streams, all together so many; above that 503. A stream that ends makes
    room."""
    monkeypatch.setattr(stream, "MOST", 3)
    monkeypatch.setattr(stream, "MOST_OF_TOKEN", 2)
    one, other = (api.stack.tokens.create(name, Role.VIEWER) for name in ("one", "other"))
    writers = []
    for _ in range(2):
        reader, writer = await api.connect(api.streams_of(one))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writers.append(writer)
    assert (await api.ask(api.streams_of(one))).startswith(b"HTTP/1.1 503")
    reader, _ = await api.connect(api.streams_of(other))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert (await api.ask(api.streams_of(other))).startswith(b"HTTP/1.1 503")
    writers[0].transport.abort()
    await eventually(lambda: len(api.connections) == 2)
    status = b""
    while not status.startswith(b"HTTP/1.1 200"):
        api.stack.see("web", "docker", Result.up("the stream notices that its reader is gone"))
        api.stack.see("web", "docker", Result.down("by what happens"))
        status = await api.ask(api.streams_of(one))


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_listener_without_descriptors_neither_spins_nor_floods_the_log(loop: str) -> None:
    """While not a single descriptor is left clients are refused or wait; the process uses next to
    no CPU and logs a few lines; when there are some again, it answers."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.api.out_of_files", loop,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    clients = []
    for _ in range(100):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        clients.append(client)
    await asyncio.sleep(4)
    child.stdin.write(b"\n")
    cpu = float(await child.stdout.readline())
    for client in clients:
        client.close()
    async with asyncio.timeout(20):
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200"):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(HEALTH)
                answer = await reader.readline()
                writer.transport.abort()
            except ConnectionError:
                continue
    child.stdin.write(b"\n")
    _, said = await child.communicate()
    assert cpu < 2
    assert said.count(b"\n") < 20, said[-3000:]
