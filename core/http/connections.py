"""The API's connections: how many there may be, and how long each may keep tocsin waiting.

A connection costs a descriptor, and whoever can reach the port can open one without a token. So
their number is bounded, in all and for each address; one that has not sent a whole request yet is
closed after a while, and makes room for a new one at once where the bound is reached.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from tocsin.core.logs import get_logger
from tocsin.core.runtime import descriptors

log = get_logger(__name__)

MOST = 512
"""Connections in all, where there are descriptors for them."""

HEADERS_WITHIN = 10.0
"""Seconds within which the headers of a request are to come, from the connection or its first byte
on."""

IDLE = 75.0
"""Seconds for which a connection is kept for a further request."""

STALLED = 30.0
"""Seconds for which a reader may take nothing of an answer."""

SWEEP = 1.0
"""Seconds between two looks at who keeps us waiting."""

SAY_EVERY = 60.0
"""Seconds between two lines in the log about connections that were refused."""

_BODY = b'{"type":"about:blank","title":"Service Unavailable","status":503,\
"detail":"the API has as many connections as it may; try again"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Connections:
    """Makes the protocol of each connection, and watches over them. ``make`` gives a protocol that
    speaks HTTP."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int | None = None) -> None:
        self._make = make
        self._most = most
        self.refused_total = 0
        self._all: dict[asyncio.BaseTransport, _Connection] = {}
        self._of_peer: dict[str, dict[_Connection, None]] = defaultdict(dict)
        self._waiting: dict[_Connection, None] = {}
        """Those without a whole request, the one that has been so for longest first."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._said = float("-inf")

    @property
    def most(self) -> int:
        """How many there may be; the limit of descriptors may change."""
        return self._most or min(MOST, descriptors.limit() // 4)

    @property
    def most_of_peer(self) -> int:
        """One address cannot keep out the others."""
        return max(1, self.most // 2)

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self, self._make())

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, one: _Connection) -> bool:
        """Take a new connection in, perhaps in place of one that has not asked anything."""
        of_peer = self._of_peer[one.peer]
        if len(of_peer) >= self.most_of_peer:
            admitted = self._evict(next((c for c in of_peer if c in self._waiting), None))
        elif len(self._all) >= self.most or not descriptors.room_for_api():
            admitted = self._evict(next(iter(self._waiting), None))
        else:
            admitted = True
        if not admitted:
            self.refused_total += 1
            self._say("connections to the API are refused, all are in use")
            return False
        self._all[one.transport] = one
        self._of_peer[one.peer][one] = None
        self.wait_for(one, HEADERS_WITHIN)
        if self._sweeper is None:
            self._sweep()
        return True

    def _evict(self, one: _Connection | None) -> bool:
        if one is None:
            return False
        self._say("connections to the API that ask nothing make room for new ones")
        self.forget(one)
        one.transport.abort()
        return True

    def _say(self, what: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            log.warning(what, connections=len(self._all), most=self.most)

    def forget(self, one: _Connection) -> None:
        """A connection is gone."""
        self._all.pop(one.transport, None)
        self._waiting.pop(one, None)
        of_peer = self._of_peer[one.peer]
        of_peer.pop(one, None)
        if not of_peer:
            del self._of_peer[one.peer]

    def wait_for(self, one: _Connection, seconds: float) -> None:
        """A connection is to send a request within so many seconds."""
        if one.transport in self._all:
            one.until = asyncio.get_running_loop().time() + seconds
            self._waiting[one] = None

    @contextmanager
    def handling(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """While a request of a connection is being handled it keeps nobody waiting."""
        one = None if transport is None else self._all.get(transport)
        if one is None:
            yield
            return
        self._waiting.pop(one, None)
        try:
            yield
        finally:
            one.has_begun = False
            self.wait_for(one, IDLE)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in list(self._all.values()):
            late = one in self._waiting and one.until < now
            if late or (one.stalled is not None and one.stalled + STALLED < now):
                self.forget(one)
                one.transport.abort()
        self._sweeper = loop.call_later(SWEEP, self._sweep) if self._all else None

    def stop(self) -> None:
        """Watch no longer."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


class _Connection(asyncio.Protocol):
    """Passes on to the protocol that speaks HTTP what the transport tells."""

    def __init__(self, all_of_them: Connections, inner: asyncio.Protocol) -> None:
        self._connections = all_of_them
        self._inner = inner
        self._admitted = False
        self.transport: asyncio.Transport
        self.peer = ""
        self.until = 0.0
        """When a whole request is to be there."""
        self.has_begun = True
        """Whether anything of the next request has come; a new connection is to send one."""
        self.stalled: float | None = None
        """Since when the other side takes nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or refuse it."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self._admitted = self._connections.admit(self)
        if self._admitted:
            self._inner.connection_made(transport)
        else:
            self.transport.write(_REFUSAL)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass it on; a request that has begun is to be whole soon."""
        if self._admitted:
            if not self.has_begun:
                self.has_begun = True
                self.until = asyncio.get_running_loop().time() + HEADERS_WITHIN
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        """The other side takes nothing for now."""
        self.stalled = asyncio.get_running_loop().time()
        if self._admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It goes on."""
        self.stalled = None
        if self._admitted:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        if self._admitted:
            self._connections.forget(self)
            self._inner.connection_lost(error)
