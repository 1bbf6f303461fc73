"""Requests: what anybody asks of the API."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

from tests.fuzz.inputs import mutate, nasty, planted, twist
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tests.fuzz.world import INNOCENT, World, world
from tests.kept import flush
from tocsin.core.http import ROUTES

QUERY = {
    "limit": "10", "cursor": "", "since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z",
    "target": "innocent", "status": "down", "rule": "x", "severity": "critical", "lines": "10",
    "metric": "cpu_percent", "range": "24h", "step": "60", "state": "firing", "check": "docker",
    "kind": "container", "source": "docker", "actor": "admin", "q": "x", "resolution": "1h",
}  # fmt: skip
BODIES: tuple[Any, ...] = (
    {"matchers": ["target=x"], "duration": "1h", "comment": "y"},
    {"name": "x", "matchers": [], "duration": "1h", "schedule": "0 3 * * 0", "timezone": "UTC"},
    {"channel": "ops"}, {"comment": "x"}, {"status": "ok", "message": "done", "duration": 5},
)  # fmt: skip
EXTRA = (
    "Content-Encoding", "Accept", "Origin", "Range", "If-None-Match", "Content-Type", "Expect",
    "Upgrade", "X-Forwarded-For",
)  # fmt: skip
NAMES = {"{name}": INNOCENT, "{id}": "018f0000-0000-7000-8000-000000000000", "{check}": "docker"}


class Requests(Kind):
    """Whatever is asked, nothing answers 5xx, and nothing but problem documents refuses."""

    name = "requests"
    needs_database = True

    def make(self, rng: Random) -> bytes:
        route = rng.choice(
            [r for r in ROUTES if r.path not in ("/api/v1/stream", "/api/v1/reload")]
        )
        path = route.path
        for variable, usual in NAMES.items():
            value = mutate(rng, usual) if rng.random() < 0.3 else usual
            path = path.replace(variable, quote(value.encode("utf-8", "surrogatepass"), safe="%"))
        pairs = []
        for _ in range(rng.randrange(4)):
            key = rng.choice(list(QUERY))
            value = mutate(rng, QUERY[key]) if rng.random() < 0.6 else nasty(rng)
            pairs.append(f"{key}={quote(value[:700].encode('utf-8', 'surrogatepass'), safe='%')}")
        target = path[:4000] + ("?" + "&".join(pairs) if pairs else "")
        method = route.method if rng.random() < 0.9 else rng.choice(("GET", "POST", "PUT", "PATCH"))
        body = b""
        if method == "POST" and rng.random() < 0.9:
            document = rng.choice(BODIES)
            if rng.random() < 0.8:
                document = twist(rng, document)
            text = json.dumps(document)
            if rng.random() < 0.1:
                text = mutate(rng, text)
            elif rng.random() < 0.1:
                text = json.dumps({"comment": planted(rng), "x": 1})
            body = text.encode("utf-8", "surrogatepass")
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json"}
        if rng.random() < 0.15:
            extra = rng.choice(EXTRA)
            value = rng.choice(("br", "gzip", "*/*", "bytes=0-", nasty(rng)[:2000]))
            headers[extra] = "".join(c for c in value if c.isprintable())
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        lines += ["Authorization: Bearer TOKEN", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return world(directory, judge, database)

    async def run(self, place: World, cases: list[tuple[int, Any]]) -> None:
        if INNOCENT not in place.tocsin.state.targets:
            await place.watch([])
            await flush(place.tocsin.history)
        token = place.headers["Authorization"].removeprefix("Bearer ").encode()
        port = urlsplit(place.tocsin.api_url).port
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for _, case in cases:
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connection
            try:
                writer.write(case.replace(b"TOKEN", token, 1))
                async with asyncio.timeout(30):
                    head = await reader.readuntil(b"\r\n\r\n")
                    text = head.decode("latin-1")
                    length = int(text.lower().partition("content-length: ")[2].split("\r")[0] or 0)
                    body = (await reader.readexactly(length)).decode("utf-8", "replace")
                keep = (
                    "connection: close" not in text.lower()
                    and "transfer-encoding" not in text.lower()
                )
            except (OSError, EOFError):
                keep, text, body = False, "", ""
            except TimeoutError:
                place.judge.traceback(f"no answer within 30 s to {case[:200]!r}")
                keep, text, body = False, "", ""
            if text[9:10] == "5" and text[9:12] != "501":
                place.judge.traceback(f"{text[9:12]} to {case[:160]!r}: {body[:160]}")
            elif text[9:10] == "4" and "application/problem+json" not in text:
                place.judge.traceback(f"{text[9:12]} without a problem document to {case[:160]!r}")
            place.judge.out("answer", body if text[9:10] != "2" else "")
            if not keep:
                writer.close()
                connection = None
        if connection is not None:
            connection[1].close()
