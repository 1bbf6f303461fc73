"""Answers: what servers and programs say to a check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve

from tests.contexts import polled
from tests.fuzz.inputs import mutate, nasty, said
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tests.fuzz.world import World, world
from tocsin import Observation, Probe, Result, Target
from tocsin.core.monitor import events
from tocsin.core.state import CheckState
from tocsin.plugins.probes._http_exchange import Trouble
from tocsin.plugins.probes._http_expect import json_expectation, read_json
from tocsin.plugins.probes._process import Finished
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.tcp import TcpProbe

CHARSETS = (
    "utf-8", "latin-1", "utf-16", "utf-32", "utf-7", "idna", "punycode", "unicode_escape", "zip",
    "hex", "base64", "rot13", "undefined", "cp1252", "shift_jis", "iso2022_jp", "mbcs", "x", "",
)  # fmt: skip
HEADERS = (
    "Content-Type: text/plain", "Content-Type: application/json; charset=utf-8",
    "Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: chunked",
    "Location: /again", "Location: http://[", "Set-Cookie: a=b", "Retry-After: 1",
    "X-Odd : 1", "Connection: keep-alive", "Content-Length: 5", "Date: x", "ETag: \"\"",
)  # fmt: skip
PERFDATA = ("OK - fine | load=1;2;3;0;10 '/ full'=50%;80;90 t=2.5ms", "WARN|a=1B\nlong\n|b=2GB c=U")
TARGET = Target(name="site")


def answer(rng: Random) -> bytes:
    """An HTTP answer, in which something may be odd."""
    body = rng.choice((
        '{"status": "ok", "queue": [{"depth": 3}]}', "ok", said(rng), nasty(rng),
        f"{said(rng)}\n" * 50,
    ))  # fmt: skip
    if rng.random() < 0.02:
        body = f"{body}\n" * 2000
    raw = mutate(rng, body)[:900_000].encode("utf-8", "surrogatepass")
    lines = [f"HTTP/1.{rng.choice('11110')} {rng.choice((200, 200, 200, 204, 302, 404, 500))} OK"]
    lines += rng.sample(HEADERS, rng.randrange(3))
    if rng.random() < 0.4:
        lines.append(f"Content-Type: text/plain; charset={rng.choice(CHARSETS)}")
    if rng.random() < 0.1:
        lines.append(f"X-Long: {nasty(rng)}")
    lines.append(f"Content-Length: {len(raw)}")
    if rng.random() < 0.25:
        at = rng.randrange(len(lines))
        lines[at] = mutate(rng, lines[at])
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + raw


class Place:
    """A server that says what it is told to, checks of it, and a tocsin that takes results in."""

    def __init__(self, world: World, port: int, plain: int) -> None:
        self.world = world
        self.now = b""
        url = f"http://127.0.0.1:{port}/"
        limit = {"timeout": 10.0, "interval": 30.0, "retries": 0}
        json = {"$.status": "ok", "$.queue[0].depth": "< 100"}
        self.http: list[Probe] = [
            HttpProbe(url=url),
            HttpProbe(url=url, contains="ok", not_contains="error"),
            HttpProbe(url=url, json=json),
            HttpProbe(url=url, matches="^ok$", redirects=0),
            HttpProbe(url=url, method="POST", body="x", json={"$.status": "ok"}),
        ]
        self.tcp: list[Probe] = [
            TcpProbe(host="127.0.0.1", port=plain, expect="^220 .*ready"),
            TcpProbe(host="127.0.0.1", port=plain, expect="ok|OK", send="HELO\\r\\n"),
        ]
        self.program = BackupScriptProbe(command=("/bin/true",))
        for probe in (*self.http, *self.tcp, self.program):
            for name, value in limit.items():
                if hasattr(type(probe), name) or hasattr(probe, name):
                    object.__setattr__(probe, name, value)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request's head, answer, hang up."""
        try:
            async with asyncio.timeout(2):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(self.now)
            await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()

    async def blurt(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer unasked, hang up."""
        try:
            writer.write(self.now)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def place(directory: Path, judge: Judge, database: str) -> AsyncIterator[Place]:
    async with world(directory, judge, database) as made:
        executor = made.tocsin.alerting.executor
        executor.handle(events.TargetPut(TARGET))
        check = CheckState(target="site", name="c", probe="http", interval=30)
        executor.handle(events.CheckPut(check))
        made_place: list[Place] = []
        first = await asyncio.start_server(lambda r, w: made_place[0].serve(r, w), "127.0.0.1", 0)
        other = await asyncio.start_server(lambda r, w: made_place[0].blurt(r, w), "127.0.0.1", 0)
        ports = [server.sockets[0].getsockname()[1] for server in (first, other)]
        made_place.append(Place(made, *ports))
        yield made_place[0]
        first.close()
        other.close()


class Answers(Kind):
    """Whatever a server or program says, a check of it has a result."""

    name = "answers"

    def make(self, rng: Random) -> tuple[str, int, Any]:
        sort = rng.choice(("http", "http", "http", "tcp", "program", "path"))
        which = rng.randrange(5)
        if sort == "http":
            return sort, which, answer(rng)
        if sort == "tcp":
            text = mutate(rng, rng.choice(("220 mail ready\r\n", "ok\n", said(rng))))
            return sort, which % 2, text.encode("utf-8", "surrogatepass")
        if sort == "path":
            path, wanted = rng.choice(
                (("$.status", "ok"), ("$.queue[0].depth", "< 100"), ("$['a']", 1))
            )
            body = mutate(rng, '{"status": "ok", "queue": [{"depth": 3}], "a": NaN, "b": 1e999}')
            return sort, which, (mutate(rng, path), mutate(rng, str(wanted)), body)
        out = mutate(rng, rng.choice((*PERFDATA, said(rng))))
        if rng.random() < 0.3:
            out += f"\n{said(rng)}"
        return sort, rng.choice((0, 1, 2, 3, 77, -9)), (out, said(rng))

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return place(directory, judge, database)

    async def run(self, place: Place, cases: list[tuple[int, Any]]) -> None:
        tocsin = place.world.tocsin
        for _, (sort, which, case) in cases:
            if sort in ("http", "tcp"):
                place.now = case
                probe = (place.http if sort == "http" else place.tcp)[which]
                result = await polled(probe).check(TARGET)
            elif sort == "path":
                asyncio.get_running_loop().call_soon(_path, place.world.judge, *case)
                await asyncio.sleep(0)
                continue
            else:
                done = Finished(
                    code=which, stdout=case[0], stderr=case[1], timed_out=False, seconds=0.1
                )
                result = place.program._judge(done)
            # A result that comes as such, and a failure that an alert tells of.
            for one in (result, evolve(result, status=Result.down("").status)):
                tocsin.alerting.executor.observe(
                    Observation(target="site", check="c", at=tocsin.clock.now(), result=one)
                )
            await asyncio.sleep(0)
        await place.world.look()


def _path(judge: Judge, path: str, wanted: str, body: str) -> None:
    """A JSON path of the configuration, and a body of a stranger."""
    try:
        found = json_expectation(path, wanted)
    except ValueError:
        return
    try:
        with suppress(Trouble):
            judge.out("answer", str(found.trouble(read_json(body))))
    except Exception as error:
        judge.raised(error, "json path")
