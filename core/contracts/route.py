"""The operations of the HTTP API: a typed handler with its path and the role that it needs.

The core's own resources and plugins declare them with the same types. The OpenAPI document is
generated from them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack, get_type_hints

import attrs
from attrs import Factory, define, field, frozen

from tocsin.core.contracts.message import TargetStatus
from tocsin.core.contracts.view import SystemView

PREFIX = "/api/v1/plugins"
"""Path prefix of the plugins' routes; the plugin's name follows it."""

CORE_ROOTS = frozenset({"api", "health"})
"""The first segments of the core's own paths, which no plugin may use."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON = "application/json"
_SEGMENT = r"(?:(?!\.+(?:/|$))[\w.-]+|{[a-zA-Z_]\w*})"
_MEDIA = r"[\w.+-]+/[\w.+-]+(?:; ?[\w-]+=[\w.-]+)*"


class Role(StrEnum):
    """The roles of tokens. Each role has the permissions of the one before it, and more.

    Attributes:
        VIEWER: reads.
        OPERATOR: also acknowledges, silences, restarts and sends heartbeats.
        ADMIN: also reads the configuration and the audit log, and reloads tocsin.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Return the position in the order of roles; 0 has the fewest permissions."""
        return list(Role).index(self)

    def covers(self, needed: Role) -> bool:
        """Return whether this role has the permissions of ``needed``."""
        return self.rank >= needed.rank


@frozen(kw_only=True)
class Request:
    """One authorized request to a plugin's route. Query and body are parameters of the handler.

    Attributes:
        actor: name of the caller's token.
        role: role of that token.
        path: values of the variables of the path, by name.
        system: every target, worst first; empty unless :attr:`Route.wants_system` is set.
    """

    actor: str
    role: Role
    path: Mapping[str, str] = Factory(dict)
    system: tuple[TargetStatus, ...] = ()


Handler = Callable[..., Awaitable[object] | AsyncIterator[str | bytes]]
"""``async def handler(request, query, body, view)``; the last three only if the operation takes
them."""

H = TypeVar("H", bound=Handler)


def _types(handler: Handler) -> Mapping[str, Any]:
    """Return a handler's annotations by parameter; ``return`` is that of its answer."""
    name = getattr(handler, "__name__", type(handler).__name__)
    if not (inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)):
        raise ValueError(f"the handler {name} is not async; define it with async def")
    try:
        hints = get_type_hints(handler, include_extras=True)
    except Exception as error:
        raise ValueError(f"the annotations of {name} cannot be read: {error}") from error
    parameters = list(inspect.signature(handler).parameters)
    if not parameters:
        raise ValueError(f"{name} has no parameter for the request")
    for parameter in parameters[1:]:
        if parameter == "view":
            if hints.get(parameter) is not SystemView:
                raise ValueError(f"annotate 'view' of {name} with SystemView")
            continue
        if parameter not in ("query", "body"):
            raise ValueError(
                f"{name} has a parameter {parameter!r}; after the request a handler takes only "
                "'query', 'body' and 'view'"
            )
        if not (isinstance(hints.get(parameter), type) and attrs.has(hints[parameter])):
            raise ValueError(f"annotate {parameter!r} of {name} with an attrs class")
    return {key: hints[key] for key in (*parameters[1:], "return") if key in hints}


def _check_path(_: object, __: object, value: str) -> None:
    if not re.fullmatch(f"/?{_SEGMENT}(?:/{_SEGMENT})*", value, re.ASCII):
        raise ValueError(
            f"path {value!r} is invalid: write names and {{variables}} separated by slashes, such "
            "as 'items/{id}'"
        )
    names = re.findall(r"{(\w+)}", value)
    if len(set(names)) < len(names):
        raise ValueError(f"path {value!r} has two variables of the same name")


@frozen(kw_only=True)
class Route:
    """One operation of the HTTP API.

    What it takes and answers follows from the annotations of its handler. A parameter ``query`` is
    an attrs class of query parameters (without one, query strings are refused), a parameter
    ``body`` is one of the JSON body, and a parameter ``view`` is a :class:`SystemView`. A handler
    that is an async generator of ``str`` or ``bytes`` is a stream: each chunk is sent as it comes.

    Attributes:
        method: one of GET, POST, PUT, PATCH, DELETE. A GET also answers HEAD.
        path: with variable parts, such as ``items/{id}``. In a plugin, a path without a slash at
            its start is relative to ``/api/v1/plugins/NAME/``; with one it is a top-level path.
        role: role that the caller's token needs. None means no token; in the core only.
        handler: an async function or async generator function. The first line of its docstring
            is the summary of the operation. The first parameter of a plugin's handler is a
            :class:`Request`.
        errors: status codes to document beyond those that follow from the declaration.
        media: content type of the answer. A plugin's answer that is not JSON is str or bytes. The
            chunks of a stream with the content type of JSON make up one JSON document.
        wants_system: whether :attr:`Request.system` is filled.

    Raises:
        ValueError: the declaration is wrong; the text says what to write.
    """

    method: str
    path: str = field(validator=_check_path)
    role: Role | None
    handler: Handler
    errors: tuple[int, ...] = ()
    media: str = JSON
    wants_system: bool = False
    _types: Mapping[str, Any] = field(
        init=False, repr=False, eq=False,
        default=Factory(lambda self: _types(self.handler), takes_self=True),
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} must be one of {', '.join(METHODS)}")
        if self.role is not None and not isinstance(self.role, Role):
            raise ValueError(f"role {self.role!r} must be a Role, such as Role.VIEWER")
        if not re.fullmatch(_MEDIA, self.media, re.ASCII):
            raise ValueError(f"media {self.media!r} must be a media type, such as 'text/plain'")
        if self.body is not None and self.method in ("GET", "DELETE"):
            raise ValueError(f"a {self.method} has no body; remove that parameter of its handler")

    @property
    def query(self) -> type[Any] | None:
        """The attrs class of the query parameters; None if the operation takes none."""
        return self._types.get("query")

    @property
    def body(self) -> type[Any] | None:
        """The attrs class of the body; None if the operation takes none."""
        return self._types.get("body")

    @property
    def wants_view(self) -> bool:
        """Whether the handler reads the state of the running tocsin."""
        return "view" in self._types

    @property
    def answer(self) -> Any:
        """The type of the answer, as annotated; Any without an annotation."""
        return self._types.get("return", Any)

    @property
    def streams(self) -> bool:
        """Whether the handler is an async generator."""
        return inspect.isasyncgenfunction(self.handler)

    @property
    def _is_remote(self) -> bool:
        """Whether the types of the route are those of another process, so that nothing is known of
        them here."""
        return False

    @property
    def is_json(self) -> bool:
        """Whether what the handler returns is encoded as JSON."""
        return self.media == JSON and not self.streams

    @property
    def name(self) -> str:
        """The method and path, such as ``GET items/{id}``."""
        return f"{self.method} {self.path}"

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").split("\n")[0].rstrip(".")

    @property
    def path_names(self) -> list[str]:
        """The names of the path's variable parts."""
        return re.findall(r"{(\w+)}", self.path)


class Options(TypedDict, total=False):
    """The further fields of a :class:`Route` that the decorators of :class:`Routes` take."""

    errors: tuple[int, ...]
    media: str
    wants_system: bool


@define
class Routes:
    """Collects routes. Decorators fill it while a module is imported; then it is a constant.

    Attributes:
        routes: the routes, in the order of their declaration.
    """

    routes: list[Route] = field(factory=list)

    def get(
        self, path: str, *, role: Role | None = Role.VIEWER, **options: Unpack[Options]
    ) -> Callable[[H], H]:
        """Return a decorator that adds a GET route and returns the handler unchanged.

        Args:
            path: see :class:`Route`.
            role: role that the caller's token needs.
            **options: ``errors``, ``media``, ``wants_system``; see :class:`Route`.
        """
        return self._add("GET", path, role, options)

    def post(self, path: str, *, role: Role | None, **options: Unpack[Options]) -> Callable[[H], H]:
        """Return a decorator that adds a POST route; see :meth:`get`."""
        return self._add("POST", path, role, options)

    def put(self, path: str, *, role: Role | None, **options: Unpack[Options]) -> Callable[[H], H]:
        """Return a decorator that adds a PUT route; see :meth:`get`."""
        return self._add("PUT", path, role, options)

    def patch(
        self, path: str, *, role: Role | None, **options: Unpack[Options]
    ) -> Callable[[H], H]:
        """Return a decorator that adds a PATCH route; see :meth:`get`."""
        return self._add("PATCH", path, role, options)

    def delete(
        self, path: str, *, role: Role | None, **options: Unpack[Options]
    ) -> Callable[[H], H]:
        """Return a decorator that adds a DELETE route; see :meth:`get`."""
        return self._add("DELETE", path, role, options)

    def _add(self, method: str, path: str, role: Role | None, options: Options) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self.routes.append(
                Route(method=method, path=path, role=role, handler=handler, **options)
            )
            return handler

        return register
