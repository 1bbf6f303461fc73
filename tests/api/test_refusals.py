"""Parameters that nothing can hold, and requests that no handler ever sees: 4xx, as a problem."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
import zlib
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import attrs
import pytest
from yarl import URL

from tests.api.conftest import Asker, Stack
from tocsin.core.http import ApiServer
from tocsin.core.http.server import ROUTES

pytestmark = pytest.mark.usefixtures("stack")

BEYOND = (
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59.999999-00:01",
)  # fmt: skip
NO_TEXT = ("%00", "a%00b", "%ED%A0%80", "%ED%B3%BF")
ODD_NUMBERS = ("9" * 30, "-" + "9" * 30, "9" * 5000, "1e400", "nan", "inf", "", "٣", "1_0", "0x10")


def path_of(path: str) -> str:
    for name in ("{name}", "{target}", "{check}", "{channel}"):
        path = path.replace(name, "web")
    return path.replace("{id}", "01890000-0000-7000-8000-000000000000")


@pytest.fixture
async def port(stack: Stack) -> AsyncIterator[int]:
    """A server as it is started, not only its application."""
    server = ApiServer(stack)
    url = await server.start("127.0.0.1", 0)
    yield int(url.rpartition(":")[2])
    await server.stop()


async def test_no_query_parameter_is_a_fault(ask: Asker, port: int) -> None:
    """Each query parameter of each operation, with what no database and no calendar can hold, is
    refused in a sentence that names it; nothing of it is a fault of tocsin or of its database."""
    wrong = []
    for route in ROUTES:
        if route.query is None or route.method != "GET" or route.media != "application/json":
            continue
        for field in attrs.fields(route.query):
            texts = (*NO_TEXT, *(BEYOND if "datetime" in str(field.type) else ODD_NUMBERS))
            for text in texts:
                path = f"{path_of(route.path)}?{field.name}={text}"
                url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
                async with ask.client.session.get(url, headers=ask.headers) as answer:
                    raw = await answer.read()
                document = json.loads(raw) if raw.startswith(b"{") else {"detail": repr(raw)}
                harmless = "%00" not in text and text not in BEYOND
                refused = (
                    answer.status in (400, 404, 422)
                    and answer.content_type == "application/problem+json"
                    and (harmless or field.name in document["detail"])
                )
                if not refused and not (answer.status == 200 and harmless):
                    wrong.append((str(url)[:100], answer.status, str(document)[:200]))
    assert wrong == []


async def test_no_name_in_a_path_is_a_fault(ask: Asker) -> None:
    """Each operation with a name in its path refuses one that is no text."""
    wrong = []
    for route, part in product(ROUTES, NO_TEXT):
        if not route.path_names:
            continue
        path = re.sub(r"{\w+}", part, route.path)
        answer = await ask.client.request(
            route.method, URL(path, encoded=True), headers=ask.headers, data=b"{}"
        )
        document = json.loads(await answer.read())
        if answer.status not in (400, 404, 422) or not document.get("detail"):
            wrong.append((path, answer.status, document))
    assert wrong == []


BODIES: tuple[tuple[str, Any, str], ...] = (
        ("silences", {"matchers": ["target=a"], "until": BEYOND[0]}, "until"),
        ("silences", {"matchers": ["target=a"], "duration": "1h",
                      "starts_at": "9999-12-31T23:59:59-23:59"}, "starts_at"),
        ("silences", {"matchers": ["target=a"], "duration": "1h",
                      "starts_at": "9999-12-31T23:59:59Z"}, "starts_at"),
        ("silences", {"matchers": ["target=a"], "duration": "9" * 40}, "duration"),
        ("silences", {"matchers": ["target=a\0"], "duration": "1h"}, "control characters"),
        ("silences", {"matchers": ["target=[" + "a-" * 90], "duration": "x"}, "duration"),
        ("maintenance", {"name": "a", "duration": "1h", "schedule": "0 0 30 2 *"}, "no cron"),
        ("maintenance", {"name": "a", "duration": "1h", "schedule": "0 0 31 2,4 *"}, "no cron"),
        ("maintenance", {"name": "a", "duration": "1h", "schedule": "0 3 * * 0",
                         "starts_at": "9998-01-01T00:00:00Z"}, "before it begins"),
        ("maintenance", {"name": "a", "duration": "1h", "schedule": "* " * 90}, "cron"),
        ("maintenance", {"name": "a", "duration": "1h", "timezone": "a\0"}, "time zone"),
        ("maintenance", {"name": "a", "duration": "1h", "timezone": "../../etc/passwd"}, "zone"),
        ("maintenance", {"name": "a", "duration": "1h",
                         "schedule": "999999999999999999-9999999999999999999 * * * *"}, "cron"),
)  # fmt: skip


async def test_no_body_is_a_fault(ask: Asker) -> None:
    """Times beyond the calendar, schedules that never come, names that are none: 422."""
    for path, body, says in BODIES:
        document = await ask.post(f"/api/v1/{path}", 422, json=body)
        assert says in document["detail"], body


HEAD = b"Host: x\r\nConnection: close\r\n"


REQUESTS: tuple[tuple[bytes, int, str], ...] = (
        (b"POST /api/v1/heartbeats/job HTTP/1.1\r\n" + HEAD
         + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", 415, "ncoding"),
        (b"POST /api/v1/heartbeats/job HTTP/1.1\r\n" + HEAD
         + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\n{}", 415, "ncoding"),
        (b"rubbish\r\n\r\n", 400, "cannot be read"), (b"\x16\x03\x01\x02\0\r\n\r\n", 400, "read"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "cannot be read"), (b"GET /\r\n\r\n", 404, "nothing"),
        (b"GET http://[::1 HTTP/1.1\r\n" + HEAD + b"\r\n", 400, "cannot be read"),
        (b"GET /\xff HTTP/1.1\r\n" + HEAD + b"\r\n", 0, ""),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 400, "cannot be read"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"a" * 20_000 + b"\r\n\r\n", 400, "read"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"A: b\r\n" * 40_000 + b"\r\n", 400, "read"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"A\0: b\r\n\r\n", 400, "cannot be read"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n", 400, "cannot be read"),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400, "cannot be read"),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: foo\r\n\r\n", 400, "cannot be read"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"Expect: the-worst\r\n\r\n", 417, "worst"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"Expect: \xff\r\n\r\n", 400, "not text"),
        (b"GET /nothing HTTP/1.1\r\n" + HEAD + b"\r\n", 404, "nothing at /nothing"),
        (b"PATCH /health HTTP/1.1\r\n" + HEAD + b"\r\n", 405, "not allowed here"),
        (b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n", 404, "nothing at"),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HEAD + b"\r\n", 0, ""),
        (b"POST /api/v1/silences HTTP/1.1\r\n" + HEAD + b"Authorization: Bearer %TOKEN%\r\n"
         b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", 400, ""),
)  # fmt: skip


async def exchange(port: int, request: bytes) -> bytes:
    """The whole answer. Who refuses a request before all of it came may reset the connection, and
    TCP drops the answer then: it is asked again."""
    for _ in range(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(60):
                return await reader.read()
        except ConnectionError:
            continue
        finally:
            writer.close()
    return b""


async def test_a_request_that_no_handler_sees_is_a_problem(ask: Asker, port: int) -> None:
    """What aiohttp refuses by itself is told as all else is: a problem document, a status of the
    400s, the headers of every answer."""
    wrong = []
    token = ask.headers["Authorization"].removeprefix("Bearer ").encode()
    for request, status, says in REQUESTS:
        answer = await exchange(port, request.replace(b"%TOKEN%", token))
        if not answer and len(request) > 64_000:
            continue  # refused, each time, before asyncio had read the rest
        head, _, body = answer.partition(b"\r\n\r\n")
        got = int([*head.split(b" "), b"0", b"0"][1])
        fits = (
            400 <= got < 500
            and status in (0, got)
            and b"content-type: application/problem+json" in head.lower()
            and b"Server: tocsin" in head
            and json.loads(body)["status"] == got
            and says in json.loads(body)["detail"]
        )
        if not fits:
            wrong.append((request[:60], answer[:600]))
    assert wrong == []


def bomb(size: int) -> bytes:
    """So many bytes of packed zeros: a thousand times as many zeros."""
    packing = zlib.compressobj(9)
    packed = bytearray()
    while len(packed) < size:
        packed += packing.compress(bytes(1_000_000))
    return bytes(packed)


async def test_a_packed_body_is_not_unpacked_for_strangers(port: int) -> None:
    """Nobody needs a token to send a body, so it is unpacked once somebody has asked with a good
    one, and no further than a body may be long."""
    body = bomb(300_000)
    longest = 0.0
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - began)

    head = b"POST /api/v1/silences HTTP/1.1\r\n" + HEAD
    head += b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", measured)
        answer = await exchange(port, head + body)
    assert b" 401 " in answer.partition(b"\r\n")[0]
    assert longest < 0.1


async def test_a_packed_body_is_read(ask: Asker, port: int) -> None:
    """A body in gzip or deflate counts as what is in it; one that ends early does not, nor one in
    an encoding that few speak."""
    plain = json.dumps({"matchers": ["target=a"], "duration": "1h"}).encode()
    for coding, body, status in (
        ("gzip", gzip.compress(plain), 200), ("deflate", zlib.compress(plain), 200),
        ("identity", plain, 200), ("", plain, 200), ("gzip", gzip.compress(plain)[:-9], 400),
        ("deflate", plain, 400), ("gzip", bomb(60_000), 413), ("br", plain, 415),
        ("gzip, gzip", gzip.compress(gzip.compress(plain)), 415), ("\x80", plain, 415),
    ):  # fmt: skip
        url = f"http://127.0.0.1:{port}/api/v1/silences"
        headers = {**ask.headers, "Content-Encoding": coding}
        async with ask.client.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == status, (coding, await answer.text())
            kind = "application/json" if status == 200 else "application/problem+json"
            assert answer.content_type == kind
