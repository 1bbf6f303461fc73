"""Routes for the endpoints that plugins add, with the same checks as the core's own routes.

A plugin's handler runs in isolation, with a deadline and a limit on the size of its answer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from tocsin.core.auth import Role
from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.endpoint import PREFIX, Endpoint, Request
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call, Route, read_json
from tocsin.core.notify.target_status import target_statuses
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import PluginFault

DEADLINE = 10.0
"""Seconds after which a plugin's endpoint is answered with 504."""

MAX_ANSWER = 4 * 1024 * 1024
"""Largest answer of a plugin's endpoint, in bytes."""


def routes_of(plugins: PluginManager) -> list[Route]:
    """Return one route for each endpoint of each plugin."""
    faulty: set[str] = set()
    return [_route(plugin, endpoint, faulty) for plugin, endpoint in plugins.endpoints]


def _route(plugin: str, endpoint: Endpoint, faulty: set[str]) -> Route:
    """Build the route of one endpoint.

    ``faulty`` holds the plugins whose last call of an endpoint failed. All routes share it and
    update it.
    """

    async def handle(call: Call) -> web.StreamResponse:
        request = Request(
            actor=call.actor,
            role="none" if call.who is None else call.who.role.value,
            path=dict(call.path),
            query=dict(call.request.query),
            body=None if endpoint.method == "GET" else await read_json(call.request),
            system=target_statuses(call.monitor.state) if endpoint.wants_system else (),
        )

        async def answer() -> bytes:
            # Encode inside the plugin's isolation: an answer that is not JSON is the plugin's
            # fault.
            return msgspec.json.encode(await endpoint.handler(request))

        try:
            body = await _ask(call, plugin, answer)
            if len(body) > MAX_ANSWER:
                raise _fault(call, plugin, f"answered with more than {MAX_ANSWER} bytes")
        except Problem as problem:
            if problem.status == HTTPStatus.BAD_GATEWAY:
                faulty.add(plugin)
            raise
        # Clear only a failure of the plugin's endpoints, never one that another part of it had.
        if plugin in faulty:
            faulty.discard(plugin)
            call.monitor.plugins.recover(plugin)
        return web.Response(body=body, content_type="application/json")

    handle.__doc__ = endpoint.handler.__doc__
    handle.__name__ = f"{plugin}_{endpoint.path}".translate({ord(c): "_" for c in "/{}.-"})
    handle.__module__ = plugin
    return Route(
        method=endpoint.method,
        path=f"{PREFIX}/{plugin}/{endpoint.path}",
        role=Role(endpoint.role),
        handler=handle,
        query=None,
        body=None,
        response=Any,
        errors=(404, 409, 413, 502, 504),
        media="application/json",
        free_query=True,
    )


async def _ask(call: Call, plugin: str, answer: Any) -> bytes:
    """Call the handler with the plugin's deadline and translate its errors.

    Raises:
        Problem: 404 or 409 for an ActionError, 504 for a timeout, 502 for a fault of the plugin.
    """
    try:
        body: bytes = await call.monitor.isolation.call(
            plugin, answer, DEADLINE, expects=(ActionError,)
        )
    except ActionError as error:
        status = HTTPStatus.NOT_FOUND if error.missing else HTTPStatus.CONFLICT
        raise Problem(status, str(error)) from error
    except TimeoutError:
        raise Problem(504, f"plugin {plugin} did not answer within {DEADLINE:g} s") from None
    except PluginFault as fault:
        if fault.severe:
            call.monitor.isolation.reset(plugin, fault)
        raise _fault(call, plugin, str(fault)) from fault
    return body


def _fault(call: Call, plugin: str, reason: str) -> Problem:
    """Mark the plugin failed and return the 502 problem for it."""
    call.monitor.plugins.fail(plugin, reason)
    return Problem(502, f"plugin {plugin} {reason}")
