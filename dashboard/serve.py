"""The entry point of the child process: ``python -m tocsin.dashboard.serve``."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import streamlit as st
from attrs import frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.dashboard.process import Settings
from tocsin.dashboard.signin import routes
from tocsin.dashboard.theme import THEME

SCRIPT = Path(__file__).with_name("script.py")

HEADERS = {
    # Browsers load nothing from other hosts and send them nothing, whatever names and logs contain.
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
"""Matches the preloading of a font that our theme does not use."""


WATCH = b"""<script>
(() => {
  let misses = 0, isBroken = false, run = "", anew = 0
  // A page whose program could not be loaded in whole never asks for data again.
  addEventListener("vite:preloadError", () => { isBroken = true })
  const isFirst = () => {  // reload once for each run of the server, not in a loop
    try {
      const last = sessionStorage.getItem("tocsin-loaded-again")
      sessionStorage.setItem("tocsin-loaded-again", run)
      return last !== run
    } catch { return false }
  }
  const isStuck = () => {
    if (document.activeElement?.matches("input, textarea")) return false
    if (isBroken) return isFirst()
    if (document.hidden) anew &&= Date.now()
    if (!anew || Date.now() - anew < 30000) return false
    const isSilent = !(window.tocsinDrawn > anew)
    anew = 0
    return isSilent && !document.querySelector("input[type=password]") && isFirst()
  }
  const bar = document.createElement("div")
  bar.id = "tocsin-stale"
  bar.setAttribute("role", "alert")
  const look = async () => {
    let there = false
    try {
      const url = window.__streamlit.BACKEND_BASE_URL + "/_stcore/health"
      const how = { cache: "no-store", signal: AbortSignal.timeout(5000) }
      const answer = await fetch(url, how)
      there = answer.ok
      const now = (there && answer.headers.get("x-tocsin-run")) || run
      if (run && now !== run) anew = Date.now()
      run = now
    } catch {}
    misses = there ? 0 : misses + 1
    if (misses === 2) {
      const time = new Date(Date.now() - 3000).toLocaleTimeString()
      bar.textContent = "No connection to tocsin since " + time +
        ". Below is what it saw before that; this page reconnects by itself."
      document.body.append(bar)
      document.documentElement.classList.add("tocsin-stale")
    } else if (there) {
      if (isStuck()) location.reload()
      bar.remove()
      document.documentElement.classList.remove("tocsin-stale")
    }
  }
  setInterval(look, 3000)
})()
</script>
<style>
#tocsin-stale {
  position: fixed; inset: 0 0 auto 0; z-index: 2000000; padding: .8rem 1.2rem;
  background: #b3261e; color: #fff; font: 600 1rem/1.4 system-ui, sans-serif; text-align: center;
}
.tocsin-stale [data-testid="stApp"] { filter: grayscale(1); opacity: .55; }
.tocsin-stale [data-testid="stDialog"] { display: none; }
</style>"""
"""Browser code that shows a banner while the server does not answer: Streamlit leaves the cards as
they are, green, under a dialog about the internet connection. It reloads the page if a part of the
page's program could not be loaded, or if nothing was drawn for 30 seconds after a restart of the
server; at most once per run of the server, since another reload would not help."""

OURS = ("localhost", "127.0.0.1", "::1")
"""The names of this machine."""


def _split(netloc: str) -> str:
    """Return the host of ``host:port`` in lower case, or "" if the text is invalid."""
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.netloc != netloc or parts.username is not None:
        return ""
    return (parts.hostname or "").rstrip(".")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@frozen(kw_only=True)
class Doors:
    """Decides which requests are accepted: those for a known host name, from a known origin.

    Browsers send the requested host name (Host) and the page that requests (Origin). Any web site
    can point its own name at this machine (DNS rebinding), and any page can connect to it.

    Attributes:
        hosts: the names under which readers reach the dashboard.
        any_name: accept all names: readers must sign in, which such a site cannot do.
        any_address: accept all IP addresses, since no site can point an address elsewhere.
    """

    hosts: frozenset[str]
    any_name: bool = False
    any_address: bool = False

    def refusal(self, host: str, origin: str | None) -> str:
        """Return why a request is refused, in a sentence with the remedy; "" if it is accepted."""
        name = _split(host)
        known = name in self.hosts or name in OURS or self.any_name
        if not name or not (known or (self.any_address and _is_address(name))):
            return (
                "The dashboard does not serve this host name. If readers use this name, add it to "
                "hosts in [services.dashboard] of tocsin.toml."
            )
        if origin is None:
            return ""
        page = origin.partition("://")[2].lower()
        if page == host.lower() or (_split(page) in self.hosts and _split(page) not in OURS):
            return ""
        return (
            "A page of another origin sent this. If a reverse proxy serves the dashboard, add its "
            "host name to hosts in [services.dashboard] of tocsin.toml."
        )


class Guarded:
    """ASGI middleware: refuses what :class:`Doors` refuses, adds :data:`HEADERS` to every response,
    and writes the address of the server into the page.

    Without that address Streamlit's page tries the path of each view first, and browsers log the
    failures.
    """

    def __init__(self, app: ASGIApp, doors: Doors, base: str = "") -> None:
        self._app, self._doors = app, doors
        self._run = uuid4().hex
        where = json.dumps(base).encode()
        self._script = (
            b"<script>window.__streamlit={BACKEND_BASE_URL:location.origin+" + where + b"}</script>"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope)
        host, origin = given.get("host", ""), given.get("origin")
        twice = any(len(given.getlist(name)) > 1 for name in ("host", "origin"))
        if reason := self._doors.refusal("" if twice else host, origin):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
            else:
                await PlainTextResponse(reason, 403, HEADERS)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            if origin is not None:
                # Streamlit compares the two, and a proxy may have replaced Host. If they differ,
                # Streamlit asks an internet service for the address of this machine.
                MutableHeaders(scope=scope)["host"] = origin.partition("://")[2]
            await self._app(scope, receive, send)
            return
        start: Message = {}
        page: list[bytes] = []

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["X-Tocsin-Run"] = self._run
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

        # Request no compression, since a compressed page cannot be rewritten.
        scope["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"] if (
            scope["path"].rpartition("/")[2].count(".") == 0
        ) else scope["headers"]  # fmt: skip
        await self._app(scope, receive, sending)

    def _rewritten(self, page: bytes) -> bytes:
        page = _PRELOAD.sub(b"", page).replace(
            b"<title>Streamlit</title>", b"<title>tocsin</title>"
        )
        return page.replace(b"<head>", b"<head>" + self._script + WATCH, 1)


def options(settings: Settings) -> dict[str, Any]:
    """Return Streamlit's options."""
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
        # It takes five times as long as the run before it; Python collects garbage by itself.
        "runner.postScriptGC": False,
        **THEME,
    }
    return chosen


def die_with_parent() -> None:
    """End this process when the pipe from its parent is closed."""

    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def main() -> None:
    """Serve until this process is killed."""
    settings = Settings.from_environment()
    die_with_parent()
    base = f"/{settings.base_path}" if settings.base_path else ""
    doors = Doors(
        hosts=frozenset(map(str.lower, settings.hosts)),
        any_name=settings.any_host and settings.sign_in,
        any_address=settings.any_host,
    )
    app = st.App(
        SCRIPT, routes=routes(base), middleware=[Middleware(Guarded, doors=doors, base=base)]
    )
    app.run(config=options(settings))


if __name__ == "__main__":
    main()
