"""A receiver of webhooks, written with the library that the standard publishes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver:
    """Listens on loopback. ``accepted``: bodies whose signature holds and whose id is new;
    ``replayed``: ids that came again."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret
        self.accepted: list[Any] = []
        self.rejected: list[str] = []
        self.replayed: list[str] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.says = ""
        self.hang = False
        self.url = ""
        self._seen: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1") -> None:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, 0).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        if self.hang:
            await asyncio.sleep(3600)
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text=self.says or None)
        if self.secret is None:
            self.accepted.append(json.loads(body))
            return web.Response(text="ok")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            said = Webhook(self.secret).verify(body.decode(), headers)
        except WebhookVerificationError as error:
            self.rejected.append(str(error))
            return web.Response(status=401)
        if headers["webhook-id"] in self._seen:
            self.replayed.append(headers["webhook-id"])
            return web.Response(status=200, text="known already")
        self._seen.add(headers["webhook-id"])
        self.accepted.append(said)
        return web.Response(text="ok")
