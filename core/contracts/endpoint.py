"""Operations that plugins add to the API."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen

from tocsin.core.contracts.notifier import TargetStatus

PREFIX = "/api/v1/plugins"
"""What the paths of plugins' endpoints begin with; the plugin's name follows."""

METHODS = ("GET", "POST", "DELETE")
ROLES = ("viewer", "operator", "admin")


@frozen(kw_only=True)
class Request:
    """One request to an endpoint, let in and decoded.

    ``path`` has the variable parts of the path, ``query`` the query parameters, ``body`` the
    decoded JSON (None for a GET); ``actor`` is the name of the caller's token, ``role`` its role.
    ``system`` has every target, worst first, where :attr:`Endpoint.wants_system` asks for it.
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
            f"{attribute.name} {value!r} is to read like 'items/{{id}}': names and {{variables}} "
            "between slashes, none at the start"
        )


def _one_of(*words: str) -> Any:
    def check(_: object, attribute: Attribute[str], value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} {value!r} is none of {', '.join(words)}")

    return check


@frozen(kw_only=True)
class Endpoint:
    """An operation under ``/api/v1/plugins/NAME/``, NAME being the plugin's.

    ``handler`` returns what is to be answered as JSON; the first line of its docstring is the
    operation's summary. An :class:`~tocsin.ActionError` it raises is a refusal (404 where
    ``missing``, else 409); any other exception is the plugin's fault (502).
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
        """``GET items/{id}``."""
        return f"{self.method} {self.path}"
