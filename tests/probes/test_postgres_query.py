"""The postgres-query probe against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.faults.relay import before_postgres
from tocsin import Secret, Status, Target
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe
from tocsin.testing import check_probe_conformance

TARGET = Target(name="db")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({}, Status.UP, "the value is 1"),
        ({"expect": 1}, Status.UP, "1"),
        ({"expect": 2}, Status.DOWN, "the value is 1, expected 2"),
        ({"query": "SELECT 'ok'", "expect": "ok"}, Status.UP, "ok"),
        ({"query": "SELECT true", "expect": True}, Status.UP, "True"),
        ({"query": "SELECT 1.5::numeric", "min": 1, "max": 2}, Status.UP, "1.5"),
        ({"query": "SELECT 5", "max": 3}, Status.DOWN, "more than 3"),
        ({"query": "SELECT 5", "min": 7}, Status.DOWN, "less than 7"),
        ({"query": "SELECT 5", "degraded_max": 3}, Status.DEGRADED, "the value is 5"),
        ({"query": "SELECT 'x'", "min": 1}, Status.DOWN, "not a number"),
        ({"query": "SELECT NULL", "expect": 1}, Status.DOWN, "NULL"),
        ({"query": "SELECT 'NaN'::float8", "min": 1}, Status.DOWN, "nan, which is not a number"),
        ({"query": "SELECT 'Infinity'::float8", "min": 1}, Status.DOWN, "not a number"),
        ({"query": "SELECT 'NaN'::numeric", "max": 0}, Status.DOWN, "not a number"),
        ({"query": "SELECT 'NaN'::float8", "degraded_max": 0}, Status.DEGRADED, "not a number"),
        ({"query": "SELECT '-Infinity'::float8", "degraded_max": 0}, Status.DEGRADED, "-inf"),
        ({"query": "SELECT NULL", "degraded_min": 0}, Status.DEGRADED, "NULL, which is not a num"),
        ({"query": "SELECT 'NaN'::float8", "expect": 1}, Status.DOWN, "nan, expected 1"),
        ({"query": "SELECT '20000-01-01'::timestamptz"}, Status.DOWN, ""),
        ({"query": "SELECT 1 WHERE false"}, Status.DOWN, "no row"),
        ({"query": "CREATE TABLE t (a int)"}, Status.UNKNOWN, "read-only"),
        ({"query": "SELEC 1"}, Status.UNKNOWN, "cannot be used"),
        ({"query": "SELECT 1; SELECT 2"}, Status.UNKNOWN, "cannot be used"),
        ({"query": "SELECT * FROM nowhere"}, Status.DOWN, "nowhere"),
        ({"query": "SELECT pg_sleep(30)", "timeout": 0.5}, Status.DOWN, "within 0.5 s"),
        ({"degraded_above": 0.0}, Status.DEGRADED, "slow"),
    ],
)
async def test_values_are_compared(
    postgres: str, options: dict[str, Any], status: Status, message: str
) -> None:
    """expect, min, max and their degraded twins; NULL, no row, writes, several statements and slow
    queries are each told for what they are."""
    result = await PostgresQueryProbe(dsn=Secret(postgres), **options).check(TARGET)
    assert result.status is status, result.message
    assert message in result.message


@pytest.mark.parametrize("character", ["/", "?", "#", "[", "p@a/", "p@a?", "p@a?x=", "@#"])
def test_a_dsn_that_cannot_be_read_is_refused(character: str) -> None:
    """A password with such a character must be escaped: asyncpg would take a part of it for a port
    and name it in its error, which an alert would repeat."""
    with pytest.raises(ValueError, match="cannot be read as a URL") as caught:
        PostgresQueryProbe(dsn=Secret(f"postgresql://app:pa55{character}word@db:5432/x"))
    assert "pa55" not in str(caught.value)
    assert "word@" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "status", "message"),
    [
        ("target_session_attrs=standby", Status.DOWN, "target_session_attrs = standby of the dsn"),
        ("target_session_attrs=read-only", Status.DOWN, "no server meets"),
        ("target_session_attrs=primary", Status.UP, "the value is 1"),
        ("target_session_attrs=any-one", Status.UNKNOWN, "settings cannot be used"),
        ("sslmode=sometimes", Status.UNKNOWN, "settings cannot be used"),
        ("sslmode=verify-ca&sslrootcert=/nowhere.pem", Status.UNKNOWN, "sslrootcert /nowhere.pem"),
        ("sslmode=verify-ca&sslrootcert=/dev/null", Status.UNKNOWN, "a TLS file of the dsn"),
        ("sslmode=require&sslcert=/nowhere.pem", Status.UNKNOWN, "sslcert /nowhere.pem cannot be"),
    ],
)
async def test_whose_fault_a_refused_connection_is(
    postgres: str, parameter: str, status: Status, message: str
) -> None:
    """That no server is what the DSN asks for is the servers' failure; a DSN, or a file in it, that
    nobody could use is ours."""
    result = await PostgresQueryProbe(dsn=Secret(f"{postgres}&{parameter}")).check(TARGET)
    assert result.status is status, result.message
    assert message in result.message


async def test_latency_and_value_are_metrics(postgres: str) -> None:
    """Connecting, the query and its value are measured."""
    result = await PostgresQueryProbe(dsn=Secret(postgres), query="SELECT 42").check(TARGET)
    assert result.metrics["value"] == 42
    assert {"connect_seconds", "query_seconds"} <= result.metrics.keys()


async def test_an_at_sign_may_stand_in_a_password(by_tcp: int) -> None:
    """It ends where the host begins, and no part of it is taken for a host."""
    for port, status in ((by_tcp, Status.UP), (1, Status.DOWN)):
        dsn = Secret(f"postgresql://postgres:p@55@word@127.0.0.1:{port}/postgres")
        result = await PostgresQueryProbe(dsn=dsn).check(TARGET)
        assert result.status is status, result.message
        assert "word" not in result.message


async def test_secrets_are_never_told() -> None:
    """A refused connection, an unknown host or a wrong password show no password."""
    for dsn in ("postgresql://u:pa55word@127.0.0.1:1/d", "postgresql://u:pa55word@no.invalid/d"):
        probe = PostgresQueryProbe(dsn=Secret(dsn))
        result = await probe.check(TARGET)
        assert result.status is Status.DOWN
        assert "pa55word" not in result.message + repr(probe)


@pytest.fixture
def by_tcp(postgres: str) -> Iterator[int]:
    """A port at 127.0.0.1 at which PostgreSQL is."""
    relay = before_postgres(postgres)
    yield relay.port
    relay.close()


@pytest.fixture
def silent(by_tcp: int) -> Iterator[str]:
    """An address at which nobody answers at that port, not even to refuse: its queue is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.9", by_tcp))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", by_tcp))
        yield "127.0.0.9"


async def test_the_first_address_may_be_dead(
    by_tcp: int, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a name's addresses the first that answers is taken, and of several hosts the next where
    one does not answer, with each probe that takes a name."""

    def both(host: str, port: int, *_: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in (silent, "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    probes = [
        PostgresQueryProbe(host="two.test", port=by_tcp, user="postgres", timeout=5),
        PostgresQueryProbe(dsn=Secret(f"postgresql://postgres@two.test:{by_tcp}/postgres")),
        PostgresQueryProbe(
            dsn=Secret(f"postgresql://postgres@{silent}:{by_tcp},127.0.0.1:{by_tcp}/postgres"),
            timeout=2,
        ),
        TcpProbe(host="two.test", port=by_tcp, timeout=5),
    ]
    for probe in probes:
        result = await probe.check(TARGET)
        assert result.status is Status.UP, result.message


async def test_a_server_that_accepts_and_says_nothing_is_down() -> None:
    """A frozen server's socket accepts; the check ends at its timeout, not later."""

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)  # the writer is kept: from Python 3.13, one that is dropped closes

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    probe = PostgresQueryProbe(host="127.0.0.1", port=port, user="u", timeout=0.5)
    result = await probe.check(TARGET)
    assert (result.status, result.message) == (Status.DOWN, "no connection within 0.5 s")
    server.close()


@pytest.mark.parametrize(
    "options", [{}, {"dsn": Secret("mysql://x")}, {"dsn": Secret("postgresql://x"), "host": "y"}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    """Neither or both of dsn and host, or a DSN of something else, are refused."""
    with pytest.raises(ValueError, match="dsn"):
        PostgresQueryProbe(**options)


async def test_it_keeps_to_the_contract(postgres: str) -> None:
    """It passes the testing kit's suite for probes."""
    await check_probe_conformance(PostgresQueryProbe(dsn=Secret(postgres)))


@pytest.mark.parametrize("rounds", [4096, 600_000, 2**31 - 1, 10**30])
async def test_a_server_does_not_choose_how_long_a_password_is_hashed(rounds: int) -> None:
    """SCRAM lets the server say how many rounds of hashing there are, all of them in one call: more
    than some is unknown, with what to do; the usual number is done."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def ask(kind: int, data: bytes) -> None:
            writer.write(b"R" + struct.pack("!II", len(data) + 8, kind) + data)

        with suppress(OSError):
            if len(await reader.read(500)) == 8:  # may it be TLS?
                writer.write(b"N")
                await reader.read(500)
            ask(10, b"SCRAM-SHA-256\0\0")
            nonce = (await reader.read(500)).partition(b"r=")[2]
            ask(11, b"r=%sx,s=c2FsdA==,i=%d" % (nonce, rounds))
            await reader.read(500)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        probe = PostgresQueryProbe(
            host="127.0.0.1", port=server.sockets[0].getsockname()[1], user="a", database="b",
            password=Secret("a password"), timeout=5.0,
        )  # fmt: skip
        began = time.thread_time()
        result = await probe.check(TARGET)
        assert time.thread_time() - began < 0.2
    if rounds == 4096:
        assert result.status is Status.DOWN
    else:
        assert result.status in (Status.UNKNOWN, Status.DOWN)
        assert "rounds of password hashing" in result.message or rounds > 2**31
