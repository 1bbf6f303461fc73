"""Translates the exceptions of cattrs and of attrs classes into errors with paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, get_origin

from attrs import NOTHING, Attribute, fields
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn_from_attrs

from tocsin.core.config.errors import Path, Problems
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.plugin.faults import PluginFault, describe
from tocsin.core.plugin.refusals import in_words


def refusals(
    error: Exception, cls: Any, table: Mapping[str, Any], converter: Converter
) -> list[Exception]:
    """Return all errors of the options of an attrs class, each with a note for its field.

    attrs raises the first error of a converter or validator alone, and raises none if an option
    could not be read. Therefore the converter and the validator of each option that could be read
    are called one by one.

    Args:
        error: what the construction raised. Of its parts, those that concern fields stay as they
            are; what the class itself raised is returned if it concerns no single field.
        cls: the class.
        table: the options that the class was called with.
        converter: reads each option.
    """
    reported = list(error.exceptions) if isinstance(error, ClassValidationError) else [error]
    raised = reported[0] if len(reported) == 1 and error.__context__ is reported[0] else None
    found: list[tuple[Exception, str]] = []
    kinds = (ValueError, TypeError) if raised is None else (ValueError, TypeError, type(raised))
    with suppress(Exception):  # runs code of a plugin
        found = _refused(get_origin(cls) or cls, table, converter, kinds)
    if raised is not None and not any(_are_same(each, raised) for each, _ in found):
        return reported
    # An option that was not written is refused because of another one, or is the first.
    further = [
        error
        for number, (error, name) in enumerate(found)
        if name in table or (number == 0 and raised is not None)
    ]
    return further if raised is not None else [*reported, *further]


def _refused(
    cls: Any,
    table: Mapping[str, Any],
    converter: Converter,
    kinds: tuple[type[Exception], ...],
) -> list[tuple[Exception, str]]:
    """Return the errors of these kinds of converters and validators, called one by one on an
    instance that has the options that could be read, in the order in which attrs calls them; each
    with the name of its field."""
    found: list[tuple[Exception, str]] = []
    instance = cls.__new__(cls)
    options: tuple[Attribute[Any], ...] = fields(cls)
    for field in options:
        with suppress(_Unread):
            try:
                value = _read(field, instance, table, converter)
            except Exception as error:
                raise _Unread from error
            try:
                object.__setattr__(instance, field.name, _converted(field, instance, value))
            except kinds as error:
                found.append(_noted(error, field))
    for field in options:
        if field.validator is not None and hasattr(instance, field.name):
            try:
                field.validator(instance, field, getattr(instance, field.name))
            except kinds as error:
                found.append(_noted(error, field))
            except Exception:  # noqa: BLE001, S112 - it needs an option that could not be read
                continue
    return found


class _Unread(Exception):
    """An option that is missing, or whose value cattrs refuses."""


def _read(
    field: Attribute[Any], instance: Any, table: Mapping[str, Any], converter: Converter
) -> Any:
    """Return the value of an option, before its own converter.

    Raises:
        _Unread: there is none.
    """
    if field.init and field.name in table:
        read: Any = make_dict_structure_fn_from_attrs([field], dict, converter)
        (value,) = read({field.name: table[field.name]}).values()
        return value
    default: Any = field.default
    if default is NOTHING:
        raise _Unread
    if not hasattr(default, "takes_self"):
        return default
    return default.factory(*[instance] * default.takes_self)


def _converted(field: Attribute[Any], instance: Any, value: Any) -> Any:
    """Return a value as the option's own converter makes it."""
    convert: Any = field.converter
    if hasattr(convert, "takes_self"):  # attrs.Converter
        more = [instance] * convert.takes_self + [field] * convert.takes_field
        return convert.converter(value, *more)
    return value if convert is None else convert(value)


def _are_same(one: Exception, other: Exception) -> bool:
    return type(one) is type(other) and in_words(one) == in_words(other)


def _noted(error: Exception, field: Attribute[Any]) -> tuple[Exception, str]:
    error.add_note(AttributeValidationNote("", field.name, field.type))
    return error, field.name


def own_fault(error: BaseException, when: str = "") -> str | None:
    """Return what a constructor did wrong that does not concern its options, as a clause.

    None means that all errors concern the options.

    Args:
        error: what the construction of an instance raised.
        when: see :func:`describe`.
    """
    if isinstance(error, ClassValidationError | IterableValidationError):
        faults = (own_fault(inner, when) for inner in error.exceptions)
        return next((fault for fault in faults if fault is not None), None)
    if isinstance(error, ValueError | TypeError | KeyError | ForbiddenExtraKeysError):
        return None
    return describe(error) if isinstance(error, PluginFault) else describe(error, when)


def explain(
    error: BaseException, path: Path, problems: Problems, also: Collection[str] = ()
) -> None:
    """Report everything that an exception contains, each error with its path.

    ``cattrs.transform_error`` cannot be used here: it joins paths to text, where a dot in a key
    looks like a separator.

    Args:
        error: what the construction of an instance raised.
        path: where the options of the instance are in the file.
        problems: collects the errors.
        also: further keys that the table may have.
    """
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            place = path
            for note in getattr(inner, "__notes__", []):
                if isinstance(note, AttributeValidationNote):
                    place = (*path, note.name)
                elif isinstance(note, IterableValidationNote):
                    at = note.index
                    place = (*path, at if isinstance(at, str) else f"[{at}]")
            if isinstance(inner, KeyError) and inner.args == place[-1:] and place != path:
                problems.missing(place, "must be given")
            else:
                explain(inner, place, problems, also if place == path else ())
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [*(field.name for field in fields(error.cl) if field.init), *also]
        for name in sorted(error.extra_fields):
            problems.add((*path, name), f"there is no such option; {did_you_mean(name, known)}")
    else:
        name, message = in_words(error)
        if name and path[-1:] != (name,):
            message = f"{name} {message}"
        if not isinstance(error, ValueError | TypeError):
            message = f"{type(error).__name__} {message}".strip()
        problems.add(path, message or type(error).__name__)
