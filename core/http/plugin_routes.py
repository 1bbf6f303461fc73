"""Calls of the routes that plugins add, with the same checks as the core's own routes.

A plugin's handler runs in isolation, with a deadline and a limit on the size of its answer. So do
the classes of its query and body, whose validators are the plugin's code.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from http import HTTPStatus
from typing import cast

from aiohttp import web
from attrs import define, field

from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.route import Request, Route
from tocsin.core.contracts.view import SystemView
from tocsin.core.hosts.hosted_route import HostedRoute
from tocsin.core.hosts.methods import Answered
from tocsin.core.http.chunks import cut, stream_response
from tocsin.core.http.decoding import convert_body, once_each, query_of, read_json
from tocsin.core.http.plugin_streams import MOST_STREAMS, PluginStream
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call, check_parameters
from tocsin.core.http.system_view import RunningSystem
from tocsin.core.notify.target_status import target_statuses
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.core.shapes import fit_answer

DEADLINE = 10.0
"""Seconds after which a plugin's route is answered with 504. Of a stream, the first chunk counts.
"""

ROUTES = "a route"
"""The part of a plugin that is at fault if a route fails."""

Started = Awaitable[object] | AsyncIterator[str | bytes]
Start = Callable[[], Started]


@define
class PluginRoutes:
    """The routes of one plugin, while they are served.

    Attributes:
        plugin: name of the plugin.
        streams: number of its open streams.
    """

    plugin: str
    streams: int = field(default=0, init=False)

    async def perform(self, route: Route, call: Call) -> web.StreamResponse:
        """Decode a request, call the handler and encode its answer.

        Raises:
            Problem: the request does not fit the route, the handler refuses it, or it failed.
        """
        check_parameters(route, call)
        if call.who is None:
            raise AssertionError("a plugin's route asks for a token")
        request = Request(
            actor=call.actor,
            role=call.who.role,
            path=dict(call.path),
            system=target_statuses(call.monitor.state) if route.wants_system else (),
        )
        document = None if route.body is None else await read_json(call.request)
        view = RunningSystem(call.monitor) if route.wants_view else None
        begin: Start = partial(start, route, request, call.request.query, document, view)
        answering = partial(answered, route, begin)
        if isinstance(route, HostedRoute):
            query = once_each(call.request.query)
            begin = partial(_remote_chunks, route, request, query, document, view)
            answering = partial(_remote_answer, route, request, query, document, view)
        if route.streams:
            return await self._stream(route, call, begin)
        with self._judged(route, call):
            answer = await call.monitor.isolation.call(
                self.plugin, answering, DEADLINE, expects=(ActionError,)
            )
            if isinstance(answer, Problem):
                raise answer
        return web.Response(body=answer, headers={"Content-Type": route.media})

    async def _stream(self, route: Route, call: Call, begin: Start) -> web.StreamResponse:
        """Send what the handler yields until it ends, the client leaves or tocsin stops.

        Raises:
            Problem: there are too many streams, or the handler refused or failed before its first
                chunk. After that the connection is closed instead.
        """
        if self.streams >= MOST_STREAMS:
            text = f"plugin {self.plugin} has {MOST_STREAMS} open streams, the limit; close some"
            raise Problem(503, text, headers={"Retry-After": "10"})
        response = stream_response(route.media)
        self.streams += 1
        try:
            with self._judged(route, call):
                generator = cast("Callable[[], AsyncGenerator[str | bytes, None]]", begin)
                await PluginStream(self.plugin, call, generator).send(response, DEADLINE)
        except Problem:
            if not response.prepared:
                raise
            cut(call)
        finally:
            self.streams -= 1
        return response

    @contextmanager
    def _judged(self, route: Route, call: Call) -> Iterator[None]:
        """Mark the plugin failed if the block raises a fault of it.

        Raises:
            Problem: 404 or 409 for an ActionError, 504 for a timeout, 502 for a fault.
        """
        isolation = call.monitor.isolation
        try:
            yield
        except ActionError as error:
            status = HTTPStatus.NOT_FOUND if error.missing else HTTPStatus.CONFLICT
            raise Problem(status, str(error)) from error
        except TimeoutError:
            late = f"did not answer {route.name} within {DEADLINE:g} s"
            isolation.breach(self.plugin, ROUTES, late, said=late)
            raise Problem(504, f"plugin {self.plugin} {late}") from None
        except PluginFault as fault:
            clause = f"failed to answer {route.name}: it {fault}"
            isolation.breach(self.plugin, ROUTES, fault, said=clause)
            raise Problem(502, f"plugin {self.plugin} {clause}") from fault
        isolation.works(self.plugin, ROUTES)


def start(
    route: Route,
    request: Request,
    query: Mapping[str, str],
    document: object,
    view: SystemView | None,
) -> Started:
    """Call the handler with the query, body and view that it takes.

    Raises:
        Problem: they do not fit.
    """
    arguments: dict[str, object] = {}
    if route.query is not None:
        arguments["query"] = query_of(route.query, query)
    if route.body is not None:
        arguments["body"] = convert_body(route.body, document)
    if view is not None:
        arguments["view"] = view
    return route.handler(request, **arguments)


async def answered(route: Route, begin: Start) -> bytes | Problem:
    """Return the answer of a handler, encoded; the problem if the request does not fit."""
    try:
        answering = begin()
    except Problem as problem:  # the isolation would count any error as the plugin's fault
        return problem
    return fit_answer(route, await cast("Awaitable[object]", answering))


async def _remote_answer(
    route: HostedRoute,
    request: Request,
    query: Mapping[str, str],
    document: object,
    view: SystemView | None,
) -> bytes | Problem:
    """Return the answer of a route in a host, encoded; the problem if the request does not fit."""
    answer = await route.ask(request, query, document, view)
    return answer.body if answer.status is None else _problem(answer)


async def _remote_chunks(
    route: HostedRoute,
    request: Request,
    query: Mapping[str, str],
    document: object,
    view: SystemView | None,
) -> AsyncGenerator[str | bytes, None]:
    """Yield what a route in a host yields.

    Raises:
        Problem: the request does not fit.
    """
    async with aclosing(route.stream(request, query, document, view)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Answered):
                raise _problem(chunk)
            yield chunk


def _problem(answer: Answered) -> Problem:
    return Problem(answer.status or 500, answer.text, errors=answer.errors)
