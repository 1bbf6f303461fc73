"""Checks of the types of a plugin's options: what the configuration can hold."""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs.errors import StructureHandlerNotFoundError

from tocsin.core.config.structure import make_converter
from tocsin.core.contracts.base import Secret
from tocsin.core.plugin.faults import PluginFault, describe
from tocsin.core.units import Bytes, Seconds

REMEDY = (
    "use str, int, float, bool, Secret, Seconds, Bytes, Path, an Enum, a Literal, an attrs class, "
    "or a list, tuple, set or dict of these"
)

_PLAIN = (str, int, float, bool, type(None), Path, Any)
_NESTING = (
    list, tuple, set, frozenset, dict, Sequence, Iterable, Collection, AbstractSet, Mapping,
    MutableMapping, types.UnionType,
)  # fmt: skip


def check_options(cls: type) -> None:
    """Refuse a class with an option whose type no configuration can hold.

    Args:
        cls: an attrs class of a plugin.

    Raises:
        PluginFault: there is one; the text says what to write.
    """
    _check(cls, f"has a class {cls.__name__} whose option ", frozenset())


def _check(cls: Any, begin: str, seen: frozenset[Any]) -> None:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise PluginFault(
            f"has a class {cls.__name__} whose annotations cannot be read ({describe(error)}); "
            "import every name in them, not for type checkers only"
        ) from error
    for field in attrs.fields(cls):
        kind = hints.get(field.name, field.type)
        if not field.init or kind is None:
            continue
        for part in _parts(kind):
            if attrs.has(part) and not issubclass(part, Secret):
                if part not in seen:
                    _check(part, f"{begin}{field.name}.", seen | {cls, part})
            elif not _is_fit(part):
                raise PluginFault(
                    f"{begin}{field.name} has the type {_spelled(kind)}, which the configuration "
                    f"cannot hold; {REMEDY}"
                )


def _parts(kind: Any) -> Iterable[Any]:
    """Yield the types of which a type consists, down to those that nest no others."""
    if kind in (Seconds, Bytes):
        return
    if get_origin(kind) is Annotated or hasattr(kind, "__supertype__"):
        kind = getattr(kind, "__origin__", None) or kind.__supertype__
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal or isinstance(kind, TypeVar) or kind in _NESTING:
        return
    if origin is Union or origin in _NESTING:
        for argument in arguments:
            if argument is not Ellipsis:
                yield from _parts(argument)
        return
    yield origin if attrs.has(origin or kind) and origin is not None else kind


def _is_fit(kind: Any) -> bool:
    """Return whether the configuration has a parser for a type that nests no others."""
    if kind in _PLAIN or (isinstance(kind, type) and issubclass(kind, Secret | enum.Enum)):
        return True
    if isinstance(kind, type) and issubclass(kind, bytes | bytearray | memoryview):
        return False
    try:
        make_converter().structure(object(), kind)
    except StructureHandlerNotFoundError:
        return False
    except BaseException:  # noqa: BLE001 - there is a parser, which refuses the value
        return True
    return True


def _spelled(kind: Any) -> str:
    if isinstance(kind, type) and get_origin(kind) is None:
        return kind.__name__
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+", "", str(kind))
