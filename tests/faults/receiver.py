"""A receiver of webhooks, in a process of its own.

    python -m tests.faults.receiver LEDGER MODE

It prints its port, reads its signing secret from standard input, and ends when that ends. Each
message whose signature holds is a line of the ledger, on disk before it is accepted. The file MODE
says with which status it refuses instead, and after a space the target that a message must name for
that; empty or absent: it accepts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver:
    """The handler of all requests."""

    def __init__(self, ledger: Path, mode: Path, secret: str) -> None:
        self._ledger = ledger.open("ab", buffering=0)
        self._mode = mode
        self._secret = Webhook(secret)

    def _status(self, body: str) -> int:
        said = self._mode.read_text() if self._mode.exists() else ""
        status, _, target = said.strip().partition(" ")
        if target:
            alerts = json.loads(body)["data"]["alerts"]
            status = status if any(alert["target"] == target for alert in alerts) else ""
        return int(status or 200)

    async def handle(self, request: web.Request) -> web.Response:
        """Write a message down, then answer."""
        if request.method == "GET":
            return web.Response(text="here")
        body = await request.text()
        try:
            self._secret.verify(body, {k.lower(): v for k, v in request.headers.items()})
        except WebhookVerificationError:
            return web.Response(status=401)
        status = self._status(body)
        line = {
            "at": time.monotonic(), "message": request.headers["webhook-id"], "status": status,
            "body": body,
        }  # fmt: skip
        self._ledger.write(json.dumps(line).encode() + b"\n")
        os.fsync(self._ledger.fileno())  # on this thread: messages keep their order
        return web.Response(status=status)


async def main(ledger: str, mode: str) -> None:
    """Serve until standard input ends."""
    receiver = Receiver(Path(ledger), Path(mode), sys.stdin.readline().strip())
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
