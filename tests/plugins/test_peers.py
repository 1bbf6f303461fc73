"""What the public API offers for talking to peers."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from attrs import field, frozen

from tocsin import (
    CheckError,
    PublicAddresses,
    Result,
    Status,
    check_pattern,
    connect_to,
    describe_error,
    open_stream,
    search_text,
    tls_context,
)


class Server:
    """A TLS server that greets."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.port = 0
        self.versions: list[str | None] = []

    async def greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.versions.append(writer.get_extra_info("ssl_object").version())
        writer.write(b"hello\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    async with await asyncio.start_server(made.greet, "127.0.0.1", 0, ssl=context) as running:
        made.port = running.sockets[0].getsockname()[1]
        yield made


@pytest.mark.parametrize("name", ["localhost", "localhost.", "127.0.0.1", "[127.0.0.1]"])
async def test_a_stream_begins_tls_and_verifies(server: Server, tmp_path: Path, name: str) -> None:
    """With the CA file it is trusted, by name or address, also with a final dot or in brackets."""
    ca = tmp_path / "ca.pem"
    server.authority.cert_pem.write_to_path(str(ca))
    connected = await connect_to("127.0.0.1", server.port)
    reader, writer = await open_stream(
        connected, tls=tls_context(ca_file=str(ca)), server_name=name
    )
    assert await reader.readline() == b"hello\n"
    writer.transport.abort()


async def test_a_certificate_that_is_not_trusted_closes_the_socket(server: Server) -> None:
    """With ``verify=False`` anything is accepted."""
    connected = await connect_to("127.0.0.1", server.port)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await open_stream(connected, tls=tls_context(), server_name="localhost")
    assert "the certificate is not valid" in describe_error(caught.value)
    for _ in range(100):
        if connected.fileno() == -1:
            break
        await asyncio.sleep(0.01)
    assert connected.fileno() == -1
    connected = await connect_to("127.0.0.1", server.port)
    tls = tls_context(verify=False, minimum_version=ssl.TLSVersion.TLSv1_3)
    reader, writer = await open_stream(connected, tls=tls, server_name="elsewhere")
    assert await reader.readline() == b"hello\n"
    writer.transport.abort()
    assert server.versions[-1] == "TLSv1.3"


async def test_tls_needs_a_name(server: Server) -> None:
    """Without one nothing could be verified; the socket is closed."""
    connected = await connect_to("127.0.0.1", server.port)
    with pytest.raises(ValueError, match="server_name"):
        await open_stream(connected, tls=tls_context())
    assert connected.fileno() == -1


async def test_a_stream_without_tls() -> None:
    """The streams of the socket as it is."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reader, writer = await open_stream(ours)
    theirs.sendall(b"plain\n")
    assert await reader.readline() == b"plain\n"
    writer.transport.abort()
    theirs.close()


def test_a_context_is_kept_until_its_file_changes(tmp_path: Path) -> None:
    """A renewed CA file is read again."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    first = tls_context(ca_file=str(file))
    assert tls_context(ca_file=str(file)) is first
    assert tls_context(ca_file=str(file), verify=False) is not first
    trustme.CA().cert_pem.write_to_path(str(file))
    os.utime(file, ns=(1, 1))
    assert tls_context(ca_file=str(file)).get_ca_certs() != first.get_ca_certs()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file or directory"), ("nonsense", "it contains no certificate")],
)
def test_a_file_without_certificates_is_our_own_trouble(
    tmp_path: Path, content: str | None, words: str
) -> None:
    """The sentence names the file; the result is unknown with it."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CheckError, match=words) as caught:
        tls_context(ca_file=str(file))
    result = Result.failed(caught.value, "ignored", metrics={"connect_seconds": 0.1})
    assert result.status is Status.UNKNOWN
    assert result.message == f"ca_file {file} cannot be used: {words}"
    assert result.metrics == {"connect_seconds": 0.1}


async def test_a_search_finds() -> None:
    """Anywhere in the text, short or long."""
    assert await search_text(r"^b\d", "a\nb1") is False
    assert await search_text(r"(?m)^b\d", "a\nb1")
    assert await search_text("end$", "x" * 100_000 + "end")
    assert not await search_text("begin", "x" * 100_000)


async def test_a_search_that_takes_too_long_is_our_own_trouble() -> None:
    """It ends in about a second, and the event loop goes on meanwhile; the text has the remedy."""
    began, ticks = time.monotonic(), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    with pytest.raises(CheckError, match="nested repetitions"):
        await search_text(r"(a|aa)+$", "a" * 100 + "!")
    ticking.cancel()
    assert time.monotonic() - began < 5
    assert ticks > 5


def test_an_option_that_is_no_expression_is_refused() -> None:
    """The validator names the option, the place and the reason; None is no expression."""

    @frozen(kw_only=True)
    class Options:
        expect: str | None = field(default=None, validator=check_pattern)

    assert Options(expect="a+").expect == "a+"
    assert Options().expect is None
    with pytest.raises(ValueError, match=r"expect = '\(a' is not a regular expression: missing \)"):
        Options(expect="(a")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "the connection was refused"),
        (OSError(errno.EPIPE, "x"), "the connection was reset"),
        (ConnectionResetError("lost"), "the connection was reset"),
        (asyncio.IncompleteReadError(b"", 1), "the connection was closed early"),
        (OSError(errno.EHOSTUNREACH, "x"), "there is no route to the host"),
        (socket.gaierror(-2, "x"), "the host name cannot be resolved"),
        (TimeoutError(), "no answer in time"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied"),
        (KeyError(), "KeyError"),
    ],
)
def test_errors_in_words(error: BaseException, words: str) -> None:
    """A clause for people, without an address."""
    assert describe_error(error).startswith(words)


def test_the_guard_refuses_private_addresses() -> None:
    """It says which; a public one gets a socket that does not block."""
    guard = PublicAddresses()
    family, kind = socket.AF_INET, socket.SOCK_STREAM
    with pytest.raises(PermissionError, match=r"10\.0\.0\.1 is a private address"):
        guard((family, kind, 6, "", ("10.0.0.1", 80)))
    assert guard.refused == "10.0.0.1"
    made = guard((family, kind, 6, "", ("1.1.1.1", 80)))
    assert not made.getblocking()
    made.close()
