"""What a plugin offers, as data: its classes with their options, its routes and its commands."""

from __future__ import annotations

import enum
import types
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec
from attrs import NOTHING, Factory, frozen

from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.panel import Panel
from tocsin.core.units import Bytes, Seconds

DEEPEST = 12
"""Maximum number of types inside each other that are described; what is deeper may be anything."""

_PLAIN: dict[str, Any] = {
    "text": str, "secret": Secret, "whole": int, "number": float, "truth": bool, "none": type(None),
    "path": Path, "seconds": Seconds, "bytes": Bytes, "any": Any,
}  # fmt: skip

_LISTS: dict[str, Any] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "sequence": Sequence,
    "collection": Collection,
}  # fmt: skip

_TABLES: dict[str, Any] = {"dict": dict, "mapping": Mapping, "mutable": MutableMapping}


@frozen(kw_only=True)
class FieldOffer:
    """One option of a class.

    Attributes:
        name: name of the option.
        type: its type; see :func:`describe_type`.
        required: whether it has no default.
        default: its default, as a file would write it.
    """

    name: str
    type: Any
    required: bool
    default: Any = None


@frozen(kw_only=True)
class RouteOffer:
    """One route; see :class:`~tocsin.core.contracts.route.Route`."""

    method: str
    path: str
    role: str | None
    media: str
    wants_system: bool
    streams: bool
    takes_query: bool
    takes_body: bool
    takes_view: bool
    summary: str


@frozen(kw_only=True)
class Offer:
    """One thing that a plugin provides.

    Attributes:
        kind, name: see :class:`~tocsin.core.plugin.provided.Provided`.
        contract: name of the base class of a class.
        title: name of a class.
        summary: docstring of a class, help of a command, summary of a route.
        options: the options of a class.
        facts: the class variables of a class that its contract declares.
        route: the route.
        panel: the panel.
    """

    kind: str
    name: str
    contract: str = ""
    title: str = ""
    summary: str = ""
    options: tuple[FieldOffer, ...] = ()
    facts: Mapping[str, Any] = Factory(dict)
    route: RouteOffer | None = None
    panel: Panel | None = None


@frozen(kw_only=True)
class PluginOffer:
    """What one plugin offers.

    Attributes:
        name: name of its entry point.
        fault: why it could not be loaded, as a clause; None: it was.
        api: version of the plugin API that it was written for.
        remarks: clauses about what it uses and will end.
        offers: what it provides.
        document: paths and components of its routes in the OpenAPI document.
    """

    name: str
    fault: str | None = None
    api: int | None = None
    remarks: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    document: tuple[dict[str, Any], dict[str, Any]] | None = None


def fields_of(cls: Any) -> tuple[FieldOffer, ...]:
    """Return the options of an attrs class. Runs code of the plugin (factories of defaults)."""
    return _fields(cls, DEEPEST)


def _fields(cls: Any, deeper: int) -> tuple[FieldOffer, ...]:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - third-party annotations may contain anything
        hints = {}
    return tuple(
        FieldOffer(
            name=field.name,
            type=describe_type(hints.get(field.name, field.type), deeper),
            required=field.default is NOTHING,
            default=_default(field.default),
        )
        for field in attrs.fields(cls)
        if field.init
    )


def _default(default: Any) -> Any:
    if default is NOTHING:
        return None
    if isinstance(default, Factory):  # type: ignore[arg-type]
        default = None if default.takes_self else default.factory()
    return plain(default, hide=True)


def plain(value: Any, *, hide: bool = False) -> Any:
    """Return a value of an option as a file would write it.

    Args:
        value: the value.
        hide: whether asterisks stand for a secret, as in what is kept on disk.
    """
    if isinstance(value, Secret):
        return str(value) if hide else value.reveal()
    if isinstance(value, enum.Enum):
        return plain(value.value, hide=hide)
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, hide=hide) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item, hide=hide) for key, item in value.items()}
    if attrs.has(type(value)):
        return {
            field.name: plain(getattr(value, field.name), hide=hide)
            for field in attrs.fields(type(value))
            if field.init
        }
    return str(value)


def describe_type(kind: Any, deeper: int = DEEPEST) -> Any:
    """Return a type as data, for :func:`restore_type`; what is not known becomes ``any``."""
    for word, known in _PLAIN.items():
        if kind == known:
            return word
    if isinstance(kind, type) and issubclass(kind, Secret):
        return "secret"
    if get_origin(kind) is Annotated or hasattr(kind, "__supertype__"):
        return describe_type(getattr(kind, "__origin__", None) or kind.__supertype__, deeper)
    inner = [describe_type(k, deeper - 1) for k in get_args(kind) if k is not Ellipsis]
    origin = get_origin(kind) or kind
    if deeper <= 0:
        return "any"
    if origin in (Union, types.UnionType):
        return {"union": inner}
    if origin is Literal:
        return {"literal": [plain(value) for value in get_args(kind)]}
    for word, known in _LISTS.items():
        if origin is known:
            fixed = known is tuple and bool(inner) and Ellipsis not in get_args(kind)
            return {word: inner, "fixed": fixed}
    for word, known in _TABLES.items():
        if origin is known:
            return {word: inner}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": kind.__name__, "values": {m.name: plain(m.value) for m in kind}}
    if isinstance(kind, type) and attrs.has(kind):
        fields = msgspec.to_builtins(_fields(kind, deeper - 1))
        return {"table": kind.__name__, "fields": fields}
    return "any"


def restore_type(given: Any) -> Any:
    """Return the type that was described, with classes like those of the plugin."""
    if isinstance(given, str):
        return _PLAIN.get(given, Any)
    if "union" in given:
        return Union[tuple(map(restore_type, given["union"]))]  # noqa: UP007 - of any number
    if "literal" in given:
        return Literal[tuple(given["literal"])]
    if "enum" in given:
        return enum.Enum(given["enum"], given["values"])
    if "table" in given:
        offered = msgspec.convert(given["fields"], tuple[FieldOffer, ...])
        return attrs.make_class(
            given["table"], attributes_of(offered), frozen=True, kw_only=True, slots=True
        )
    for word, known in _TABLES.items():
        if word in given:
            inner = tuple(map(restore_type, given[word]))
            return known[inner] if inner else known
    word = next(word for word in _LISTS if word in given)
    inner = tuple(map(restore_type, given[word]))
    if not inner:
        return _LISTS[word]
    if _LISTS[word] is tuple and not given["fixed"]:
        inner = (*inner, ...)
    return _LISTS[word][inner]


def attributes_of(offered: Collection[FieldOffer]) -> dict[str, Any]:
    """Return attrs attributes for options, for ``attrs.make_class``."""
    return {each.name: _attribute(each) for each in offered}


def _attribute(offer: FieldOffer) -> Any:
    kind = restore_type(offer.type)
    if offer.required:
        return attrs.field(type=kind)
    return attrs.field(type=kind, default=_restored(offer.default, kind))


def _restored(value: Any, kind: Any) -> Any:
    """Return a default as its type, where it fits; else as a file would write it."""
    if isinstance(value, list | dict):
        return Factory(lambda: _as_type(value, kind))
    return _as_type(value, kind)


def _as_type(value: Any, kind: Any) -> Any:
    from tocsin.core.config.structure import make_converter  # it knows all types of options

    try:
        return make_converter().structure(value, kind)
    except Exception:  # noqa: BLE001 - only the host knows what it means
        return value


def class_variables(base: type) -> dict[str, Any]:
    """Return the class variables that a contract declares, with their types."""
    hints = get_type_hints(base, include_extras=True)
    return {
        name: (get_args(kind) or (Any,))[0]
        for name, kind in hints.items()
        if get_origin(kind) is ClassVar and not name.startswith("_")
    }
