"""What a watched service answers may be anything: a check says what it was, quickly, and goes on.

Each answer is given by a real server on loopback. Time is the CPU of the event loop's thread, since
what counts is how long everything else would have had to wait.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.contexts import polled
from tocsin import Result, Status, Target, decode_text
from tocsin.plugins.probes import _perfdata
from tocsin.plugins.probes._http_exchange import Trouble
from tocsin.plugins.probes._http_expect import json_expectation, read_json
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe

TARGET = Target(name="web")

MOST_CPU = 1.0
"""Seconds, wide: the faults that this is about took from several to thousands."""


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """A server that says the same to everybody, and its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            writer.write(answer)
            await writer.drain()
            writer.close()
        except OSError:  # the other side had enough
            pass

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


async def look(answer: bytes, **options: object) -> Result:
    """Check a server that says this; fails where that kept the event loop's thread busy."""
    async with saying(answer) as port:
        probe = HttpProbe(url=f"http://127.0.0.1:{port}/", timeout=20.0, **options)  # type: ignore[arg-type]
        began = time.thread_time()
        result = await polled(probe).check(TARGET)
        assert time.thread_time() - began < MOST_CPU
    return result


CODECS = (
    "punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "rot13", "zlib", "bz2",
    "hex", "quopri", "uu", "undefined", "mbcs", "../x", "x" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("form", ["charset={}", 'charset="{}"', "charset*={}''{}", "CharSet = {}"])
async def test_an_answer_chooses_no_codec(codec: str, form: str) -> None:
    """Only character sets that pages are written in are decoded; under any other name the body is
    UTF-8. Python's other codecs take quadratic time, raise what nobody expects, or run escapes."""
    kind = f"Content-Type: text/plain; {form.format(codec[:4000], 'a' * 2000)}"
    result = await look(http(b"needle" + b"a" * 800_000, kind), contains="needle")
    assert (result.status, result.message) == (Status.UP, "200 OK")
    assert decode_text(b"\\x41+AGE-", kind) == "\\x41+AGE-"


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "größer 東京"), ("UTF8", "größer"), ("ISO-8859-1", "größer"), ("latin1", "ä"),
        ("iso_8859-15", "5 €"), ("windows-1252", "5 €"), ("cp1251", "Привет"), ("koi8-r", "Привет"),
        ("utf-16", "größer"), ("utf-16le", "größer"), ("Shift_JIS", "東京"), ("euc-jp", "東京"),
        ("EUC-KR", "서울"), ("gb2312", "北京"), ("gb18030", "北京"), ("big5", "台北"),
    ],
)  # fmt: skip
async def test_a_page_is_read_in_its_own_character_set(charset: str, text: str) -> None:
    """The character sets that pages are written in are understood under their usual names."""
    body = text.encode(charset)
    result = await look(http(body, f'Content-Type: text/html; charset="{charset}"'), contains=text)
    assert result.status is Status.UP


@pytest.mark.parametrize("charset", ["", "windows-1252", "utf-16", "iso-8859-3", "gb18030"])
def test_bytes_that_are_none_of_a_character_set_cost_no_time(charset: str) -> None:
    """A megabyte of them is decoded as quickly as any; a few become U+FFFD and no more."""
    kind = f"text/plain; charset={charset}"
    began = time.thread_time()
    for raw in (b"\x81", b"\xa5", b"\x00\xd8", b"\xff"):
        decode_text(raw * (4_000_000 // len(raw)), kind)
    assert time.thread_time() - began < MOST_CPU
    assert decode_text(b"a\x81b", "x; charset=windows-1252") == "a\ufffdb"


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (DEEP, "not JSON that can be read: nested too deeply"),
        (b'{"a":' * 150_000, "nested too deeply"),
        (b'{"a":' + b"9" * 5_000 + b"}", "a number is too long"),
        (b'{"a":' + b"9" * 4_000 + b"}", "$.a is a number of more than 30 digits, expected 1"),
        (b'{"a":1e400}', "$.a is Infinity, expected 1"), (b'{"a":NaN}', "$.a is NaN, expected 1"),
        (b'{"a":1,"a":2}', "$.a is 2, expected 1"), (b'{"a":"1"}', '$.a is "1", expected 1'),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "$.a is a list of 1, expected 1"),
        (b'{"a":"' + b"x" * 900_000 + b'"}', '$.a is "xxx'), (b"1", "the body has no $.a"),
        (b"nothing", "the body is not JSON: Expecting value, line 1 column 1"), (b"", "not JSON"),
        (b'"\xed\xa0\x80"', "the body has no $.a"), (b'{"a":"\\ud800"}', "$.a is"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_document_to_compare_is_the_result(body: bytes, says: str) -> None:
    """Nested without end, numbers without end, no JSON at all: down, and the message says why. The
    message stays short."""
    result = await look(http(body), json={"$.a": 1}, max_body=2_000_000)
    assert result.status is Status.DOWN
    assert says in result.message
    assert len(result.message) < 200


async def test_a_document_is_read_once_for_all_expectations() -> None:
    """A megabyte of lists and thirty expectations cost what one costs."""
    body = b'{"a":1,"b":[' + b"[]," * 320_000 + b"1]}"
    result = await look(http(body), json={"$.a": 1, **{f"$.b[{n}]": "!= 1" for n in range(30)}})
    assert result.status is Status.UP


@pytest.mark.parametrize("body", ["[" + "[[]]," * 200_000 + "1]", "[" * 200_000, "[1", "9" * 5_000])
def test_reading_json_looks_for_no_cycles(body: str) -> None:
    """A megabyte of lists makes Python look through all that tocsin holds again and again, for
    nothing: JSON holds no cycles. Afterwards it looks for them as before."""
    seen: list[str] = []
    gc.callbacks.append(lambda phase, _: seen.append(phase))
    try:
        with suppress(Trouble):
            read_json(body)
        during = len(seen)
    finally:
        gc.callbacks.pop()
    assert during <= 2  # one may come as soon as it is over
    assert gc.isenabled()


SLOW = [
    (r"(a+)+$", b"a" * 5_000 + b"!"), (r"(a|aa)+$", b"a" * 100 + b"!"),
    (r"(x+x+)+y", b"x" * 200_000), (r"(\w+\s?)*$", b"aa " * 20_000 + b"!"),
    (r"(?:a?){200}a{200}b", b"a" * 300),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "body"), SLOW)
async def test_an_expression_that_does_not_end_is_given_up(pattern: str, body: bytes) -> None:
    """An answer may be what an expression backtracks on for years: then the check is unknown, since
    nobody knows whether it matches, and says which expression; meanwhile all else goes on."""
    result = await look(http(body), matches=pattern)
    assert result.status is Status.UNKNOWN
    assert "takes too long to match" in result.message


async def test_an_expression_on_a_large_body_leaves_the_loop_alone() -> None:
    """What does match takes its time on a thread: the event loop turns meanwhile."""
    body = b" " * 900_000 + b"x"
    result = await look(http(body), matches=r"\s+$")
    assert result.status in (Status.UNKNOWN, Status.DOWN)
    result = await look(http(b"a" * 900_000 + b" status: fine"), matches=r"status: \w+$")
    assert result.status is Status.UP


async def test_a_tcp_answer_is_searched_with_the_same_bound() -> None:
    """``expect`` may meet anything, too."""
    async with saying(b"a" * 60_000 + b"!") as port:
        probe = TcpProbe(host="127.0.0.1", port=port, send="x", expect=r"(a|aa)+\d", timeout=5.0)
        began = time.thread_time()
        result = await polled(probe).check(TARGET)
        assert time.thread_time() - began < MOST_CPU
    assert result.status is Status.UNKNOWN
    assert "takes too long" in result.message


@pytest.mark.parametrize("before", range(150, 260, 7))
async def test_no_secret_of_an_answer_is_cut_before_it_is_known_for_one(before: int) -> None:
    """Of what a server said the beginning is told; a token where that ends is hidden whole."""
    async with saying(b"x" * before + b" AKIAPL4NT3D094571234 redis://:a9b8c7d6e5@h/0") as port:
        result = await polled(TcpProbe(host="127.0.0.1", port=port, send="x", expect="^220")).check(
            TARGET
        )
    assert result.status is Status.DOWN
    assert "AKIAPL" not in result.message
    assert "a9b8" not in result.message


@pytest.mark.parametrize("path", ["$['']", '$[""]', "$.a['']"])
def test_a_member_may_have_no_name(path: str) -> None:
    """RFC 9535 allows the empty name."""
    assert json_expectation(path, 1).trouble({"": 1, "a": {"": 1}}) is None


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$" + ".a" * 300_000, {"a": {}}), ("$" + "[0]" * 300_000, [[]]),
        ("$" + " " * 900_000 + ".a", {}), ("$['" + '"' * 400_000 + "']", {}),
        ("$['" + r"\'" * 400_000 + "']", {}), ("$['" + r"\u0041" * 100_000 + "']", {}),
    ],
)  # fmt: skip
def test_a_path_of_any_length_costs_little(path: str, document: object) -> None:
    """A path is read once, step by step, however long it is."""
    began = time.thread_time()
    assert (json_expectation(path, 1).trouble(document) or "").startswith("the body has no $")
    assert time.thread_time() - began < MOST_CPU


@pytest.mark.parametrize(
    "path",
    [
        "$" + "[" * 300_000, "$['" + "\\" * 300_001, "$" + "[?@" * 100_000, "$" + "..*" * 100_000,
        "$[" + " " * 300_000, "$[0" + " " * 300_000, "$[?" + "(" * 300_000 + "@",
        "$['" + "a" * 300_000,
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused_at_once(path: str) -> None:
    """However long it is and however deep it nests."""
    began = time.thread_time()
    with pytest.raises(ValueError, match="only names and indexes"):
        json_expectation(path, 1)
    assert time.thread_time() - began < MOST_CPU


def test_a_comparison_of_blanks_costs_no_time() -> None:
    """A value that is wanted may be of any length."""
    began = time.thread_time()
    json_expectation("$.a", "<[" + " " * 100_000 + "\n")
    assert time.thread_time() - began < 1.0


def bomb(times: int, size: int = 100_000_000) -> bytes:
    """Zeros, packed so many times over."""
    packed = b"\0" * size
    for _ in range(times):
        packed = gzip.compress(packed, 9)
    return packed


BOMB = bomb(1)
TWICE = bomb(2)


ONCE = gzip.compress(b"a needle", mtime=0)


@pytest.mark.parametrize(
    ("body", "coding", "status", "says"),
    [
        (BOMB, "gzip", Status.DOWN, "in the part that was read"),
        (TWICE, "gzip, gzip", Status.DOWN, "in the part that was read"),
        (TWICE, "gzip,gzip,gzip", Status.UNKNOWN, "encoded as 'gzip, gzip, gzip', which cannot"),
        (BOMB, "br", Status.UNKNOWN, "encoded as 'br', which cannot be read"),
        (b"needle", "gzip", Status.DOWN, "the body is not gzip, as its headers say"),
        (b"needle", "deflate", Status.DOWN, "the body is not deflate, as its headers say"),
        (ONCE, "x-gzip", Status.UP, "200"),
        (zlib.compress(b"a needle"), "deflate", Status.UP, "200"),
        (zlib.compress(b"a needle")[2:-4], "deflate", Status.UP, "200"),
        (gzip.compress(ONCE, mtime=0), "gzip, gzip", Status.UP, "200"),
        (b"a needle", "identity", Status.UP, "200"),
    ],
)  # fmt: skip
async def test_compression_is_undone_as_far_as_is_read(
    body: bytes, coding: str, status: Status, says: str
) -> None:
    """Nothing past ``max_body`` is unpacked, however often it was packed; what cannot be unpacked
    is named."""
    result = await look(http(body, f"Content-Encoding: {coding}"), contains="needle")
    assert (result.status, says in result.message) == (status, True), result.message
    assert result.metrics.get("body_bytes", 0) <= 1_000_000


async def test_a_coding_nobody_asked_to_read_is_no_failure() -> None:
    """A check of the status alone does not care how the body is packed."""
    result = await look(http(b"...", "Content-Encoding: zstd"))
    assert (result.status, result.message) == (Status.UP, "200 OK")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200_000, "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 2_000_000, "the answer is not HTTP"),
        (b"HTTP/1.1 200 " + b"O" * 2_000_000, "the answer is not HTTP"),
        (http(b"", status="200 " + "K" * 5_000), "200 KKKK"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 300_000, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 60 + b"\r\na", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2_000_000, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 4_500 + b"\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "the answer is not HTTP"),
        (http(b"", "Set-Cookie: " + '"' * 7_000), "200 OK"),
        (http(b"", 'Content-Type: a; b="' + ";" * 7_000), "200 OK"),
        (b"\0" * 300_000, "the answer is not HTTP"), (b"", "closed early"),
    ],
)  # fmt: skip
async def test_what_is_hardly_http_is_the_result(answer: bytes, says: str) -> None:
    """Heads and chunks without end, lengths that are none, reasons by the page: each is an answer
    of some kind, in a short sentence, and no failure of the probe."""
    result = await look(answer, contains="")
    assert result.status in (Status.UP, Status.DOWN)
    assert says in result.message
    assert len(result.message) < 250


async def test_interim_answers_do_not_go_on_for_ever() -> None:
    """A server that only ever says 100 Continue has given no answer."""
    result = await look(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)
    assert (result.status, "headers do not end" in result.message) == (Status.DOWN, True)


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1", "http://a..b/", "http://" + "a" * 70 + ".b/", "javascript:alert(1)", "//",
        "http://127.0.0.1:99999999/", "http://127.0.0.1:x/", "http://\xff\xfe/", "http://%00/",
        "http://" + "\xe4" * 3_000 + "/", "http://xn--" + "a" * 3_000 + "/", "file:///etc/passwd",
        "http://0x7f.1:1/", "http:///", "http://user:pass@/", "\t", "http://127.0.0.1:1/\x80",
        "http://a.xn--/", "http://xn--\xff/", "http://-/", "h" * 6_000 + ":", "http://1.1.1.1.1.1/",
    ],
)  # fmt: skip
async def test_a_redirect_to_anywhere_is_the_result(location: str) -> None:
    """An address that is none is down, in words; nothing that a server names ends the probe."""
    answer = http(b"", f"Location: {location}", status="302 Found")
    async with saying(answer) as port:
        probe = HttpProbe(url=f"http://127.0.0.1:{port}/", timeout=5.0, redirects=2)
        began = time.thread_time()
        result = await polled(probe).check(TARGET)
        assert time.thread_time() - began < MOST_CPU
    assert result.status is Status.DOWN
    assert result.message
    assert result.message != location


@pytest.mark.parametrize(
    "host", ["db..internal", "a" * 64 + ".internal", ".", "\u00fc" * 3_000, "xn--\u00fc", "a\0b"]
)
async def test_a_name_that_can_be_none_is_down(host: str) -> None:
    """A host name of no possible shape is what the check says, with each probe that takes one."""
    began = time.thread_time()
    for probe in (
        TcpProbe(host=host, port=1, timeout=2.0),
        PostgresQueryProbe(host=host, user="a", database="b", timeout=2.0),
        HttpProbe(url=f"http://{host}/", timeout=2.0),
    ):
        result = await polled(probe).check(TARGET)
        assert result.status is Status.DOWN
        assert result.message
    assert time.thread_time() - began < MOST_CPU


@pytest.mark.parametrize(
    "data",
    [
        "a=" + "9" * 60_000 + "!", "a=" + "1" * 60_000, "a='" * 20_000, "''" * 30_000, "a" * 60_000,
        "'a" + " ''" * 20_000, " " * 60_000, "=" * 60_000, "a=1;" * 15_000, "a=1e" + "9" * 60_000,
        "'" * 60_001, "''' " * 15_000, "a=1;;;;; " * 7_000, "," * 60_000, "a=" + "1," * 30_000,
        "a=+" * 20_000, "a=." * 20_000, "\u0660=\u0661 " * 10_000,
    ],
)  # fmt: skip
def test_performance_data_of_any_shape_cost_no_time(data: str) -> None:
    """A program may print anything: what cannot be read is left out, in time that grows with the
    length and no faster."""
    began = time.thread_time()
    metrics = _perfdata.parse(data)
    assert time.thread_time() - began < MOST_CPU
    assert len(metrics) <= _perfdata.MAX_METRICS
