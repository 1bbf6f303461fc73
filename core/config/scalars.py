"""Parsers of single values. They are strict: nothing is coerced.

Text that came from ``${VAR}`` may stand for a number or a truth value, since a variable is always
text. All functions raise ValueError with a message that says what was expected.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any, TypeVar, get_args

from tocsin.core.config.environment import Interpolated
from tocsin.core.contracts.base import Secret

MAX_PORT = 65535
API_PORT = 8095
"""The TCP port of the API unless another is configured."""

E = TypeVar("E", bound=enum.Enum)


def show(value: object) -> str:
    """Return a value as it is written in TOML, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    written = repr(str(value)) if isinstance(value, str | date | time) else repr(value)
    return written if len(written) <= 60 else written[:57] + "…"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any, _: Any = None) -> str:
    """Return a text; no other type is accepted."""
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"expected text in quotes, got {show(value)}")


def secret(value: Any, _: Any = None) -> Secret:
    """Return a text as a Secret, which is not quoted in errors."""
    if isinstance(value, Secret):
        return value  # converting it again would take the three asterisks that it shows
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("expected text in quotes")  # the value is not quoted


def whole(value: Any, _: Any = None) -> int:
    """Return a whole number; ``true`` is not one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Interpolated):
        try:
            return int(value)
        except ValueError:
            pass
    raise ValueError(f"expected a whole number, got {show(value)}")


def number(value: Any, _: Any = None) -> float:
    """Return a finite number.

    Raises:
        ValueError: the value is neither a finite number nor text from ``${VAR}`` that reads as one.
    """
    if _is_number(value) or isinstance(value, Interpolated):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if math.isfinite(found):
            return found
    raise ValueError(f"expected a number, got {show(value)}")


def truth(value: Any, _: Any = None) -> bool:
    """Return a truth value; 1 is not one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Interpolated) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"expected true or false, got {show(value)}")


def _same(value: Any, allowed: Any) -> bool:
    """Return whether two values are equal, with true and 1 counted as different."""
    return bool(value == allowed) and isinstance(value, bool) == isinstance(allowed, bool)


def choose(value: Any, kind: type[E]) -> E:
    """Return the member of an enumeration that has this value.

    Raises:
        ValueError: there is none.
    """
    for member in kind:
        if _same(value, member.value):
            return member
    allowed = ", ".join(show(member.value) for member in kind)
    raise ValueError(f"expected one of {allowed}, got {show(value)}")


def literal(value: Any, kind: Any) -> Any:
    """Return the value if it is one of those of a ``Literal``."""
    for allowed in get_args(kind):
        if _same(value, allowed):
            return allowed
    allowed = ", ".join(map(show, get_args(kind)))
    raise ValueError(f"expected one of {allowed}, got {show(value)}")


def port(text: str) -> int:
    """Parse a TCP port.

    Raises:
        ValueError: the text is not a port number.
    """
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"expected a port from 1 to {MAX_PORT}, got {show(text)}")


def any_port(text: str) -> int:
    """Parse a TCP port to listen on; 0 takes any free one.

    Raises:
        ValueError: the text is not a port number.
    """
    return 0 if text == "0" else port(text)
