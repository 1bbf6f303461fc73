"""The core's end of a connection to a plugin host."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import cast

from tocsin.core.hosts.peer import Peer, Served
from tocsin.core.hosts.wire import Frame, Kind, Splitter
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.runtime.time_share import TimeShare

MOST_WAITING = 64 * 1024 * 1024
"""Bytes that may wait to be read by the host, before it counts as blocked."""

BURST, RATE = 20_000.0, 500.0
"""Calls and notes of a host that are processed at once, and per second afterwards. Meanwhile the
core does not read from it, so that the host waits."""

SHARE, SHARE_OF_ALL = 0.1, 0.2
"""Share of the core's time that is spent on calls and notes of one host, and of all together."""


class CorePeer(Peer, asyncio.Protocol):
    """The core's end of the connection to one host.

    Args:
        served: what the host may call.
        lost: called once when the connection ends or breaks, with the reason as a clause, or None
            if the host closed it.
        flooded: called when the host has to wait, since it sends too much.
        of_all: the time that all hosts share.
    """

    def __init__(
        self,
        served: Mapping[str, Served],
        lost: Callable[[str | None], object],
        flooded: Callable[[], object],
        of_all: TimeShare,
    ) -> None:
        super().__init__(served, reveals=True)
        self._lost, self._flooded = lost, flooded
        self._shares = (TimeShare(SHARE), of_all)
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._credit, self._credited_at = BURST, self.loop.time()
        self._waiting: list[Frame] = []
        self.heard_at = self.loop.time()
        """When the host last sent anything, in the time of the loop."""
        self.home = threading.get_ident()
        """The thread of the loop."""
        self.defined: set[int] = set()
        """Numbers of the options that the host has got."""
        self.is_paused = False
        """Whether the host has to wait until it may send more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and send what was to be sent."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._flush()

    def send(self, frame: bytes) -> None:
        """Send a frame, in order; those of one turn of the loop are sent together."""
        self._out.append(frame)
        if len(self._out) == 1:
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        if transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MOST_WAITING:
            self._break("does not read what it is sent")

    def data_received(self, data: bytes) -> None:
        """Process what the host has sent."""
        self.heard_at = self.loop.time()
        try:
            self._process(self._splitter.feed(data))
        except ValueError as error:
            self._break(f"broke the protocol: {error}")

    def _process(self, frames: list[Frame]) -> None:
        """Process frames in order, until there is no credit for a call or note. Answers need none:
        the core has asked for them."""
        if self._waiting:
            self._waiting += frames
            return
        for at, frame in enumerate(frames):
            if frame.kind not in (Kind.CALL, Kind.NOTE):
                self.received(frame)
                continue
            if not self._may_process():
                self._waiting = frames[at:]
                self._pause()
                return
            began = time.monotonic()
            self.received(frame)
            took = time.monotonic() - began
            for share in self._shares:
                share.spend(took)

    def _may_process(self) -> bool:
        if any(share.shortage() for share in self._shares):
            return False
        if self._credit < 1:
            now = self.loop.time()
            self._credit = min(BURST, self._credit + (now - self._credited_at) * RATE)
            self._credited_at = now
            if self._credit < 1:
                return False
        self._credit -= 1
        return True

    def _pause(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self.is_paused:
            self.is_paused = True
            self._transport.pause_reading()
        self._flooded()
        self.loop.call_later(0.1, self._resume)

    def _resume(self) -> None:
        frames, self._waiting = self._waiting, []
        try:
            self._process(frames)
        except ValueError as error:
            self._break(f"broke the protocol: {error}")
        if self._waiting or self._transport is None or self._transport.is_closing():
            return
        self.is_paused = False
        self.heard_at = self.loop.time()
        self._transport.resume_reading()

    def _break(self, why: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._tell(why)

    def connection_lost(self, _: Exception | None) -> None:
        """Report that the connection has ended."""
        self._tell(None)

    def _tell(self, why: str | None) -> None:
        lost, self._lost = self._lost, lambda _: None
        lost(why)

    def close(self, why: PluginFault) -> None:
        """End the connection, and with it the host; see :meth:`Peer.close`."""
        self._lost = lambda _: None
        super().close(why)
        if self._transport is not None:
            self._transport.abort()
