"""The dns probe against name servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import dns.flags
import dns.message
import dns.resolver
import pytest

from tests.servers import Handler, endless, hangs_up, peer, silent
from tocsin import Result, Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net._dns_records import RecordType
from tocsin_net.dns import DnsProbe

TARGET = Target(name="t")


async def ask(port: int, name: str, kind: str = "A", **options: Any) -> Result:
    """Run the probe once against the server on a port."""
    probe = DnsProbe(
        name=name, record_type=RecordType(kind), port=port,
        **{"servers": ("127.0.0.1",), "timeout": 5, **options},
    )  # fmt: skip
    return await probe.check(TARGET)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        answer = self._answer(data)
        if answer is not None:
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def udp(
    answer: Callable[[bytes], bytes | None], port: int = 0
) -> AsyncIterator[tuple[int, _Udp]]:
    """Answer datagrams with a function; yield the port and the server."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(answer), ("127.0.0.1", port)
    )
    try:
        yield transport.get_extra_info("sockname")[1], protocol
    finally:
        transport.close()


def truncated(query: bytes) -> bytes:
    """Answer that the answer is too long."""
    message = dns.message.make_response(dns.message.from_wire(query))
    message.flags |= dns.flags.TC
    return message.to_wire()


async def test_a_server_that_does_not_answer_is_down_after_three_tries() -> None:
    """A lost datagram is no failure, and so the question is repeated."""
    async with udp(lambda _: None) as (port, server):
        result = await ask(port, "www.example.test", timeout=0.6)
    assert result.status is Status.DOWN
    assert "no answer within" in result.message
    assert server.asked == 3


async def test_an_answer_to_the_second_try_counts(name_server: int) -> None:
    """The first datagram is lost: up all the same."""
    seen: list[bytes] = []

    def second(query: bytes) -> bytes | None:
        seen.append(query)
        return None if len(seen) == 1 else dns.message.make_response(
            dns.message.from_wire(query)
        ).to_wire()  # fmt: skip

    async with udp(second) as (port, _):
        result = await ask(port, "www.example.test", timeout=1.5)
    assert result.message.endswith("the name has no A record")


@pytest.mark.parametrize(
    "answer",
    [
        lambda query: b"no DNS",
        lambda query: query[:2] + b"\x80\x00" + b"\xc0\x0c" * 20,
        lambda query: b"\0\0" + query[2:],
        lambda query: query,
        lambda query: query[:2] + b"\x80\x00" + b"\xff" * 60_000,
    ],
)
async def test_nonsense_is_no_answer(answer: Callable[[bytes], bytes]) -> None:
    """A datagram that is not a DNS answer to the question is down with a clear sentence."""
    async with udp(answer) as (port, _):
        result = await ask(port, "www.example.test", timeout=2)
    assert result.status is Status.DOWN
    assert result.message.endswith("the answer is not valid DNS")


async def test_truncated_but_nothing_on_tcp() -> None:
    """The message names the cause: TCP is blocked or not served."""
    async with udp(truncated) as (port, _):
        result = await ask(port, "www.example.test")
    assert result.status is Status.DOWN
    assert "TCP" in result.message
    assert result.message.endswith("is refused")


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (hangs_up, "the connection was closed before the answer was complete"),
        (silent, "no answer within 0.45 s"),
        (endless, "the answer is not valid DNS"),
    ],
)
async def test_a_bad_server_over_tcp(handler: Handler, message: str) -> None:
    """Closing, silence and nonsense are told apart."""
    async with peer(handler) as port:
        result = await ask(port, "www.example.test", tcp=True, timeout=0.5)
    assert result.status is Status.DOWN
    assert result.message.endswith(message)


async def test_it_keeps_to_the_contract(name_server: int) -> None:
    """It passes the suite that tocsin's own probes pass, up and down."""
    up = DnsProbe(name="www.example.test", servers=("127.0.0.1",), port=name_server)
    assert (await check_probe_conformance(up)).status is Status.UP
    async with udp(lambda _: None) as (port, _):
        dead = DnsProbe(name="x.test", servers=("127.0.0.1",), port=port, timeout=0.3)
        assert (await check_probe_conformance(dead)).status is Status.DOWN
