"""Single values, as TOML has them and as plugins want them. Nothing is coerced.

Text that came out of ``${VAR}`` may stand for a number or a truth value: it is text by origin only.
Everything raises ValueError, whose message says what was expected.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any, TypeVar, get_args

from tocsin.core.config.environment import Interpolated
from tocsin.core.contracts.base import Secret

E = TypeVar("E", bound=enum.Enum)


def show(value: object) -> str:
    """A value as it stands in TOML, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    written = repr(str(value)) if isinstance(value, str | date | time) else repr(value)
    return written if len(written) <= 60 else written[:57] + "…"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any, _: Any = None) -> str:
    """Text, and nothing that might be turned into it."""
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"expected text in quotes, got {show(value)}")


def secret(value: Any, _: Any = None) -> Secret:
    """Text that is not told even where it is wrong."""
    if isinstance(value, Secret):
        return value  # made anew it would be what it shows: three asterisks
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("expected text in quotes")  # what it was stays untold


def whole(value: Any, _: Any = None) -> int:
    """A whole number; true is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Interpolated):
        try:
            return int(value)
        except ValueError:
            pass
    raise ValueError(f"expected a whole number, got {show(value)}")


def number(value: Any, _: Any = None) -> float:
    """A finite number, or text that came out of ``${VAR}`` and reads as one. Raises ValueError."""
    if _is_number(value) or isinstance(value, Interpolated):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if math.isfinite(found):
            return found
    raise ValueError(f"expected a number, got {show(value)}")


def truth(value: Any, _: Any = None) -> bool:
    """True or false; 1 is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Interpolated) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"expected true or false, got {show(value)}")


def _same(value: Any, allowed: Any) -> bool:
    """Equality that keeps true and 1 apart."""
    return bool(value == allowed) and isinstance(value, bool) == isinstance(allowed, bool)


def choose(value: Any, kind: type[E]) -> E:
    """The member of an enumeration that has this value. Raises ValueError."""
    for member in kind:
        if _same(value, member.value):
            return member
    allowed = ", ".join(show(member.value) for member in kind)
    raise ValueError(f"expected one of {allowed}, got {show(value)}")


def literal(value: Any, kind: Any) -> Any:
    """One of the values of a ``Literal``."""
    for allowed in get_args(kind):
        if _same(value, allowed):
            return allowed
    allowed = ", ".join(map(show, get_args(kind)))
    raise ValueError(f"expected one of {allowed}, got {show(value)}")
