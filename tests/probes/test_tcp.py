"""The tcp probe against real listeners."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.contexts import polled
from tocsin import Status, Target
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.tcp import TcpProbe
from tocsin.testing import check_probe_conformance

TARGET = Target(name="t")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that greets, answers PING with PONG, and is silent to all else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            if line == b"PING\r\n":
                writer.write(b"PO")
                await writer.drain()
                writer.write(b"NG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({}, Status.UP, "answers"),
        ({"expect": "^220"}, Status.UP, "answers"),
        ({"send": r"PING\r\n", "expect": "PONG"}, Status.UP, "answers"),
        (
            {"send": r"HELO\r\n", "expect": "PONG", "timeout": 0.3},
            Status.DOWN,
            "no expected answer",
        ),
        ({"degraded_above": 0.0}, Status.DEGRADED, "slow"),
        ({"tls": True, "timeout": 1.0}, Status.DOWN, "TLS failed"),
    ],
)
async def test_what_a_port_must_do(
    port: int, options: dict[str, Any], status: Status, message: str
) -> None:
    """Connecting, greeting, send and expect, speed and TLS are each judged."""
    result = await polled(TcpProbe(host="127.0.0.1", port=port, **options)).check(TARGET)
    assert result.status is status, result.message
    assert message in result.message
    assert "connect_seconds" in result.metrics


async def test_a_port_that_closes_at_once_gave_no_answer() -> None:
    """A listener that hangs up before it says what is expected is down."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await polled(TcpProbe(host="127.0.0.1", port=port, expect="x")).check(TARGET)
    assert (result.status, "got nothing" in result.message) == (Status.DOWN, True)
    server.close()


async def test_nobody_there_and_no_such_name() -> None:
    """A refused connection and an unknown host are told apart."""
    refused = await polled(TcpProbe(host="127.0.0.1", port=1)).check(TARGET)
    assert refused.message == "127.0.0.1:1: the connection was refused"
    unknown = await polled(TcpProbe(host="no.such.host.invalid", port=1)).check(TARGET)
    assert "cannot be resolved" in unknown.message


async def test_tls_is_spoken_and_its_certificate_aged(tmp_path: Path) -> None:
    """With TLS the days left of the certificate are a metric; an unknown CA is down."""
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    probe = TcpProbe(host="127.0.0.1", port=port, tls=True, server_name="localhost",
                     ca_file=str(ca))  # fmt: skip
    result = await polled(probe).check(TARGET)
    assert result.status is Status.UP, result.message
    assert result.metrics["certificate_expiry_days"] > 30
    strange = await polled(TcpProbe(host="127.0.0.1", port=port, tls=True)).check(TARGET)
    assert "certificate is not valid" in strange.message
    server.close()


async def test_an_address_may_stand_in_brackets() -> None:
    """As it does in a URL and in front of a port."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "::1", 0)
    port = server.sockets[0].getsockname()[1]
    for host in ("[::1]", "::1"):
        result = await polled(TcpProbe(host=host, port=port)).check(TARGET)
        assert result.status is Status.UP, result.message
    server.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_of_no_use_is_our_own_fault(
    port: int, tmp_path: Path, content: str | None
) -> None:
    """A CA file that is not there, or holds nothing, says nothing of the server: unknown, by name,
    with each probe that takes one."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    for probe in (
        TcpProbe(host="127.0.0.1", port=port, tls=True, ca_file=str(file)),
        HttpProbe(url=f"https://127.0.0.1:{port}/", ca_file=str(file)),
    ):
        result = await polled(probe).check(TARGET)
        assert result.status is Status.UNKNOWN, result.message
        assert f"ca_file {file} cannot be used" in result.message


@pytest.mark.parametrize("name", ["db..internal", "." * 3, "a" * 64, "a\0b", "xn--\u00fc"])
def test_a_server_name_that_can_be_none_is_refused(name: str) -> None:
    """TLS cannot ask for it, so that the check could never be made."""
    with pytest.raises(ValueError, match="server_name is not a valid server name"):
        TcpProbe(host="x", port=1, tls=True, server_name=name)
    with pytest.raises(ValueError, match="server_name is not a valid server name"):
        HttpProbe(url="https://x/", server_name=name)


def test_options_that_cannot_work_are_refused() -> None:
    """Ports out of range and broken expressions are refused."""
    with pytest.raises(ValueError):
        TcpProbe(host="x", port=70000)
    with pytest.raises(ValueError, match="regular expression"):
        TcpProbe(host="x", port=1, expect="(")


async def test_it_keeps_to_the_contract(port: int) -> None:
    """It passes the testing kit's suite for probes."""
    await check_probe_conformance(TcpProbe(host="127.0.0.1", port=port))
