"""The name server that tocsin asks is away."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress

from tests.faults.fault import ROOT, Fault
from tests.faults.world import World

ADDRESSES = [f"127.0.53.{n}" for n in range(1, 255)]
"""Of name servers: loopback, one for each run beside others."""

NAMES = 12
"""Watched by name."""


class _NameServer:
    """Says 127.0.0.1 to every question for an IPv4 address, and that there is no other, until it is
    told to be silent (RFC 1035)."""

    def __init__(self) -> None:
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = next(one for one in ADDRESSES if self._binds(one))
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _binds(self, address: str) -> bool:
        try:
            self._socket.bind((address, 53))
        except OSError:
            return False
        return True

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                question, asker = self._socket.recvfrom(512)
                if not self.silent:
                    self._socket.sendto(_answer(question), asker)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(5)
        self._socket.close()


def _answer(question: bytes) -> bytes:
    end = question.index(0, 12) + 5  # the name, its type and class
    is_ipv4 = question[end - 4 : end - 2] == b"\0\1"
    head = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + bytes(4)
    row = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if is_ipv4 else b""
    return head + question[12:end] + row


class DeadResolver(Fault):
    """The name server stops answering; twelve targets, with three checks each, are addressed by
    name."""

    name = "dead-resolver"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._server = _NameServer()
        stack.callback(self._server.close)
        own = world.directory / "resolv.conf"
        own.write_text(f"nameserver {self._server.address}\n")
        script = f'mount --bind {own} /etc/resolv.conf && exec "$@"'
        world.prefix = ["unshare", "-m", "sh", "-c", script, "sh"]

    def config(self, world: World) -> str:
        port = world.targets.port
        return super().config(world) + "".join(
            f'[targets.named{n}.checks.c{m}]\nprobe = "tcp"\nhost = "named{n}.faults.example"\n'
            f"port = {port}\n"
            for n in range(NAMES)
            for m in range(3)
        )

    def inject(self, world: World) -> None:
        self._server.silent = True

    def heal(self, world: World) -> None:
        self._server.silent = False
