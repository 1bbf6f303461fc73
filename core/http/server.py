"""The HTTP server: authentication, errors as problem documents, start and stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tocsin.core.auth.tokens import TokenInfo
from tocsin.core.contracts.route import Route
from tocsin.core.http import (
    admin,
    alerts,
    channels,
    containers,
    frequency,
    health,
    heartbeats,
    ledger,
    maintenance,
    me,
    metrics,
    openapi,
    panels,
    silences,
    status,
    stream,
    targets,
    trends,
    uptime,
)
from tocsin.core.http.connections import Connections
from tocsin.core.http.decoding import MAX_BODY, coding_of, show
from tocsin.core.http.failure_limit import FailureLimit
from tocsin.core.http.keys import HEADERS, STOPPING, STREAMS
from tocsin.core.http.log_filters import quieten
from tocsin.core.http.monitor import Monitor
from tocsin.core.http.plugin_routes import PluginRoutes
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call, perform
from tocsin.core.http.views import CONTAINERS, TARGETS, Encoded, container_view, target_view
from tocsin.core.ids import new_id
from tocsin.core.logs import get_logger

log = get_logger(__name__)

ROUTES: tuple[Route, ...] = tuple(
    route
    for module in (
        health, me, status, containers, targets, panels, metrics, uptime, trends, frequency,
        alerts, ledger, silences, maintenance, channels, heartbeats, admin, stream, openapi,
    )
    for route in module.routes.routes
)  # fmt: skip
"""All operations of the core, in the order in which they are documented."""

Performs = Callable[[Route, Call], Coroutine[Any, Any, web.StreamResponse]]

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tocsin"'}
_SOON = {"Retry-After": "10"}


class ApiServer:
    """Serves :data:`ROUTES` and plugins' routes; ``failures`` limits calls without a token."""

    def __init__(self, monitor: Monitor, failures: FailureLimit | None = None) -> None:
        self._monitor = monitor
        self._failures = failures or FailureLimit(monitor.clock)
        self._runner: web.AppRunner | None = None
        self._app: web.Application | None = None
        self._listener: asyncio.Server | None = None
        self._connections: Connections | None = None

    def application(self) -> web.Application:
        """Return the web application, for a server or a test."""
        app = web.Application(middlewares=[self._middleware], client_max_size=MAX_BODY)
        app[STOPPING] = asyncio.Event()
        app[STREAMS] = Counter()
        app[TARGETS], app[CONTAINERS] = Encoded(target_view), Encoded(container_view)
        for route in ROUTES:
            self._add(app, route, perform)
        served: dict[str, PluginRoutes] = {}
        for plugin, route in self._monitor.plugins.routes:
            own = served.setdefault(plugin, PluginRoutes(plugin))
            self._add(app, route, own.perform)
        return app

    def _add(self, app: web.Application, route: Route, performs: Performs) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            coding_of(request)
            who = self._authenticate(route, request)
            performing = performs(route, Call(monitor=self._monitor, request=request, who=who))
            share = None if who is None else self._monitor.services.share_of(who.name)
            return await (performing if share is None else share.run(performing))

        app.router.add_route(route.method, route.path, handle)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handle)

    async def start(self, host: str, port: int) -> str:
        """Start to listen and return the API's URL. Port 0 takes any free port.

        Raises:
            OSError: the address cannot be listened on.
        """
        quieten()
        self._app = self.application()
        self._runner = _Runner(
            self._app, access_log=None, shutdown_timeout=2, handle_signals=False,
            auto_decompress=False,
        )  # fmt: skip
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - setup() has made it
        self._connections = Connections(self._runner.server)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._connections, host, port, reuse_address=True, backlog=128
            )
        except OSError:
            await self.stop()
            raise
        address = self._listener.sockets[0].getsockname()
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{address[1]}"

    async def stop(self) -> None:
        """Close the event streams, then the server."""
        if self._app is not None:
            self._app[STOPPING].set()
            self._app = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._connections is not None:
            self._connections.stop()
            self._connections = None

    def _authenticate(self, route: Route, request: web.Request) -> TokenInfo | None:
        """Return the token of a request; None if the route needs none. Raises Problem."""
        if route.role is None:
            return None
        scheme, _, plain = request.headers.get("Authorization", "").partition(" ")
        token = None
        state = "missing"
        if scheme.lower() == "bearer" and plain.strip():
            token = self._find(plain.strip())
            state = "unknown" if token is None else token.state_at(self._monitor.clock.now())
        if token is None or state != "valid":
            wait = self._failures.failed(request.remote or "")
            if wait:
                raise Problem(
                    429,
                    "too many requests without a valid token from this address",
                    headers={"Retry-After": str(int(wait) + 1)},
                )
            hint = "send one as 'Authorization: Bearer …'; 'tocsin token create' creates one"
            raise Problem(401, f"the token is {state}; {hint}", headers=_CHALLENGE)
        if not token.role.covers(route.role):
            raise Problem(
                403,
                f"this needs the role {route.role.value}; token {token.name!r} has the role "
                f"{token.role.value}",
            )
        return token

    def _find(self, plain: str) -> TokenInfo | None:
        try:
            return self._monitor.tokens.find(plain)
        except (OSError, ValueError) as error:
            log.error("the tokens cannot be read", reason=str(error))
            raise Problem(
                503, "tokens cannot be checked now; tocsin's log has the reason", headers=_SOON
            ) from error

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = request.rel_url.raw_path
        connections = self._connections
        handling = nullcontext() if connections is None else connections.handling(request.transport)
        try:
            with handling:
                response: web.StreamResponse = await handler(request)
        except Problem as problem:
            response = problem.response(path)
        except web.HTTPException as error:
            response = _of_http(error, request).response(path)
        except Exception:
            reference = str(new_id())
            log.exception("a request failed inside tocsin", path=path, reference=reference)
            response = Problem(
                500,
                f"internal error; tocsin's log has the details under {reference}",
                instance=f"urn:uuid:{reference}",
            ).response(path)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response


def _of_http(error: web.HTTPException, request: web.BaseRequest) -> Problem:
    """Turn an error that aiohttp raised into a problem."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(
            405,
            f"{request.method} is not allowed here, only {allowed}",
            headers={"Allow": allowed},
        )
    if error.status == 404:
        path = show(request.path)
        return Problem(404, f"there is nothing at {path}; see /api/v1/openapi.json")
    return Problem(error.status, error.text or error.reason)


class _Protocol(RequestHandler):
    """Answers with problem documents also where aiohttp refuses a request before any handler."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that is not HTTP, or that failed outside of the middleware."""
        if isinstance(exc, UnicodeEncodeError):  # aiohttp quotes what was sent and cannot encode it
            status, exc, message = 400, None, "a header contains bytes that are not text"
        super().handle_error(request, status, exc, message)  # writes the log
        detail = "internal error; tocsin's log has the details"
        if status < 500:
            why = show((message or "").partition("\n")[0].strip().rstrip(":"))
            detail = f"the request cannot be read: {why or 'it is not HTTP'}"
        answer = Problem(status, detail).response("")
        answer.headers.update(HEADERS)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Convert what aiohttp refuses before the middleware, such as an Expect header."""
        if isinstance(resp, web.HTTPException) and not resp.prepared:
            resp = _of_http(resp, request).response(request.rel_url.raw_path)
            resp.headers.update(HEADERS)
        return await super().finish_response(request, resp, start_time)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        protocol = super().__call__()
        protocol.__class__ = _Protocol
        return protocol


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp offers no other way to choose the protocol
        return server
