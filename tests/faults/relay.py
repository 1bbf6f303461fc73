"""A relay of TCP connections that can fall silent: they stay open, and carry nothing."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from tests.faults.peers import HarnessError

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a close sends RST."""

LOOK = 0.02
"""Seconds between two looks at whether it is to be silent."""


class _Pair:
    """A connection to the relay, and the relay's own."""

    def __init__(self, client: socket.socket, dial: Callable[[], socket.socket]) -> None:
        self.client = client
        self.stuck = False
        self.asked = False
        """The last that was carried is a question."""
        self._dial = dial

    def carry(self, silent: Callable[[], bool]) -> None:
        """Carry until one side closes, or the relay is silent."""
        with suppress(OSError), self._dial() as server:
            sides = {self.client: server, server: self.client}
            while not self.stuck:
                for side in select.select(list(sides), [], [], LOOK)[0]:
                    if self.stuck or (silent() and side is self.client):
                        continue
                    data = side.recv(65536)
                    if not data:
                        self.client.close()
                        return
                    self.asked = side is self.client
                    sides[side].sendall(data)


class Relay:
    """Listens on loopback. ``dial`` connects to what is behind it."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self._dial = dial
        self._silent = False
        self._pairs: list[_Pair] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                pair = _Pair(self._listener.accept()[0], self._dial)
                pair.stuck = self._silent
                self._pairs.append(pair)
                if not pair.stuck:
                    threading.Thread(
                        target=pair.carry, args=(lambda: self._silent,), daemon=True
                    ).start()

    def fall_silent(self, *, unused: bool = False) -> None:
        """Read and forward nothing more; what was asked is answered before. New connections are
        accepted and silent.

        Args:
            unused: whether it does not matter that nobody has connected yet.

        Raises:
            HarnessError: nobody has connected, or what was asked is not answered.
        """
        if not self._pairs and not unused:
            raise HarnessError("nobody has connected to the relay")
        self._silent = True
        until = time.monotonic() + 5
        time.sleep(2 * LOOK)
        while any(pair.asked and pair.client.fileno() >= 0 for pair in self._pairs):
            if time.monotonic() > until:
                raise HarnessError("what was asked is not answered within 5 s")
            time.sleep(LOOK)
        for pair in self._pairs:
            pair.stuck = True

    def carry_again(self, *, reset: bool) -> None:
        """New connections are carried. The silent ones are reset, or stay as they are."""
        stuck = [pair for pair in self._pairs if pair.stuck]
        self._silent = False
        for pair in stuck if reset else ():
            with suppress(OSError):
                pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            pair.client.close()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for pair in self._pairs:
            pair.stuck = True
            pair.client.close()


def before_postgres(dsn: str) -> Relay:
    """A relay before a PostgreSQL that listens on a socket."""
    place = parse_qs(urlsplit(dsn).query)
    path = f"{place['host'][0]}/.s.PGSQL.{place.get('port', ['5432'])[0]}"

    def dial() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        return server

    return Relay(dial)
