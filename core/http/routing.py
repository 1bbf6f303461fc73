"""Routes: a typed handler with its path and the role it takes. OpenAPI is made from the same."""

from __future__ import annotations

import asyncio
import inspect
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_type_hints

import attrs
import msgspec
from aiohttp import web
from attrs import define, field, frozen

from tocsin.core.auth import Role, TokenInfo
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.encoding import encode
from tocsin.core.http.monitor import Monitor
from tocsin.core.http.problems import Problem
from tocsin.core.logs import clean

MAX_BODY = 64 * 1024
"""Bytes."""

BODY_WITHIN = 20.0
"""Seconds."""

Handler = Callable[..., Awaitable[Any]]


@frozen(kw_only=True)
class Call:
    """One request, as a handler sees it. ``who`` is None only on routes without a role."""

    monitor: Monitor
    request: web.Request
    who: TokenInfo | None

    @property
    def path(self) -> Mapping[str, str]:
        """The parts of the path that a route names."""
        return self.request.match_info

    @property
    def actor(self) -> str:
        """The caller's name, as it stands in the audit."""
        return "anonymous" if self.who is None else self.who.name

    def entry(self, action: str, subject: str, outcome: str = "ok", **details: Any) -> AuditEntry:
        """The audit row of what the caller wants to change."""
        return AuditEntry(
            actor=self.actor,
            role="none" if self.who is None else self.who.role.value,
            action=action,
            subject=subject,
            at=self.monitor.clock.now(),
            outcome=outcome,
            details=details,
        )

    def audit(self, action: str, subject: str, outcome: str = "ok", **details: Any) -> None:
        """Keep what the caller changed."""
        self.monitor.audit(self.entry(action, subject, outcome, **details))


@frozen(kw_only=True)
class Route:
    """One operation of the API. ``role`` None: no token is asked for."""

    method: str
    path: str
    role: Role | None
    handler: Handler
    query: Any
    body: Any
    response: Any
    errors: tuple[int, ...]
    media: str
    free_query: bool = False
    """Query parameters are the handler's own business."""

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").split("\n")[0].rstrip(".")

    @property
    def path_names(self) -> list[str]:
        """The names of the path's variable parts."""
        return re.findall(r"{(\w+)}", self.path)


@define
class Routes:
    """Collects the routes of one resource."""

    routes: list[Route] = field(factory=list)

    def get(
        self, path: str, *, role: Role | None = Role.VIEWER, errors: tuple[int, ...] = (),
        media: str = "application/json",
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Register a GET handler. Its types say what it takes and gives: a parameter ``query``
        is an attrs class of query parameters, ``body`` one of the JSON body, which may have a way
        to ``read`` a request of its own."""
        return self._add("GET", path, role, errors, media)

    def post(
        self, path: str, *, role: Role | None, errors: tuple[int, ...] = ()
    ) -> Callable[[Handler], Handler]:
        """Register a POST handler."""
        return self._add("POST", path, role, errors, "application/json")

    def delete(
        self, path: str, *, role: Role | None, errors: tuple[int, ...] = ()
    ) -> Callable[[Handler], Handler]:
        """Register a DELETE handler."""
        return self._add("DELETE", path, role, errors, "application/json")

    def _add(
        self, method: str, path: str, role: Role | None, errors: tuple[int, ...], media: str
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            hints = get_type_hints(handler, include_extras=True)
            self.routes.append(
                Route(
                    method=method,
                    path=path,
                    role=role,
                    handler=handler,
                    query=hints.get("query"),
                    body=hints.get("body"),
                    response=hints.get("return"),
                    errors=errors,
                    media=media,
                )
            )
            return handler

        return register


async def perform(route: Route, call: Call) -> web.StreamResponse:
    """Decode what a request brings, call the handler, encode what it gives."""
    arguments: dict[str, Any] = {}
    given = call.request.query
    for name, text in (*call.path.items(), *given.items()):
        if trouble := _unfit(name):
            raise Problem(422, f"the name of a parameter is wrong: it holds {trouble}")
        if trouble := _unfit(text):
            status = 400 if name in call.path else 422
            raise Problem(status, f"{show(name)} is wrong: it holds {trouble}")
    if route.query is not None:
        read_query = getattr(route.query, "read", None)
        arguments["query"] = (
            read_query(given) if read_query is not None else query_of(route.query, given)
        )
    elif given and not route.free_query:
        names = show(", ".join(sorted(given)))
        raise Problem(400, f"this takes no query parameters; leave out {names}")
    if route.body is not None:
        read = getattr(route.body, "read", None)
        arguments["body"] = await (
            read(call.request) if read is not None else read_body(route.body, call.request)
        )
    answer = await route.handler(call, **arguments)
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.Response(body=encode(answer), content_type=route.media)


def _unfit(text: str) -> str:
    """What neither a name nor a database can hold, as a clause; "" where all is well."""
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half a character, which is no text"
    return ""


def show(text: str) -> str:
    """What somebody sent, as it may be quoted."""
    return clean(text[:100])


def _check_moments(holder: Any, where: str) -> None:
    """Refuse times that only their own zone has. Raises Problem."""
    for item in attrs.fields(type(holder)):
        value = getattr(holder, item.name)
        if isinstance(value, datetime) and value.tzinfo is not None:
            try:
                value.astimezone(UTC)
            except OverflowError:
                raise Problem(
                    422,
                    f"{where} is wrong: {item.name}: in UTC it is not between the years 1 and 9999",
                ) from None


def query_of(kind: Any, given: Mapping[str, str]) -> Any:
    """Query parameters as an attrs class. Raises Problem."""
    known = {f.name for f in attrs.fields(kind)}
    if unknown := sorted(given.keys() - known):
        allowed = ", ".join(sorted(known))
        names = show(", ".join(unknown))
        raise Problem(400, f"unknown query parameter {names}; known are {allowed}")
    multi = getattr(given, "getall", None)
    if multi and (twice := [name for name in given if len(multi(name)) > 1]):
        raise Problem(400, f"query parameter {twice[0]} is given more than once")
    try:
        query = msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, f"a query parameter is wrong: {_plain(error)}") from error
    for name, text in given.items():
        value = getattr(query, name)
        # msgspec is more lenient here than our own document: "null" is none, 0.5 is a moment.
        if value is None or (isinstance(value, datetime) and "-" not in text):
            raise Problem(
                422, f"a query parameter is wrong: {name}: {show(text)!r} is no value for it"
            )
    _check_moments(query, "a query parameter")
    return query


async def read_json(request: web.Request) -> Any:
    """The body of a request, decoded; an empty object where there is none. Raises Problem."""
    return decode_json(await read_raw(request))


async def read_raw(request: web.Request, most: int | None = None) -> bytes:
    """The body of a request, unpacked. Raises Problem.

    Args:
        request: the request.
        most: given, a larger body is cut to so many bytes, and one more; else it is refused.
    """
    try:
        async with asyncio.timeout(BODY_WITHIN):
            raw = await (request.read() if most is None else _begin_of(request, most))
    except TimeoutError as error:
        raise Problem(408, f"the body did not come within {BODY_WITHIN:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(413, f"the body is larger than {MAX_BODY} bytes") from error
    except ConnectionError as error:
        raise Problem(400, "the connection ended before the body did") from error
    except web.RequestPayloadError as error:
        raise Problem(400, "the body is not what its headers say (encoding, length)") from error
    return _unpacked(raw, coding_of(request))


async def _begin_of(request: web.Request, most: int) -> bytes:
    raw = b""
    while len(raw) <= most and (piece := await request.content.read(most + 1 - len(raw))):
        raw += piece
    return raw


def decode_json(raw: bytes) -> Any:
    """A body as JSON; an empty object where it is empty. Raises Problem."""
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None


def coding_of(request: web.Request) -> str:
    """How the body of a request is packed; "" where it is not. Raises Problem."""
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Problem(
            415,
            f"a body of the content-encoding {show(coding)} cannot be read; send it without one",
        )
    return coding.removeprefix("identity")


def _unpacked(raw: bytes, coding: str) -> bytes:
    """A body without its compression. aiohttp would unpack all that comes, before anybody is asked
    for a token, however much it is."""
    if not coding:
        return raw
    unpacking = zlib.decompressobj(47)  # with a header of zlib or gzip
    try:
        body = unpacking.decompress(raw, MAX_BODY + 1)
    except zlib.error as error:
        raise Problem(400, "the body is not what its headers say (encoding)") from error
    if len(body) > MAX_BODY:
        raise Problem(413, f"the body is larger than {MAX_BODY} bytes")
    if not unpacking.eof:
        raise Problem(400, "the body is not what its headers say (encoding): it ends early")
    return body


async def read_body(kind: Any, request: web.Request) -> Any:
    """The body of a request as the attrs class that a handler takes. Raises Problem."""
    return convert_body(kind, await read_json(request))


def convert_body(kind: Any, given: Any) -> Any:
    """Decoded JSON as an attrs class. Raises Problem."""
    if not isinstance(given, dict):
        raise Problem(422, "the body is wrong: it is to be a JSON object")
    known = {f.name for f in attrs.fields(kind)}
    # A misspelt field left aside would turn a failure told by a job into "all is well".
    if unknown := sorted(given.keys() - known):
        errors = tuple(f"unknown field {name[:100]!r}" for name in unknown[:20])
        allowed = ", ".join(sorted(known))
        raise Problem(422, f"the body is wrong: {errors[0]}; known are {allowed}", errors=errors)
    try:
        body = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"the body is wrong: {_plain(error)}") from error
    _check_moments(body, "the body")
    return body


def _plain(error: Exception) -> str:
    """msgspec's ``… - at `$.limit``` as ``limit: …``."""
    text, _, place = str(error).partition(" - at `$")
    name = place.rstrip("`").lstrip(".")
    text = text[:1].lower() + text[1:]
    return f"{name}: {text}" if name else text
