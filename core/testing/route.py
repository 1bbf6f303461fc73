"""Conformance suite for routes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, cast

import msgspec

from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.route import JSON, Request, Route
from tocsin.core.contracts.route_schema import schemas_of, types_of
from tocsin.core.contracts.view import SystemView
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes import fit_answer, fit_chunk
from tocsin.core.testing.conformance import check_no_tasks_left
from tocsin.core.testing.view import FixedSystem

PATIENCE = 10.0
CHUNKS = 3
"""Number of chunks that are read of a stream."""

_JSON_BEGINS = {bytes([byte]) for byte in b'[{"-0123456789tfn'}


async def check_route_conformance(
    route: Route,
    request: Request | None = None,
    *,
    query: object = None,
    body: object = None,
    view: SystemView | None = None,
) -> object:
    """Check a plugin's route against its contract, with one request.

    The handler has to be documented, and its types have to be expressible in JSON. It answers what
    it declares, or refuses with an ActionError. A stream yields str or bytes, the first of them
    soon, and ends when it is cancelled. Neither leaves tasks behind.

    Args:
        route: the route.
        request: the request, with a value for each variable of the path; None for a plain one, if
            the path has no variables.
        query: the query that the handler takes; None for its defaults.
        body: the body that the handler takes; None for its defaults.
        view: the state that the handler reads; None for that of an empty system.

    Returns:
        The decoded JSON; the bytes of another answer; of a stream, its first chunks; None if the
        handler refused.

    Raises:
        AssertionError: it violates the contract.
    """
    assert inspect.getdoc(route.handler), "the handler has no docstring; users are shown it"
    assert route.role is not None, "the route needs no token; a plugin's route needs a role"
    try:
        schemas_of(types_of(route))
    except TypeError as error:
        raise AssertionError(f"a type of the route is not JSON: {error}") from error
    request = request or Request(actor="tests", role=route.role)
    if lacking := [name for name in route.path_names if name not in request.path]:
        example = ", ".join(f"{name!r}: …" for name in route.path_names)
        raise AssertionError(
            f"the path of {route.name} has the variable {lacking[0]!r}, and the request has no "
            f"value for it: pass request=Request(actor=…, role=…, path={{{example}}})"
        )
    arguments: dict[str, object] = {}
    if route.query is not None:
        arguments["query"] = route.query() if query is None else query
    if route.body is not None:
        arguments["body"] = route.body() if body is None else body
    if route.wants_view:
        arguments["view"] = FixedSystem() if view is None else view
    before = asyncio.all_tasks()
    called = route.handler(request, **arguments)
    try:
        if route.streams:
            chunks = await _first_chunks(cast("AsyncGenerator[str | bytes, None]", called))
            begin = b"".join(chunks).lstrip()[:1]
            assert not begin or route.media != JSON or begin in _JSON_BEGINS, (
                "the chunks of a stream with the media type of JSON, which is the default, have to "
                "make up one JSON document; give another media, such as 'text/event-stream'"
            )
            return chunks
        async with asyncio.timeout(PATIENCE):
            raw = fit_answer(route, await cast("Awaitable[object]", called))
    except ActionError as error:
        refusal = str(error)
        assert refusal, "the refusal has no text"
        return None
    except (PluginFault, TypeError, UnicodeEncodeError) as error:
        raise AssertionError(f"the handler {error}") from error
    finally:
        await check_no_tasks_left(before, "the handler")
    answer: Any = msgspec.json.decode(raw) if route.is_json else raw
    return answer


async def _first_chunks(generator: AsyncGenerator[str | bytes, None]) -> list[bytes]:
    """Read the first chunks of a stream in a task of its own, then cancel it."""
    chunks: list[bytes] = []
    changed = asyncio.Event()

    async def read() -> None:
        async with aclosing(generator):
            async for chunk in generator:
                chunks.append(fit_chunk(chunk))
                changed.set()
                if len(chunks) == CHUNKS:
                    await asyncio.Event().wait()

    task = asyncio.ensure_future(read())
    task.add_done_callback(lambda _: changed.set())
    try:
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
        await asyncio.wait({task}, timeout=0.1)
    except TimeoutError:
        raise AssertionError(f"the stream yielded nothing within {PATIENCE:g} s") from None
    finally:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
    assert done, f"the stream ignored its cancellation for {PATIENCE:g} s"
    if not task.cancelled():
        task.result()
    return chunks
