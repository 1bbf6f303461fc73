"""A proxy before the real engine: it answers late, wrongly or not at all where a test wants it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from pathlib import Path

ENGINE = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"
Ask = Callable[[], Awaitable[bytes]]
"""Passes a request on; returns the engine's whole answer."""


class Held:
    """An answer that the engine has given and the proxy keeps back."""

    def __init__(self) -> None:
        self.taken = asyncio.Event()
        """The engine has answered."""
        self._free = asyncio.Event()

    def release(self) -> None:
        """Hand it on, old as it is."""
        self._free.set()

    async def __call__(self, ask: Ask) -> bytes:
        """Take the answer, and wait."""
        got = await ask()
        self.taken.set()
        await self._free.wait()
        return got


async def _never(_: Ask) -> bytes:
    await asyncio.get_running_loop().create_future()
    return b""


async def _nil(_: Ask) -> bytes:
    body = json.dumps({"message": "RWLayer of container is unexpectedly nil"}).encode()
    head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


class Proxy:
    """Listens on ``socket``; each connection carries one request."""

    def __init__(self, socket: Path, engine: str = ENGINE) -> None:
        self.socket, self.engine = socket, engine
        self._rules: list[tuple[re.Pattern[str], Callable[[Ask], Awaitable[bytes]], bool]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self.let_begin = False
        """What is mute sends the head of the engine's answer all the same."""
        self.off = 0.0
        """Seconds by which the engine's clock seems to be ahead."""
        self._mute: re.Pattern[str] | None = None
        self._muted: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    def hang(self, path: str) -> None:
        """Never answer requests for what matches ``path``."""
        self._rules.append((re.compile(path), _never, False))

    def fail(self, path: str) -> None:
        """Answer them with 500."""
        self._rules.append((re.compile(path), _nil, False))

    def answer(self, path: str, answer: Callable[[Ask], Awaitable[bytes]]) -> None:
        """Answer them with something else."""
        self._rules.append((re.compile(path), answer, False))

    def hold(self, path: str) -> Held:
        """Keep the answer to the next one of them back."""
        held = Held()
        self._rules.append((re.compile(path), held, True))
        return held

    def mute(self, path: str, *, later: bool = False) -> None:
        """Keep back all that the engine says from now on on connections for what matches ``path``:
        those that there are; with ``later``, also those to come."""
        self._mute = re.compile(path)
        if not later:
            self._muted |= self._busy

    def _is_mute(self, path: str) -> bool:
        if self._mute is None or not self._mute.search(path):
            return False
        return not self._muted or asyncio.current_task() in self._muted

    def heal(self) -> None:
        """Answer as the engine does from now on."""
        self._rules.clear()
        self._mute = None

    def cut(self) -> None:
        """End every connection there is."""
        for task in self._busy:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one request on."""
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._busy.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        lines = [x for x in head.split("\r\n")[:-2] if not x.lower().startswith("connection:")]
        lines[0] = _asked(lines[0], self.off)
        request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
        path = lines[0].split(" ")[1]
        for rule in self._rules:
            if rule[0].search(path):
                if rule[2]:
                    self._rules.remove(rule)
                writer.write(await rule[1](partial(_whole, self.engine, request)))
                await writer.drain()
                return
        is_head = self.let_begin
        async for part in _ask(self.engine, request):
            passes, is_head = is_head or not self._is_mute(path), False
            if passes:
                writer.write(_moved(part, self.off))
                await writer.drain()


_MOMENTS = re.compile(
    rb'(?<=Date: )\w{3}, [^\r]+|(?<="time":)\d{10}|(?<="timeNano":)\d{10}|(?<="Created":)\d{10}'
    rb'|(?<=At":")(?!0001)[-\dT:]{19}|(?<="Created":")[-\dT:]{19}'
)
"""Up to whole seconds; each is as long when it is another."""


def _moved(answer: bytes, seconds: float) -> bytes:
    """An answer of an engine whose clock is ahead by so much."""

    def move(match: re.Match[bytes]) -> bytes:
        text = match[0].decode()
        if text.isdigit():
            return b"%d" % (int(text) + seconds)
        by = timedelta(seconds=seconds)
        if "," in text:
            return format_datetime(parsedate_to_datetime(text) + by, usegmt=True).encode()
        return (datetime.fromisoformat(text) + by).isoformat().encode()

    return _MOMENTS.sub(move, answer) if seconds else answer


def _asked(line: str, seconds: float) -> str:
    """The first line of a request, with moments of the engine's own clock."""
    return re.sub(
        r"(?<=[?&])(since|until)=(\d+)", lambda m: f"{m[1]}={int(m[2]) - seconds:.0f}", line
    )


async def _ask(engine: str, request: bytes) -> AsyncIterator[bytes]:
    reader, writer = await asyncio.open_unix_connection(engine)
    try:
        writer.write(request)
        while part := await reader.read(65536):
            yield part
    finally:
        writer.close()


async def _whole(engine: str, request: bytes) -> bytes:
    return b"".join([part async for part in _ask(engine, request)])


@asynccontextmanager
async def before_the_engine(directory: Path, engine: str = ENGINE) -> AsyncIterator[Proxy]:
    """A proxy that listens in ``directory``."""
    proxy = Proxy(directory / "proxy.sock", engine)
    server = await asyncio.start_unix_server(proxy.serve, proxy.socket)
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await server.wait_closed()
