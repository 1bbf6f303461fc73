"""The contract of the operations that plugins add to the HTTP API."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen

from tocsin.core.contracts.notifier import TargetStatus

PREFIX = "/api/v1/plugins"
"""Path prefix of all plugin endpoints; the plugin's name follows it."""

METHODS = ("GET", "POST", "DELETE")
ROLES = ("viewer", "operator", "admin")


@frozen(kw_only=True)
class Request:
    """One authorized and decoded request to an endpoint.

    Attributes:
        actor: name of the caller's token.
        role: role of that token.
        path: values of the variables of the path, by name.
        query: the query parameters.
        body: the decoded JSON body; None for a GET.
        system: every target, worst first; empty unless :attr:`Endpoint.wants_system` is set.
    """

    actor: str
    role: str
    path: Mapping[str, str] = Factory(dict)
    query: Mapping[str, str] = Factory(dict)
    body: Any = None
    system: tuple[TargetStatus, ...] = ()


def _path(_: object, attribute: Attribute[str], value: str) -> None:
    if not re.fullmatch(r"(?:[\w.-]+|{\w+})(?:/(?:[\w.-]+|{\w+}))*", value, re.ASCII):
        raise ValueError(
            f"{attribute.name} {value!r} is invalid: write names and {{variables}} separated by "
            "slashes, without a slash at the start, such as 'items/{id}'"
        )


def _one_of(*words: str) -> Any:
    def check(_: object, attribute: Attribute[str], value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} {value!r} must be one of {', '.join(words)}")

    return check


@frozen(kw_only=True)
class Endpoint:
    """An operation under ``/api/v1/plugins/NAME/``, where NAME is the name of the plugin.

    Attributes:
        path: relative to that prefix, for example ``items/{id}``.
        handler: returns a value that is sent as JSON; the first line of its docstring is the
            summary of the operation. If it raises :class:`~tocsin.ActionError`, the answer is 404
            if ``missing`` is set, else 409. Any other exception counts as a fault of the plugin and
            is answered with 502.
        method: the HTTP method.
        role: the role that the caller needs.
        wants_system: whether :attr:`Request.system` is filled.
    """

    path: str = field(validator=_path)
    handler: Callable[[Request], Awaitable[Any]]
    method: Literal["GET", "POST", "DELETE"] = field(default="GET", validator=_one_of(*METHODS))
    role: Literal["viewer", "operator", "admin"] = field(
        default="viewer", validator=_one_of(*ROLES)
    )
    wants_system: bool = False

    @property
    def name(self) -> str:
        """The method and path, for example ``GET items/{id}``."""
        return f"{self.method} {self.path}"
