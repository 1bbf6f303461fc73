"""Calls of the core's own routes: what a handler receives, and how it is called."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, cast

from aiohttp import web
from attrs import frozen

from tocsin.core.auth.tokens import TokenInfo
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.contracts.route import Route
from tocsin.core.encoding import encode
from tocsin.core.http.decoding import query_of, read_body, show, unfit
from tocsin.core.http.monitor import Monitor
from tocsin.core.http.problems import Problem


@frozen(kw_only=True)
class Call:
    """One request, as its handler sees it. ``who`` is None only on routes that need no token."""

    monitor: Monitor
    request: web.Request
    who: TokenInfo | None

    @property
    def path(self) -> Mapping[str, str]:
        """Return the variable parts of the path, by name."""
        return self.request.match_info

    @property
    def actor(self) -> str:
        """Return the caller's name for the audit log."""
        return "anonymous" if self.who is None else self.who.name

    def entry(self, action: str, subject: str, outcome: str = "ok", **details: Any) -> AuditEntry:
        """Return an entry of the audit log for a change that the caller makes.

        Args:
            action: what is done, such as "acknowledge".
            subject: what it is done to: a name or an id.
            outcome: "ok", or what went wrong.
            **details: further facts; secrets are removed.
        """
        return AuditEntry(
            actor=self.actor,
            role="none" if self.who is None else self.who.role.value,
            action=action,
            subject=subject,
            at=self.monitor.clock.now(),
            outcome=outcome,
            details=details,
        )

    def may_go_on(self) -> bool:
        """Return whether the token is still valid; it may expire or be revoked during a stream."""
        now = self.monitor.clock.now()
        try:
            tokens = self.monitor.tokens.all()
        except (OSError, ValueError):
            return False
        return self.who is not None and any(
            token.id == self.who.id and token.state_at(now) == "valid" for token in tokens
        )

    def audit(self, action: str, subject: str, outcome: str = "ok", **details: Any) -> None:
        """Record a change that the caller made in the audit log; see :meth:`entry`."""
        self.monitor.audit(self.entry(action, subject, outcome, **details))


def check_parameters(route: Route, call: Call) -> None:
    """Check that the parameters of a request are text, and that the route takes a query if there is
    one.

    Raises:
        Problem: the request does not fit the route.
    """
    given = call.request.query
    for name, text in (*call.path.items(), *given.items()):
        if trouble := unfit(name):
            raise Problem(422, f"the name of a parameter is wrong: it contains {trouble}")
        if trouble := unfit(text):
            status = 400 if name in call.path else 422
            raise Problem(status, f"{show(name)} is wrong: it contains {trouble}")
    if given and route.query is None:
        names = show(", ".join(sorted(given)))
        raise Problem(400, f"this takes no query parameters; leave out {names}")


async def perform(route: Route, call: Call) -> web.StreamResponse:
    """Decode a request, call the handler of one of the core's routes and encode its answer.

    The class of a query or body may define a method ``read`` that parses the request itself.

    Raises:
        Problem: the request does not fit the route, or the handler refuses it.
    """
    check_parameters(route, call)
    arguments: dict[str, object] = {}
    if route.query is not None:
        read_query = getattr(route.query, "read", None) or partial(query_of, route.query)
        arguments["query"] = read_query(call.request.query)
    if route.body is not None:
        read = getattr(route.body, "read", None) or partial(read_body, route.body)
        arguments["body"] = await read(call.request)
    answer = await cast("Awaitable[object]", route.handler(call, **arguments))
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.Response(body=encode(answer), content_type=route.media)
