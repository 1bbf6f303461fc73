"""What runs in the child process: ``python -m tocsin.dashboard.serve``."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.dashboard.process import Settings
from tocsin.dashboard.signin import ROUTES
from tocsin.dashboard.theme import THEME

SCRIPT = Path(__file__).with_name("script.py")

HEADERS = {
    # Nothing is loaded from, or told to, any other host, whatever a log line or a name contains.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_PRELOAD = re.compile(rb'<link\s+rel="preload".*?/>\s*', re.DOTALL)
"""The page asks for a font that our theme does not use."""


class Guarded:
    """Adds :data:`HEADERS` to every answer, and to the page where its server is.

    Left to itself the page looks for its server under the path of each view first, and browsers
    write the misses to their console.
    """

    def __init__(self, app: ASGIApp, base: str = "") -> None:
        self._app = app
        where = json.dumps(base).encode()
        self._script = (
            b"<script>window.__streamlit={BACKEND_BASE_URL:location.origin+" + where + b"}</script>"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        page: list[bytes] = []

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start and message["type"] == "http.response.body":
                page.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                body = self._rewritten(b"".join(page)) if scope["method"] != "HEAD" else b""
                MutableHeaders(scope=start)["content-length"] = str(len(body))
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        # What is packed could not be rewritten.
        scope["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"] if (
            scope["path"].rpartition("/")[2].count(".") == 0
        ) else scope["headers"]  # fmt: skip
        await self._app(scope, receive, sending)

    def _rewritten(self, page: bytes) -> bytes:
        page = _PRELOAD.sub(b"", page).replace(
            b"<title>Streamlit</title>", b"<title>tocsin</title>"
        )
        return page.replace(b"<head>", b"<head>" + self._script, 1)


def options(settings: Settings) -> dict[str, Any]:
    """Streamlit's options."""
    chosen: dict[str, Any] = {
        "server.address": settings.host,
        "server.port": settings.port,
        "server.baseUrlPath": settings.base_path,
        "server.headless": True,
        "server.showEmailPrompt": False,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.maxUploadSize": 1,
        "server.websocketPingInterval": 20,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": settings.host,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.showSidebarNavigation": False,
        "logger.level": "warning",
        "runner.magicEnabled": False,
        **THEME,
    }
    if settings.local and not settings.base_path:
        # A page of elsewhere whose name is pointed at this machine is turned away.
        chosen["server.allowedHosts"] = ["localhost", "127.0.0.1", "::1", settings.host]
    return chosen


def die_with_parent() -> None:
    """End this process when the pipe from its parent does."""

    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def main() -> None:
    """Serve until killed."""
    settings = Settings.from_environment()
    die_with_parent()
    base = f"/{settings.base_path}" if settings.base_path else ""
    app = st.App(SCRIPT, routes=ROUTES, middleware=[Middleware(Guarded, base=base)])
    app.run(config=options(settings))


if __name__ == "__main__":
    main()
