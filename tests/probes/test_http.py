"""The http probe against real servers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from pytest_aiohttp import AiohttpServer

from tests.contexts import polled
from tocsin import Secret, Status, Target
from tocsin.plugins.probes._http_expect import json_expectation, read_json
from tocsin.plugins.probes.http import HttpProbe
from tocsin.testing import check_probe_conformance

TARGET = Target(name="web")


@pytest.fixture
async def site(aiohttp_server: AiohttpServer) -> str:
    """A site with a page for each kind of answer."""

    async def ok(request: web.Request) -> web.Response:
        return web.json_response(
            {"status": "ok", "queue": [{"depth": 7}], "ready": True,
             "agent": request.headers.get("X-Key"), "auth": request.headers.get("Authorization")}
        )  # fmt: skip

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503, text="overloaded")

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=b"a" * 3_000_000 + b"needle")

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/away/{int(request.match_info['n']) + 1}")

    async def home(_: web.Request) -> web.Response:
        raise web.HTTPFound("/ok")

    async def guarded(request: web.Request) -> web.Response:
        if request.cookies.get("seen") != "1":
            answer = web.Response(status=307, headers={"Location": request.path})
            answer.set_cookie("seen", "1")
            return answer
        return web.Response(text=await request.text() or "in")

    async def long(request: web.Request) -> web.Response:
        status = 302 if "to" in request.query else 200
        headers = {"X-Policy": "a" * 20_000, "Location": "/ok"}
        answer = web.Response(status=status, headers=headers, text="long")
        if "gzip" in request.query:
            answer.enable_compression(web.ContentCoding.gzip)
        return answer

    async def squeezed(_: web.Request) -> web.Response:
        response = web.Response(text="needle " * 100)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def latin(_: web.Request) -> web.Response:
        return web.Response(body="größer".encode("latin-1"), content_type="text/plain",
                            charset="latin-1")  # fmt: skip

    async def unknown(_: web.Request) -> web.Response:
        return web.Response(body=b"plain", headers={"Content-Type": "text/plain; charset=klingon"})

    app = web.Application()
    for path, handler in (
        ("/squeezed", squeezed), ("/latin", latin), ("/klingon", unknown),
        ("/ok", ok), ("/broken", broken), ("/slow", slow), ("/drip", drip), ("/big", big),
        ("/away/{n}", away), ("/home", home), ("/guarded", guarded), ("/long", long),
    ):  # fmt: skip
        app.router.add_route("*", path, handler)
    server = await aiohttp_server(app, shutdown_timeout=0.1)
    return str(server.make_url("")).rstrip("/")


async def look(url: str, **options: Any) -> tuple[Status, str]:
    options.setdefault("timeout", 5.0)
    result = await polled(HttpProbe(url=url, **options)).check(TARGET)
    return result.status, result.message


async def test_a_good_answer_is_up_with_timings(site: str) -> None:
    """200 is up; dns, connect, first byte and total are measured, status and size too."""
    result = await polled(HttpProbe(url=f"{site}/ok")).check(TARGET)
    assert (result.status, result.message) == (Status.UP, "200 OK")
    assert {"connect_seconds", "first_byte_seconds", "total_seconds"} <= result.metrics.keys()
    assert result.metrics["http_status_code"] == 200
    assert result.metrics["body_bytes"] > 10
    assert result.latency == result.metrics["total_seconds"]


@pytest.mark.parametrize(
    ("path", "options", "status", "message"),
    [
        ("/broken", {}, Status.DOWN, "status 503 Service Unavailable, expected 200-299"),
        ("/broken", {"expected_status": [200, "500-599"]}, Status.UP, "503"),
        ("/ok", {"contains": '"ok"'}, Status.UP, "200 OK"),
        ("/ok", {"contains": "fine"}, Status.DOWN, "does not contain 'fine'"),
        ("/ok", {"not_contains": "queue"}, Status.DOWN, "contains 'queue'"),
        ("/ok", {"matches": r"depth.: \d"}, Status.UP, "200 OK"),
        ("/ok", {"matches": "^nothing$"}, Status.DOWN, "does not match"),
        ("/ok", {"json": {"$.status": "ok", "$.queue[0].depth": "< 10"}}, Status.UP, "200"),
        ("/ok", {"json": {"$.queue[0].depth": "> 10"}}, Status.DOWN, "depth is 7, expected > 10"),
        ("/ok", {"json": {"$.ready": True}}, Status.UP, "200"),
        ("/ok", {"json": {"$.ready": 1}}, Status.DOWN, "$.ready is true"),
        ("/ok", {"json": {"$.nothing": 1}}, Status.DOWN, "has no $.nothing"),
        ("/broken", {"json": {"$.a": 1}, "expected_status": [503]}, Status.DOWN, "is not JSON"),
        ("/home", {}, Status.UP, "200 OK"),
        ("/home", {"redirects": 0}, Status.DOWN, "status 302 Found"),
        ("/away/1", {"redirects": 3}, Status.DOWN, "more than 3 redirects"),
        ("/away/1", {"redirects": 1}, Status.DOWN, "more than 1 redirects"),
        ("/home", {"redirects": 1}, Status.UP, "200 OK"),
        ("/home", {"method": "POST", "body": "x", "contains": "queue"}, Status.UP, "200 OK"),
        ("/guarded", {"contains": "in"}, Status.UP, "200 OK"),
        ("/guarded", {"redirects": 1}, Status.UP, "200 OK"),
        ("/guarded", {"headers": {"Cookie": Secret("a=b")}}, Status.UP, "200 OK"),
        ("/guarded", {"method": "POST", "body": "abc", "contains": "abc"}, Status.UP, "200 OK"),
        ("/guarded", {"method": "HEAD"}, Status.UP, "200 OK"),
        ("/long", {"contains": "long"}, Status.UP, "200 OK"),
        ("/long", {"method": "HEAD"}, Status.UP, "200 OK"),
        ("/long", {"method": "POST"}, Status.UP, "200 OK"),
        ("/long?gzip", {"contains": "long"}, Status.UP, "200 OK"),
        ("/long?to", {}, Status.UP, "200 OK"),
        ("/slow", {"timeout": 0.2}, Status.DOWN, "no answer within 0.2 s"),
        ("/drip", {"timeout": 0.3}, Status.DOWN, "no answer within 0.3 s"),
        ("/big", {"contains": "needle"}, Status.DOWN, "in the part that was read"),
        ("/big", {"contains": "needle", "max_body": 4_000_000}, Status.UP, "200"),
        ("/squeezed", {"contains": "needle needle"}, Status.UP, "200"),
        ("/latin", {"contains": "größer"}, Status.UP, "200"),
        ("/klingon", {"contains": "plain"}, Status.UP, "200"),
        ("/ok?a=b%20c#d", {}, Status.UP, "200"),
        ("/ok", {"method": "HEAD"}, Status.UP, "200"),
        ("/ok", {"method": "OPTIONS"}, Status.UP, "200"),
        ("/ok", {"headers": {"user-agent": Secret("me")}}, Status.UP, "200"),
        ("/ok", {"degraded_above": 0.0}, Status.DEGRADED, "200, but slow"),
        ("/ok", {"method": "POST", "body": "x"}, Status.UP, "200"),
    ],
)
async def test_what_an_answer_must_be(
    site: str, path: str, options: dict[str, Any], status: Status, message: str
) -> None:
    """Status ranges, body text, regex, JSON values, redirects, size, speed and time limits hold."""
    found = await look(site + path, **options)
    assert found[0] is status, found
    assert message in found[1]


@pytest.mark.parametrize("wanted", ["< 100", "> 100", "!= 100", ">= 0", 100])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_never_what_was_wanted(value: str, wanted: str | int) -> None:
    """JSON has no NaN and no infinity: whatever is expected of a number, such a one is not it."""
    document = read_json(f'{{"a": {value}, "b": 1}}')
    assert json_expectation("$.a", wanted).trouble(document)
    assert json_expectation("$.b", 1).trouble(document) is None
    with pytest.raises(ValueError, match="not a JSON number"):
        json_expectation("$.a", f"< {value}")


NAMED = {
    "a": [0, {"b c": 1}], "": {"": 1}, "é☺": 1, "_1": 1, "'": 1, '"': 1, "\\": 1, "/": 1, "\n": 1,
    "😀": 1, "\x7f": 1, ".b": 1, "]": 1, "last-run": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "$.a[1]['b c']", "$['a'][-1][\"b c\"]", "$ .a\n[ 1\t]\r[ 'b c' ]", "$.é☺", "$._1",
        "$['']['']", r"$['\'']", '$["\'"]', "$['\"']", r'$["\""]', r"$['\u0022']", r"$['\u0027']",
        r"$['\\']", r'$["\\"]', "$['/']", r"$['\/']", r"$['\n']", r"$['\u000A']", "$['😀']",
        r"$['\uD83D\ude00']", "$['\x7f']", "$['.b']", "$[']']", "$['last-run']", "$.last-run",
    ],
)  # fmt: skip
def test_a_path_names_members_and_elements_as_rfc_9535_says(path: str) -> None:
    """Names stand after a dot or in quotes, with JSON's escapes; indexes may count from the end.
    After a dot, unlike there, a name may have hyphens."""
    assert json_expectation(path, 1).trouble(NAMED) is None


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "@.a", " $", "$ ", "$.", "$..", "$a", "$.a.", "$. a", "$.1", "$.-a",
        "$.'a'", "$.\x1f", "$[", "$[]", "$[a]", "$['a]", "$['a\"]", "$['a'", "$['a']]", "$['a''b']",
        "$[''']", r"""$['\"']""", r"""$["\'"]""", "$['\n']", r"$['\a']", "$['\\']", r"$['\u12']",
        r"$['\x41']", r"$['\uD800']", r"$['\uDE00']", r"$['\uDE00\uD83D']", r"$['\uD800a']",
        "$['\ud800']", "$.\ud800", "$[01]", "$[-0]", "$[-01]", "$[+1]", "$[- 1]", "$[1.0]",
        "$[1e0]", "$[٣]", "$['a'\u00a0]", "$[9007199254740992]", "$[-9007199254740992]",
        "$[" + "9" * 5_000 + "]",
    ],
)  # fmt: skip
def test_what_rfc_9535_calls_no_path_is_refused(path: str) -> None:
    """A path that others refuse is refused with the configuration, not read in a way of its own."""
    with pytest.raises(ValueError, match="not a JSON path|only names and indexes"):
        json_expectation(path, 1)


@pytest.mark.parametrize(
    "path", ["$.*", "$[*]", "$..a", "$[0,1]", "$[0:1]", "$[?@.a]", "$[?match(@.a, '(a|aa)+')]"]
)
def test_a_path_that_may_select_several_values_is_refused(path: str) -> None:
    """Something is expected of one value; and what selects many could take any time to do so."""
    with pytest.raises(ValueError, match="only names and indexes"):
        json_expectation(path, 1)


async def test_credentials_are_sent_and_never_shown(site: str) -> None:
    """Headers, basic and bearer credentials reach the server; no result or repr shows them."""
    probe = HttpProbe(
        url=f"{site}/ok", headers={"X-Key": Secret("k3y-value")}, user="u",
        password=Secret("pa55word"), json={"$.agent": "k3y-value"},
    )  # fmt: skip
    result = await polled(probe).check(TARGET)
    assert result.status is Status.UP
    assert "pa55word" not in repr(probe)
    bearer = HttpProbe(url=f"{site}/ok", bearer=Secret("t0ken"), json={"$.auth": "Bearer t0ken"})
    assert (await polled(bearer).check(TARGET)).status is Status.UP


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "closed early"),
        (b"SSH-2.0-OpenSSH_9\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "ended early"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed early"),
        (b"HTTP/1.1 302 Found\r\nLocation: gopher://x/\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", "ended early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "closed early"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
            + b"x" * 200_000,
            "",
        ),
    ],
)
async def test_broken_servers_are_down_in_words(reply: bytes, message: str) -> None:
    """A closed connection, another protocol, half a body or header are each told in a sentence."""
    async with answering(reply) as url:
        status, text = await look(url)
    assert status is Status.DOWN
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("reply", "options", "message"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", {"contains": "the end"}, "200 OK"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", {}, "200"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
         b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok", {"contains": "ok"}, "200 Fine"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n"
         b"0\r\n\r\n", {"contains": "abcdef"}, "200 OK"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", {}, "204 No Content"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", {"expected_status": [304]},
         "304 Not Modified"),
    ],
)  # fmt: skip
async def test_the_shapes_of_an_answer(reply: bytes, options: dict[str, Any], message: str) -> None:
    """Bodies that end with the connection, in chunks, or are none; an interim answer before the
    real one; a status line without a reason: each is understood."""
    async with answering(reply) as url:
        assert await look(url, **options) == (Status.UP, message)


@asynccontextmanager
async def answering(reply: bytes, piece: int = 0) -> AsyncIterator[str]:
    """A server that says these bytes to whatever request, perhaps piece by piece, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(0, len(reply) if piece else 0, piece or 1):
            writer.write(reply[at : at + piece])
            await asyncio.sleep(0)
        writer.write(b"" if piece else reply)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_what_is_sent() -> None:
    """The request line, host, credentials and agent are sent, and the connection is asked to be
    closed."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/a%20b/ü?q=1#part"
    await look(url, user="u", password=Secret("p"), headers={"X-Key": Secret("k")})
    server.close()
    rows = heard[0].decode().split("\r\n")
    assert rows[0] == "GET /a%20b/%C3%BC?q=1 HTTP/1.1"
    assert {
        f"Host: 127.0.0.1:{port}", "User-Agent: tocsin", "Accept: */*", "X-Key: k",
        "Connection: close", "Authorization: Basic dTpw",
    } <= set(rows)  # fmt: skip


FORGIVEN = [
    (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", {}),
    (b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"Content-Length: 2, 2\r\n\r\nok", {}),
    (b"Transfer-Encoding: identity\r\n\r\nok", {}),
    (b"X Header: 1\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"Content-Length : 2\r\n\r\nok", {}),
    (b"X-Header : 1\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"not a header\r\nContent-Length: 2\r\n\r\nok", {}),
    (b": nameless\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"X-Folded: a\r\n  b\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"Content-Length: 2\nX Header: 1\n\nok", {}),
    (b"X-Control: a\0b\r\nContent-Length: 2\r\n\r\nok", {}),
    (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", {"contains": None}),
    (b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nok", {"contains": None}),
]


@pytest.mark.parametrize("pieces", [1, 0])
@pytest.mark.parametrize(("rest", "options"), FORGIVEN)
async def test_what_browsers_take_is_no_failure(
    rest: bytes, options: dict[str, Any], pieces: int
) -> None:
    """Headers that are written with a slip, and a coding that a check does not look into: the site
    is up, however its answer is cut into packets."""
    reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + rest
    async with answering(reply, pieces) as url:
        assert await look(url, **{"contains": "ok", **options}) == (Status.UP, "200 OK")


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", b"X Y: 1\r\nContent-Length: 3\r\n\r\nok"],
)
async def test_a_body_of_two_lengths_and_half_a_one_is_none(rest: bytes) -> None:
    """Nobody knows where the first ends; the second ended early, whatever its headers were."""
    async with answering(b"HTTP/1.1 200 OK\r\n" + rest) as url:
        status, text = await look(url)
    assert status is Status.DOWN
    assert "not HTTP" in text or "ended early" in text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xef\xbb\xbf" + b'{"a": "\xc3\xbc"}', "application/json"),
        ('{"a": "ü"}'.encode("utf-16"), "application/json"),
        (b"\xfe\xff" + '{"a": "ü"}'.encode("utf-16-be"), ""),
    ],
)
async def test_a_byte_order_mark_is_no_part_of_a_body(body: bytes, kind: str) -> None:
    """JSON as Windows writes it is JSON, and begins where the text begins."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
    async with answering(head + body) as url:
        assert await look(url, json={"$.a": "ü"}, matches="^{") == (Status.UP, "200 OK")


async def test_credentials_of_an_address_go_along_within_its_origin() -> None:
    """Also where the redirect names the whole address, in which nobody writes them."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        on = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/on\r\n\r\n" % port
        writer.write(on if len(heard) == 1 else b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (await look(f"http://u:p@127.0.0.1:{port}/", redirects=1))[0] is Status.UP
    assert [b"Authorization: Basic dTpw" in request for request in heard] == [True, True]


async def test_cookies_and_credentials_stay_where_they_belong() -> None:
    """A redirect to another origin gets neither the credentials nor the cookies of the first."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heard) == 1:
            writer.write(
                b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Secure\r\n"
                b"Set-Cookie: c=3; Max-Age=0\r\nLocation: /on\r\n\r\n"
            )
        elif len(heard) == 2:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:%d/\r\n\r\n" % port)
        else:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, await asyncio.start_server(serve, "127.0.0.2", port):
        url = f"http://127.0.0.1:{port}/"
        found = await look(url, bearer=Secret("t0ken"), headers={"X-Key": Secret("k")})
    assert found == (Status.UP, "204 No Content")
    first, second, third = (rows.decode().split("\r\n") for rows in heard)
    assert "Authorization: Bearer t0ken" in first
    assert {"Authorization: Bearer t0ken", "Cookie: a=1", "X-Key: k"} <= set(second)
    assert not any(row.startswith(("Authorization", "Cookie")) for row in third)
    assert f"Host: 127.0.0.2:{port}" in third


async def test_a_zone_is_this_machines_matter() -> None:
    """An address with a zone, as RFC 6874 writes it, is asked; its Host is without."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await look(f"http://[::1%25lo]:{port}/"))[0] is Status.UP
    assert f"Host: [::1]:{port}\r\n".encode() in heard[0]


async def test_a_check_that_is_given_up_hangs_up() -> None:
    """At the deadline the connection is closed, not left to the server."""
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    assert (await look(url, timeout=0.1))[0] is Status.DOWN
    async with asyncio.timeout(10):
        await closed.wait()
    server.close()


async def test_a_name_with_several_addresses_is_tried_until_one_answers(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first address of a name refuses, the next one is tried."""
    port = int(site.rpartition(":")[2])

    def both(host: str, port: int, *_: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    result = await polled(HttpProbe(url=f"http://two.test:{port}/ok", timeout=5)).check(TARGET)
    assert result.status is Status.UP, result.message
    assert "dns_seconds" in result.metrics


async def test_nobody_there_and_no_such_name() -> None:
    """A refused connection and an unknown host are told apart."""
    assert "refused" in (await look("http://127.0.0.1:1/"))[1]
    assert "cannot be resolved" in (await look("http://no.such.host.invalid/"))[1]


async def test_a_name_that_none_can_have() -> None:
    """A label of more than 63 letters is a name that cannot be resolved, and no fault of ours."""
    assert "cannot be resolved" in (await look(f"http://{'a' * 64}.test/"))[1]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_site(authority: trustme.CA, aiohttp_server: AiohttpServer) -> TestServer:
    """A site with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()

    async def ok(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app.router.add_get("/", ok)
    return await aiohttp_server(app, ssl=context)


async def test_certificates_are_checked_and_aged(
    authority: trustme.CA, tls_site: TestServer, tmp_path: Path
) -> None:
    """An own CA is trusted where named, not otherwise; the days left are a metric, too few of them
    degraded; a wrong name is refused, unless another is to be checked."""
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    url = f"https://localhost:{tls_site.port}/"
    assert "certificate is not valid" in (await look(url))[1]
    good = await polled(HttpProbe(url=url, ca_file=str(ca))).check(TARGET)
    assert good.status is Status.UP
    days = good.metrics["certificate_expiry_days"]
    assert days > 30
    warned = await polled(
        HttpProbe(url=url, ca_file=str(ca), certificate_warn_days=days + 1)
    ).check(TARGET)
    assert warned.status is Status.DEGRADED
    assert "certificate ends in" in warned.message
    by_address = f"https://127.0.0.1:{tls_site.port}/"
    assert "certificate is not valid" in (await look(by_address, ca_file=str(ca)))[1]
    named = await look(by_address, ca_file=str(ca), server_name="localhost")
    assert named[0] is Status.UP
    assert (await look(by_address, verify=False))[0] is Status.UP


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://x/"}, "http://host/path"),
        ({"url": "http://x/", "expected_status": ["2xx"]}, "200-299"),
        ({"url": "http://x/", "matches": "("}, "regular expression"),
        ({"url": "http://x/", "json": {"$..a": 1}}, "only names and indexes"),
        ({"url": "http://x/", "family": "ipx"}, "ipv4"),
        ({"url": "http://x:99999/"}, "[Pp]ort"),
        ({"url": "http://[::1]x:1/"}, "URL"),
        ({"url": "http://x/", "method": "GET /"}, "one word such as GET"),
        ({"url": "http://x/", "headers": {"X-A": Secret("pa55\nword")}}, "header X-A must be one"),
        ({"url": "http://x/", "headers": {"X A": Secret("a")}}, "'X A' is not a valid header name"),
        ({"url": "http://x/", "bearer": Secret("pa55\r\nword")}, "bearer must be one line"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    """A wrong URL, status, expression, path, family, method or header is refused with what to write
    instead, and shows no secret."""
    with pytest.raises(ValueError, match=words.replace("$", r"\$")) as caught:
        HttpProbe(**options)
    assert "pa55" not in str(caught.value)


async def test_it_keeps_to_the_contract(site: str) -> None:
    """It passes the testing kit's suite for probes."""
    await check_probe_conformance(HttpProbe(url=f"{site}/ok", password=Secret("pa55"), user="u"))
