"""Options that environment variables give, as the classes of plugins declare them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields

from tocsin.core.config.environment import Environment, Interpolated
from tocsin.core.config.errors import CatalogEntry, Path, Problems
from tocsin.core.config.redact import secrets_in
from tocsin.core.config.scalars import show
from tocsin.core.contracts.base import Secret, Variable

_LISTS = (list, tuple, set, frozenset)


def required_variables(cls: Any) -> dict[str, str]:
    """Return the variables that define a channel of a notifier's own name, by option.

    Returns:
        The names of the variables of the required options; nothing if there is no such option, or
            one that no variable gives.
    """
    required = {field.name for field in fields(cls) if field.init and field.default is NOTHING}
    found = {
        option: variable.name for option, variable in cls.environment.items() if option in required
    }
    return found if len(found) == len(required) else {}


def defined_channels(notifiers: Mapping[str, CatalogEntry]) -> dict[str, tuple[str, ...]]:
    """Return the notifiers of which variables alone define a channel, with these variables.

    Those that take less severe alerts come first: a message that cannot be delivered goes to the
    first other channel.
    """
    found = {name: required_variables(entry.cls) for name, entry in notifiers.items()}
    names = sorted(found, key=lambda name: notifiers[name].cls.min_severity.rank)
    return {name: tuple(found[name].values()) for name in names if found[name]}


def given_options(
    cls: Any, said: Mapping[str, Any], path: Path, env: Environment, problems: Problems
) -> dict[str, Any]:
    """Return the options that the environment gives, as a file would write them.

    Args:
        cls: the class of the plugin.
        said: the options that the file sets.
        path: where the options are in the file.
        env: the environment.
        problems: collects the errors; those in these options name the variable from now on.
    """
    variables: Mapping[str, Variable] = cls.environment
    kinds = _types_of(cls) if variables else {}
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for option, variable in variables.items():
        name, text = variable.name, env.get(variable.name)
        if text is None and variable.default is not None and option not in said:
            name, text = variable.default, env.get(variable.default)
        if text is None:
            continue
        names[option] = name
        try:
            found[option] = _value(text, kinds.get(option))
        except ValueError as error:
            problems.environment(name, str(error))
            problems.leave_out(path, (option,))
    env.secrets.update(secrets_in(found))
    different = {option for option in found.keys() & said.keys() if found[option] != said[option]}
    given = {
        option: value
        for option, value in found.items()
        if (option not in said or variables[option].overrides)
        and variables[option].only_with not in different
    }
    problems.variables |= {(*path, option): names[option] for option in given}
    return given


def _types_of(cls: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except Exception:  # noqa: BLE001 - third-party annotations may contain anything
        return {field.name: field.type for field in fields(cls)}


def _value(text: str, kind: Any) -> Any:
    """Return a variable's text as a file would write a value of a type.

    Raises:
        ValueError: the text is no list of numbers, although the type is one.
    """
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if Secret in members:
        return Secret(text)
    if str in members:
        return text
    for member in members:
        if (get_origin(member) or member) in _LISTS:
            parts = [part.strip() for part in text.split(",") if part.strip()]
            inner = (get_args(member) or (str,))[0]
            if inner not in (int, float):
                return [_value(part, inner) for part in parts]
            try:
                return [inner(part) for part in parts]
            except ValueError as error:
                wrong = f"expected numbers separated by commas, got {show(text)}"
                raise ValueError(wrong) from error
    return Interpolated(text)  # which may stand for a number or a truth value
