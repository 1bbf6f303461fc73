"""Limits on the API's connections: how many there may be, and how long each may stay idle.

Each connection costs a file descriptor, and anyone who can reach the port can open one without a
token. Their number is therefore limited, in total and per address. A connection that has not sent a
complete request is closed after a timeout, or at once when the limit is reached and a new
connection needs its place.
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
"""Most connections in total, if the limit of file descriptors allows that many."""

HEADERS_WITHIN = 10.0
"""Seconds within which the headers of a request have to arrive, from its first byte or, for the
first request, from the connection's start.
"""

IDLE = 75.0
"""Seconds for which an idle connection is kept open for a further request."""

STALLED = 30.0
"""Seconds after which a client that reads nothing of its answer is disconnected."""

SWEEP = 1.0
"""Seconds between two searches for connections that have timed out."""

SAY_EVERY = 60.0
"""Seconds between two log lines about refused connections."""

_BODY = b'{"type":"about:blank","title":"Service Unavailable","status":503,\
"detail":"the limit of API connections is reached; try again later"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Connections:
    """Creates the protocol of each new connection and enforces the limits.

    Args:
        make: creates a protocol that speaks HTTP.
        most: limit on all connections; None takes :data:`MOST`, or a quarter of the file
            descriptors if that is less.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int | None = None) -> None:
        self._make = make
        self._most = most
        self.refused_total = 0
        self._all: dict[asyncio.BaseTransport, _Connection] = {}
        self._of_peer: dict[str, dict[_Connection, None]] = defaultdict(dict)
        self._waiting: dict[_Connection, None] = {}
        """Connections without a complete request, the one that has waited longest first."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._said = float("-inf")

    @property
    def most(self) -> int:
        """Return the limit on all connections; it follows the limit of file descriptors."""
        return self._most or min(MOST, descriptors.limit() // 4)

    @property
    def most_of_peer(self) -> int:
        """Return the limit for one address: half of all, so that it cannot lock out the others."""
        return max(1, self.most // 2)

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Connection(self, self._make())

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, one: _Connection) -> bool:
        """Register a new connection if the limits allow it, closing an idle one if necessary.

        Returns:
            Whether the connection was admitted.
        """
        of_peer = self._of_peer[one.peer]
        if len(of_peer) >= self.most_of_peer:
            admitted = self._evict(next((c for c in of_peer if c in self._waiting), None))
        elif len(self._all) >= self.most or not descriptors.room_for_api():
            admitted = self._evict(next(iter(self._waiting), None))
        else:
            admitted = True
        if not admitted:
            self.refused_total += 1
            self._say("new API connections are refused: their limit is reached")
            return False
        self._all[one.transport] = one
        self._of_peer[one.peer][one] = None
        self.wait_for(one, HEADERS_WITHIN)
        if self._sweeper is None:
            self._sweep()
        return True

    def _evict(self, one: _Connection | None) -> bool:
        """Close an idle connection to free its place; return False if there is none."""
        if one is None:
            return False
        self._say("idle API connections are closed to make room for new ones")
        self.forget(one)
        one.transport.abort()
        return True

    def _say(self, what: str) -> None:
        """Log a warning, at most once in :data:`SAY_EVERY` seconds."""
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            log.warning(what, connections=len(self._all), most=self.most)

    def forget(self, one: _Connection) -> None:
        """Stop tracking a connection that is closed."""
        self._all.pop(one.transport, None)
        self._waiting.pop(one, None)
        of_peer = self._of_peer[one.peer]
        of_peer.pop(one, None)
        if not of_peer:
            del self._of_peer[one.peer]

    def wait_for(self, one: _Connection, seconds: float) -> None:
        """Set a deadline, in ``seconds`` from now, for the connection's next complete request."""
        if one.transport in self._all:
            one.until = asyncio.get_running_loop().time() + seconds
            self._waiting[one] = None

    @contextmanager
    def handling(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Suspend the deadline of a connection while its request is being handled."""
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
        """Close the connections that have timed out, and schedule the next sweep."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in list(self._all.values()):
            late = one in self._waiting and one.until < now
            if late or (one.stalled is not None and one.stalled + STALLED < now):
                self.forget(one)
                one.transport.abort()
        self._sweeper = loop.call_later(SWEEP, self._sweep) if self._all else None

    def stop(self) -> None:
        """Stop the periodic sweep."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


class _Connection(asyncio.Protocol):
    """Forwards the transport's callbacks to the HTTP protocol if the connection was admitted."""

    def __init__(self, all_of_them: Connections, inner: asyncio.Protocol) -> None:
        self._connections = all_of_them
        self._inner = inner
        self._admitted = False
        self.transport: asyncio.Transport
        self.peer = ""
        self.until = 0.0
        """Loop time at which a complete request has to be there."""
        self.has_begun = True
        """Whether a part of the next request has arrived. True at first: a new connection has to
        send one.
        """
        self.stalled: float | None = None
        """Loop time since which the client reads nothing; None while it reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or answer 503 and close it."""
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
        """Forward the data; the first byte of a request starts its deadline."""
        if self._admitted:
            if not self.has_begun:
                self.has_begun = True
                self.until = asyncio.get_running_loop().time() + HEADERS_WITHIN
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Forward the end of the client's data."""
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        """Note since when the client reads nothing."""
        self.stalled = asyncio.get_running_loop().time()
        if self._admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self.stalled = None
        if self._admitted:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop tracking the connection."""
        if self._admitted:
            self._connections.forget(self)
            self._inner.connection_lost(error)
