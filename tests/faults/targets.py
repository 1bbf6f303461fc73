"""Scripted targets, in a process of their own.

    python -m tests.faults.targets SCRIPT LEDGER

It prints its port. The script (``{target: [since, until]}``, JSON) begins when ``go`` is read from
standard input; at the end of that the process ends. The target ``/NAME`` answers 200, or 503 while
it fails, with a body as long as the number of the answer: the http probe keeps the length as the
metric ``body_bytes``, so that a row of history names the answer it is about.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO


class Targets:
    """The server. Each answer is a line of the ledger once it has been sent."""

    def __init__(self, script: dict[str, tuple[float, float | None]], ledger: IO[bytes]) -> None:
        self._script = script
        self._ledger = ledger
        self._numbers: Counter[str] = Counter()
        self._begun: float | None = None

    def go(self) -> None:
        """The script begins."""
        self._begun = time.monotonic()

    def is_up(self, target: str) -> bool:
        """Whether a target is well now."""
        if self._begun is None or target not in self._script:
            return True
        now = time.monotonic() - self._begun
        since, until = self._script[target]
        return now < since or (until is not None and now >= until)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, one line."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode().strip("/")
            self._numbers[target] += 1
            number, up = self._numbers[target], self.is_up(target)
            status = b"200 OK" if up else b"503 Service Unavailable"
            writer.write(
                b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, number)
            )
            writer.write(b"x" * number)
            await writer.drain()
            line = {"at": time.monotonic(), "target": target, "up": up, "number": number}
            self._ledger.write(json.dumps(line).encode() + b"\n")
        except (OSError, asyncio.IncompleteReadError):
            return  # nobody was there to be answered
        finally:
            writer.close()


async def main(script: str, ledger: str) -> None:
    """Serve until standard input ends."""
    with Path(ledger).open("ab", buffering=0) as file:
        targets = Targets(json.loads(script), file)
        server = await asyncio.start_server(targets.handle, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
        async with server:
            while line := await asyncio.to_thread(sys.stdin.readline):
                if line.strip() == "go":
                    targets.go()
                    print("gone", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
