"""The options of a plugin class, which are its attrs fields, for display."""

from __future__ import annotations

import enum
import re
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from tocsin.core.contracts.base import Secret
from tocsin.core.units import Bytes, Seconds


@attrs.frozen(kw_only=True)
class Option:
    """One option: name, readable type, whether it is required, and the default if it is not."""

    name: str
    type: str
    required: bool
    default: Any = None


def options_of(cls: Any) -> list[Option]:
    """Return the options of a plugin class, required ones first; none if it is not an attrs
    class."""
    if not attrs.has(cls):
        return []
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - third-party annotations may contain anything
        hints = {}
    options = [
        Option(
            name=field.name,
            type=_in_words(hints.get(field.name, field.type)),
            required=field.default is attrs.NOTHING,
            default=_default(field.default),
        )
        for field in attrs.fields(cls)
        if field.init
    ]
    return sorted(options, key=lambda option: not option.required)


def _in_words(kind: Any) -> str:
    if kind == Seconds:
        return "duration"
    if kind == Bytes:
        return "size"
    if kind is Secret:
        return "secret text"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(repr(member.value) for member in kind)
    words = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true | false",
        type(None): "",
    }
    if kind in words:
        return words[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (list, tuple, set, frozenset):
        inner = [a for a in arguments if a is not Ellipsis]
        return "list of " + (" | ".join(map(_in_words, inner)) or "anything")
    if arguments and origin is not None and "Mapping" in str(origin) + str(kind):
        return "table of " + _in_words(arguments[-1])
    if arguments and origin is dict:
        return "table of " + _in_words(arguments[-1])
    if arguments:
        return " | ".join(filter(None, map(_in_words, arguments)))
    return re.sub(r"\b[\w.]+\.", "", getattr(kind, "__name__", str(kind)))


def _default(default: Any) -> Any:
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = None if default.takes_self else default.factory()
    if isinstance(default, Secret):
        return "***"
    if isinstance(default, enum.Enum):
        return default.value
    if isinstance(default, list | tuple | set | frozenset):
        return [_default(item) for item in default]
    if isinstance(default, dict):
        return {str(key): _default(value) for key, value in default.items()}
    return default if isinstance(default, str | int | float | bool | None) else str(default)
