"""Builds attrs classes from TOML tables with cattrs, strictly, with a path for every error."""

from __future__ import annotations

import enum
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Literal, Union, get_args, get_origin

from attrs import has
from cattrs import (
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from tocsin.core.config.errors import Path, Problems
from tocsin.core.config.explain import explain, name_field, own_fault
from tocsin.core.config.scalars import choose, literal, number, secret, show, text, truth, whole
from tocsin.core.contracts.base import Secret
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe, is_ours
from tocsin.core.shapes import check_instance
from tocsin.core.units import Bytes, Seconds, parse_duration, parse_size

_LISTS: dict[Any, Any] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset,
    Sequence: tuple, Iterable: tuple, Collection: tuple, AbstractSet: frozenset,
}  # fmt: skip
"""Types that take a list, and the type of the result."""

_PLAIN: dict[Any, Callable[..., Any]] = {
    str: text, Secret: secret, int: whole, float: number, bool: truth,
}  # fmt: skip
"""Types that take a single value, and their parsers."""

_TABLES = (dict, Mapping, MutableMapping)

DEADLINE = 20.0
"""Seconds that the constructor of a plugin's class may take."""


class OptionsRefused(ValueError):
    """A plugin in another process refuses options.

    Args:
        entries: the errors: a path within the options, and a sentence.
    """

    def __init__(self, entries: Iterable[tuple[Path, str]]) -> None:
        self.entries = tuple(entries)
        super().__init__("; ".join(text for _, text in self.entries))


class Hosting(ABC):
    """Stands for a class whose plugin runs in another process; the attribute ``tocsin_hosting``
    of the class that the core uses in its place."""

    @abstractmethod
    def bound(self, instance: Any, table: Mapping[str, Any], *, wait: bool) -> Any:
        """Return an instance, with its options checked by the plugin.

        Args:
            instance: an instance of the class that the core uses.
            table: the options, as they were given.
            wait: whether to wait for the plugin; if not, it checks the options when they are first
                used.

        Raises:
            OptionsRefused: the plugin refuses them.
            PluginFault: the plugin is at fault.
        """


def make_converter() -> Converter:
    """Return a converter that coerces nothing and reports every error."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    for plain, hook in _PLAIN.items():
        converter.register_structure_hook(plain, partial(_plainly, hook))
    converter.register_structure_hook(FilePath, lambda v, _: FilePath(text(v)).expanduser())
    converter.register_structure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, enum.Enum), choose
    )

    def sequence(value: Any, kind: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a list, got {show(value)}")
        inner = get_args(kind) or (Any, ...)
        if _plain(kind) is not tuple or inner[-1] is Ellipsis:
            inner = (inner[0],) * len(value)
        elif len(inner) != len(value):
            raise ValueError(f"expected a list of {len(inner)}, got {len(value)}")
        items, errors = [], []
        for index, item in enumerate(value):
            try:
                items.append(converter.structure(item, inner[index]))
            except Exception as error:  # noqa: BLE001 - reported with its index
                error.add_note(IterableValidationNote(f"[{index}]", index, inner[index]))
                errors.append(error)
        if errors:
            raise IterableValidationError("in a list", errors, kind)
        return _LISTS[_plain(kind)](items)

    def mapping(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, got {show(value)}")
        inner = (get_args(kind) or (Any, Any))[1]
        items, errors = {}, []
        for key, item in value.items():
            try:
                items[key] = converter.structure(item, inner)
            except Exception as error:  # noqa: BLE001 - reported with its key
                error.add_note(IterableValidationNote(f"[{key}]", key, inner))
                errors.append(error)
        if errors:
            raise IterableValidationError("in a table", errors, kind)
        return items

    def union(value: Any, kind: Any) -> Any:
        members = [m for m in get_args(kind) if m is not type(None)]
        if value is None and len(members) < len(get_args(kind)):
            return None
        fitting = [m for m in members if _fits(value, m)]
        errors = {}
        for member in (*fitting, *(m for m in members if m not in fitting)):
            try:
                return converter.structure(value, member)
            except Exception as error:  # noqa: BLE001 - the next member may fit
                errors[member] = error
        if telling := (fitting or members)[:1] if len(fitting) == 1 or len(members) == 1 else []:
            raise errors[telling[0]]
        got = "" if Secret in members else f", got {show(value)}"
        raise ValueError(f"expected {' or '.join(map(_name, members))}{got}")

    def table(cls: Any) -> Callable[[Any, Any], Any]:
        structure = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_forbid_extra_keys=True,
            _cattrs_detailed_validation=True,
        )

        def strictly(value: Any, kind: Any) -> Any:
            if not isinstance(value, Mapping):
                raise ValueError(f"expected a table, got {show(value)}")
            try:
                return structure(value, kind)
            except ClassValidationError as error:
                # raised by the class when it was called
                if error.__context__ is error.exceptions[0]:
                    name_field(error.exceptions[0], cls, value, converter)
                raise

        return strictly

    converter.register_structure_hook_factory(has, table)
    converter.register_structure_hook_func(
        lambda kind: _hashable(_plain(kind)) and _plain(kind) in _LISTS, sequence
    )
    converter.register_structure_hook_func(lambda kind: _plain(kind) in _TABLES, mapping)
    converter.register_structure_hook_func(lambda kind: _plain(kind) == Literal, literal)
    converter.register_structure_hook_func(
        lambda kind: _plain(kind) in (Union, types.UnionType), union
    )
    converter.register_structure_hook_func(
        lambda kind: kind == Seconds, lambda value, _: parse_duration(value)
    )
    converter.register_structure_hook_func(
        lambda kind: kind == Bytes, lambda value, _: parse_size(value)
    )
    return converter


def _plainly(hook: Callable[..., Any], value: Any, kind: Any) -> Any:
    """Parse a single value; the hook for str is also called for StrEnum, which needs choose."""
    enumeration = isinstance(kind, type) and issubclass(kind, enum.Enum)
    return choose(value, kind) if enumeration else hook(value, kind)


def _hashable(kind: Any) -> bool:
    return getattr(kind, "__hash__", None) is not None


def _plain(kind: Any) -> Any:
    """Return ``list`` for ``list[int]``; a type without arguments is returned unchanged."""
    return get_origin(kind) or kind


def _fits(value: object, kind: Any) -> bool:
    """Return whether a member of a union is exactly the value's type, and so is tried first."""
    plain = get_origin(kind) or kind
    if plain is float:
        return isinstance(value, float)
    if plain in _LISTS:
        plain = list
    if plain in _TABLES or has(plain):
        plain = dict
    return isinstance(plain, type) and type(value) is plain


def _name(kind: Any) -> str:
    """Return a type's name for error messages."""
    words = {str: "text", int: "a whole number", float: "a number", bool: "true/false"}
    if kind in words:
        return words[kind]
    if kind == Seconds:
        return "a duration"
    if kind == Bytes:
        return "a size"
    if _plain(kind) == Literal:
        return " or ".join(map(show, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(show(member.value) for member in kind)
    if kind in (Secret, FilePath):
        return "text"
    return "a list" if _plain(kind) in _LISTS else "a table"


_CONVERTER = make_converter()
"""A constant: what cattrs keeps of a class that was seen follows from the class alone."""


def build(cls: Any, table: Mapping[str, Any], path: Path, problems: Problems) -> Any:
    """Build an instance of an attrs class; None if that fails, with the errors reported.

    This runs third-party code (validators, ``__attrs_post_init__``). Whatever it raises, even
    ``SystemExit``, is reported as an error.
    """
    if not isinstance(table, Mapping):
        problems.add(path, f"expected a table, got {show(table)}")
        return None
    try:
        return _CONVERTER.structure(table, cls)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        explain(error, path, problems)
        return None


def construct(
    cls: Any, table: Mapping[str, Any], path: Path, problems: Problems, *, asked_for: bool = True
) -> tuple[Any, str | None]:
    """Build an instance of a plugin's class.

    Args:
        cls: the class. A third-party class is built in a thread of its own, with a deadline.
        table: the options.
        path: where the options are in the file.
        problems: collects the errors in the options.
        asked_for: whether a person wrote the table. If not, any error is the plugin's fault.

    Returns:
        The instance, or None; and why there is none, as a clause, if that is the plugin's fault.
    """

    def make() -> Any:
        instance = _CONVERTER.structure(table, cls)
        hosting = getattr(cls, "tocsin_hosting", None)
        if isinstance(hosting, Hosting):
            instance = hosting.bound(instance, table, wait=not problems.is_live)
        check_instance(instance)
        return instance

    try:
        if is_ours(cls):
            return make(), None
        return call_with_deadline(make, DEADLINE, "it was built"), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - third-party code may raise anything
        cause = error.__cause__ if isinstance(error, PluginFault) and error.__cause__ else error
        when = "" if cause is error else "while it was built"
        if (fault := own_fault(cause, when)) is not None:
            return None, fault
        said = problems if asked_for else Problems(problems.file)
        before = len(said.found)
        if isinstance(cause, OptionsRefused):
            for within, text in cause.entries:
                said.add((*path, *within), text)
        else:
            explain(cause, path, said)
        if asked_for:
            return None, None
        return None, "; ".join(p.message for p in said.found[before:]) or describe(cause)
