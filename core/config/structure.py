"""From TOML tables to attrs classes with cattrs: strict, and every error told with its path."""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Union, get_args, get_origin

from attrs import fields, has
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from tocsin.core.config.environment import Interpolated
from tocsin.core.config.errors import Path, Problems
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts import Secret
from tocsin.core.units import Bytes, Seconds, parse_duration, parse_size


def show(value: object) -> str:
    """A value as it stands in TOML, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any, _: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"expected text in quotes, got {show(value)}")


def _secret(value: Any, _: Any) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("expected text in quotes")  # what it was stays untold


def _whole(value: Any, _: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Interpolated):
        try:
            return int(value)
        except ValueError:
            pass
    raise ValueError(f"expected a whole number, got {show(value)}")


def _number(value: Any, _: Any) -> float:
    if _is_number(value):
        return float(value)
    if isinstance(value, Interpolated):
        try:
            return float(value)
        except ValueError:
            pass
    raise ValueError(f"expected a number, got {show(value)}")


def _truth(value: Any, _: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Interpolated) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"expected true or false, got {show(value)}")


def _choice(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if member.value == value:
            return member
    allowed = ", ".join(repr(member.value) for member in kind)
    raise ValueError(f"expected one of {allowed}, got {show(value)}")


def make_converter() -> Converter:
    """A converter that coerces nothing and reports every error."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(FilePath, lambda v, _: FilePath(_text(v, str)).expanduser())
    converter.register_structure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, enum.Enum), _choice
    )

    def sequence(value: Any, kind: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a list, got {show(value)}")
        inner = [a for a in get_args(kind) if a is not Ellipsis] or [Any]
        items, errors = [], []
        for index, item in enumerate(value):
            try:
                items.append(converter.structure(item, inner[0]))
            except Exception as error:  # noqa: BLE001 - reported with its index
                error.add_note(IterableValidationNote(f"[{index}]", index, inner[0]))
                errors.append(error)
        if errors:
            raise IterableValidationError("in a list", errors, kind)
        return (get_origin(kind) or kind)(items)

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
        for member in sorted(members, key=lambda m: not _fits(value, m)):
            try:
                return converter.structure(value, member)
            except Exception as error:  # noqa: BLE001 - the next member may fit
                last = error
        if len(members) == 1:
            raise last
        raise ValueError(f"expected {' or '.join(map(_name, members))}, got {show(value)}")

    converter.register_structure_hook_func(
        lambda kind: (
            get_origin(kind) in (list, tuple, frozenset, set)
            or kind in (list, tuple, set, frozenset)
        ),
        sequence,
    )
    converter.register_structure_hook_func(lambda kind: _plain(kind) in (dict, Mapping), mapping)
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


def _plain(kind: Any) -> Any:
    """``list`` for ``list[int]``; a type without arguments stays as it is."""
    return get_origin(kind) or kind


def _fits(value: object, kind: Any) -> bool:
    """Whether a union member is of the value's own type, and so to be tried first."""
    plain = get_origin(kind) or kind
    if plain is float:
        return isinstance(value, float)
    if plain is tuple:
        plain = list
    return isinstance(plain, type) and type(value) is plain


def _name(kind: Any) -> str:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true/false"}
    if kind in words:
        return words[kind]
    if kind == Seconds:
        return "a duration"
    if kind == Bytes:
        return "a size"
    origin = get_origin(kind) or kind
    return "a list" if origin in (list, tuple) else "a table"


_converter = make_converter()


def build(cls: Any, table: Mapping[str, Any], path: Path, problems: Problems) -> Any:
    """An instance of an attrs class out of a table; None where that failed, with the reasons noted.

    Code of a stranger runs here (validators, ``__attrs_post_init__``): whatever it raises,
    ``SystemExit`` included, is a problem and not an end.
    """
    if not isinstance(table, Mapping):
        problems.add(path, f"expected a table, got {show(table)}")
        return None
    try:
        return _converter.structure(table, cls)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        _explain(error, cls, path, problems)
        return None


def _explain(error: BaseException, cls: Any, path: Path, problems: Problems) -> None:
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            notes = getattr(inner, "__notes__", [])
            place, kind = path, cls
            for note in notes:
                if isinstance(note, AttributeValidationNote):
                    place, kind = (*path, note.name), note.type
                elif isinstance(note, IterableValidationNote):
                    step = note.index if isinstance(note.index, str) else f"[{note.index}]"
                    place, kind = (*path, step), note.type
            _explain(inner, kind, place, problems)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in fields(error.cl) if field.init]
        for name in sorted(error.extra_fields):
            problems.add((*path, name), f"there is no such option; {did_you_mean(name, known)}")
    elif isinstance(error, KeyError) and error.args and has(cls):
        problems.add((*path, str(error.args[0])), "must be given")
    elif isinstance(error, KeyError) and error.args:
        problems.add(path, "must be given")
    else:
        text = str(error.args[0]) if error.args else ""
        if not isinstance(error, ValueError | TypeError):
            text = f"{type(error).__name__} {text}".strip()
        problems.add(path, text or type(error).__name__)
