"""ICMP echo (ping) over IPv4 (RFC 792) and IPv6 (RFC 4443), without root if the kernel allows it.

A datagram socket needs no privilege: the kernel sets the identifier and the checksum, and passes on
only the answers to this socket (icmp(7), ping_group_range). A raw socket gets every ICMP message of
the host, and, for IPv4, with the IP header.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import struct
import time
from collections.abc import Sequence

from attrs import define, field

from tocsin import CheckError, deadline

TOKEN = 8
"""Bytes at the beginning of the payload by which an answer is recognized."""

_IP_RECVERR = 11
_IPV6_RECVERR = 25
"""Socket options of Linux (ip(7), ipv6(7)) that socket does not name: report ICMP errors."""

_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL: dict[int, int] = {
    socket.AF_INET: socket.IPPROTO_ICMP,
    socket.AF_INET6: socket.IPPROTO_ICMPV6,
}

REMEDY = (
    "tocsin may not send pings: let net.ipv4.ping_group_range include its group (sysctl -w "
    "net.ipv4.ping_group_range='0 2147483647'), or give its process CAP_NET_RAW"
)


@define
class Echoes:
    """What the pings of one run saw.

    Attributes:
        sent: number of requests sent.
        seconds: time until the answer, by sequence number.
        error: what a router or the kernel reported last; None: nothing.
    """

    sent: int = 0
    seconds: dict[int, float] = field(factory=dict)
    error: OSError | None = None


def open_socket(family: int) -> tuple[socket.socket, bool]:
    """Return a non-blocking ICMP socket, and whether it is a raw one.

    Raises:
        CheckError: this process may open neither, or the machine does not support the family.
        OSError: tocsin is out of files or memory.
    """
    denied: OSError | None = None
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(family, kind | socket.SOCK_NONBLOCK, _PROTOCOL[family])
        except PermissionError as error:
            denied = error
        except OSError as error:
            if error.errno not in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
                raise
            denied = error
        else:
            return opened, kind == socket.SOCK_RAW
    if isinstance(denied, PermissionError):
        raise CheckError(REMEDY) from denied
    name = "IPv6" if family == socket.AF_INET6 else "IPv4"
    raise CheckError(f"tocsin's machine does not support {name}; set family") from denied


@define
class Pinger:
    """Sends the requests of one run to one address and collects the answers.

    Attributes:
        echoes: what was seen until now.
    """

    family: int
    address: Sequence[object]
    count: int
    spacing: float
    wait: float
    size: int
    echoes: Echoes = field(init=False, factory=Echoes)
    _socket: socket.socket = field(init=False)
    _raw: bool = field(init=False, default=False)
    _token: bytes = field(init=False, factory=lambda: secrets.token_bytes(TOKEN))
    _id: int = field(init=False, factory=lambda: secrets.randbelow(65536))
    _began: dict[int, float] = field(init=False, factory=dict)
    _complete: asyncio.Event = field(init=False, factory=asyncio.Event)

    async def run(self) -> None:
        """Send ``count`` requests ``spacing`` seconds apart, and wait for the answers: after the
        last request, at most ``wait`` seconds. Cancelled, it keeps what it has seen.

        Raises:
            CheckError: tocsin may not send pings.
            OSError: nothing can be sent to the address.
        """
        self._socket, self._raw = open_socket(self.family)
        try:
            if self.family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            try:
                self._socket.connect(tuple(self.address))
            except PermissionError as error:
                raise CheckError("a broadcast address cannot be pinged; name one host") from error
            loop = asyncio.get_running_loop()
            loop.add_reader(self._socket.fileno(), self._receive)
            try:
                await self._exchange()
            finally:
                loop.remove_reader(self._socket.fileno())
        finally:
            self._socket.close()

    async def _exchange(self) -> None:
        for number in range(self.count):
            if number:
                await asyncio.sleep(self.spacing)
            self._send(number)
        if not self.echoes.sent and self.echoes.error is not None:
            raise self.echoes.error
        try:
            with deadline(self.wait):
                await self._complete.wait()
        except TimeoutError:
            pass  # what is missing now is lost

    def _send(self, number: int) -> None:
        message = self._message(number)
        for _ in range(2):  # an error that came in answer to an earlier request is reported first
            self._began[number] = time.perf_counter()
            try:
                self._socket.send(message)
            except PermissionError as error:
                raise CheckError("a packet filter of tocsin's own machine blocks pings") from error
            except OSError as error:
                self.echoes.error = error
                self._drain()
            else:
                self.echoes.sent += 1
                return

    def _message(self, number: int) -> bytes:
        payload = (self._token + bytes(self.size))[: self.size]
        head = struct.pack("!BBHHH", _REQUEST[self.family], 0, 0, self._id, number)
        if self._raw and self.family == socket.AF_INET:  # else the kernel sets the checksum
            head = struct.pack(
                "!BBHHH", _REQUEST[self.family], 0, checksum(head + payload), self._id, number
            )
        return head + payload

    def _receive(self) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.echoes.error = error
                self._drain()
                continue
            number = self._answered(data)
            if number is not None and number in self._began:
                took = time.perf_counter() - self._began[number]
                self.echoes.seconds.setdefault(number, took)
                if len(self.echoes.seconds) == self.count:
                    self._complete.set()

    def _drain(self) -> None:
        """Empty the queue of errors, or the socket would stay readable."""
        try:
            for _ in range(self.count + 1):
                self._socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            pass  # it is empty

    def _answered(self, data: bytes) -> int | None:
        """Return the number of the request that a message answers; None: it is another message."""
        if self._raw and self.family == socket.AF_INET and data:
            data = data[(data[0] & 15) * 4 :]  # the IP header
        if len(data) < 8 + TOKEN or data[0] != _REPLY[self.family]:
            return None
        if data[8 : 8 + TOKEN] != self._token:
            return None
        return int.from_bytes(data[6:8], "big")


def checksum(data: bytes) -> int:
    """Return the Internet checksum of a message (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    words: tuple[int, ...] = struct.unpack(f"!{len(padded) // 2}H", padded)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def said(error: OSError) -> str:
    """Return an error that was reported in answer to a ping, as a clause."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
