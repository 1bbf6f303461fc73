"""Translates the exceptions of cattrs and of attrs classes into errors with paths."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_origin

from attrs import Attribute, fields
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


def name_field(error: Exception, cls: Any, table: Mapping[str, Any], converter: Converter) -> None:
    """Add a note to an exception of an attrs class that says which field it concerns.

    Nothing is added if it concerns no single field, or if that cannot be found out.

    Args:
        error: what the class raised. It gets cattrs' note for a field.
        cls: the class.
        table: the options that the class was called with.
        converter: reads each option.
    """
    with suppress(Exception):  # runs code of a plugin
        if (field := _refusing(error, get_origin(cls) or cls, table, converter)) is not None:
            error.add_note(AttributeValidationNote("", field.name, field.type))


def _refusing(
    error: Exception, cls: Any, table: Mapping[str, Any], converter: Converter
) -> Attribute[Any] | None:
    """Return the field whose converter or validator raises the error, or None.

    attrs first sets all fields in their order, calling the converters, and then calls the
    validators. A second instance, kept although its construction fails, therefore lacks the field
    whose converter raised. If it lacks none, its validators are called one by one.
    """
    options: tuple[Attribute[Any], ...] = fields(cls)
    values = make_dict_structure_fn_from_attrs(list(options), dict, converter)(table)
    instance = cls.__new__(cls)
    with suppress(Exception):
        instance.__init__(**values)
    for field in options:
        if field.init and not hasattr(instance, field.name):
            return field if field.converter is not None else None
    for field in options:
        if field.validator is not None:
            try:
                field.validator(instance, field, getattr(instance, field.name))
            except type(error):
                return field
    return None


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


def explain(error: BaseException, path: Path, problems: Problems) -> None:
    """Report everything that an exception contains, each error with its path.

    ``cattrs.transform_error`` cannot be used here: it joins paths to text, where a dot in a key
    looks like a separator.

    Args:
        error: what the construction of an instance raised.
        path: where the options of the instance are in the file.
        problems: collects the errors.
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
                explain(inner, place, problems)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in fields(error.cl) if field.init]
        for name in sorted(error.extra_fields):
            problems.add((*path, name), f"there is no such option; {did_you_mean(name, known)}")
    else:
        name, message = in_words(error)
        if name and path[-1:] != (name,):
            message = f"{name} {message}"
        if not isinstance(error, ValueError | TypeError):
            message = f"{type(error).__name__} {message}".strip()
        problems.add(path, message or type(error).__name__)
