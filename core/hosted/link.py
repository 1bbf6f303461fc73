"""The host's end of a connection to the core."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Mapping

from tocsin.core.hosts.peer import Peer, Served
from tocsin.core.hosts.process_tree import descendants_of, kill_all
from tocsin.core.hosts.wire import Splitter
from tocsin.core.plugin.faults import PluginFault

ENOUGH = 64 * 1024
"""Bytes that are sent at once and not at the end of the loop's turn."""

READ = 256 * 1024
"""Bytes that are read at once."""


class HostPeer(Peer):
    """The host's end of a connection.

    Frames may be sent from any thread. A sender waits while the core does not read, so that
    plugins that send too much wait for the core.

    Args:
        socket: the connected socket.
        served: what the core may call.
        ends: whether the process ends with the connection.
    """

    def __init__(
        self, connected: socket.socket, served: Mapping[str, Served], *, ends: bool
    ) -> None:
        super().__init__(served, reveals=False)
        self._socket = connected
        self._socket.setblocking(False)
        self._ends = ends
        self._splitter = Splitter()
        self._out = bytearray()
        self._lock = threading.Lock()
        self._home = threading.get_ident()
        self._is_scheduled = False
        self.loop.add_reader(self._socket, self._readable)
        os.register_at_fork(after_in_child=self._leave)

    def send(self, frame: bytes) -> None:
        """Send a frame, in order; in the loop's thread, frames of one turn are sent together."""
        at_home = threading.get_ident() == self._home
        with self._lock:
            self._out += frame
            if not at_home or len(self._out) >= ENOUGH:
                self._flush()
            elif not self._is_scheduled:
                self._is_scheduled = True
                self.loop.call_soon(self._end_of_turn)

    def _end_of_turn(self) -> None:
        with self._lock:
            self._is_scheduled = False
            self._flush()

    def _flush(self) -> None:
        while self._out and self.why_closed is None:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                select.select([], [self._socket], [])
            except OSError:
                self._gone()
            else:
                del self._out[:sent]

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone()
            return
        for frame in self._splitter.feed(data):
            try:
                self.received(frame)
            except ValueError as error:  # the core's mistake; it gets no answer to this one
                print(f"tocsin: {error}", file=sys.stderr)  # noqa: T201 - the core logs it

    def _leave(self) -> None:
        """Give up the connection in a child process that a plugin has forked: two processes that
        read from it would destroy it. A child that runs the loop on ends there."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._socket.fileno())
        os.close(null)

    def _gone(self) -> None:
        """End with the connection: without the core, nothing here has a purpose."""
        if self._ends:
            kill_all(descendants_of(os.getpid()))
            os._exit(0)
        self.loop.remove_reader(self._socket)
        self.close(PluginFault("the core has closed the connection"))
