"""What the standard validators of attrs demand, as keywords of JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs
import msgspec

_COMPARISONS = {
    "<": "exclusiveMaximum", "<=": "maximum", ">=": "minimum", ">": "exclusiveMinimum",
}  # fmt: skip
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}
_PLAIN = re.compile(r"[\w .,:;/@%&=<>!#~'\"|()\[\]{}*+?^$-]*", re.ASCII)
"""Regular expressions that mean the same in Python and in JSON Schema, but for groups with (?."""


_INFO = (msgspec.inspect.Type, msgspec.inspect.Field)


def bounded(schema: Mapping[str, Any], validator: object) -> dict[str, Any]:
    """Return a schema with what a validator demands, as far as JSON Schema can express it.

    Args:
        schema: the schema of the field's type. Of alternatives, each gets what applies to its type.
        validator: the field's validator; None if it has none.
    """
    found = dict(schema)
    for name, demand in _demands(validator):
        if isinstance(found.get("anyOf"), list):
            found["anyOf"] = [bounded(each, validator) for each in found["anyOf"]]
            return found
        found |= _keyword(found, name, demand)
    return found


def bound_fields(schema: dict[str, Any], cls: type[attrs.AttrsInstance]) -> None:
    """Add to the schema of an attrs class what the validators of its fields demand."""
    properties = schema.get("properties", {})
    for field in attrs.fields(cls):
        if field.name in properties:
            properties[field.name] = bounded(properties[field.name], field.validator)


def classes_in(types: Sequence[Any]) -> list[type[attrs.AttrsInstance]]:
    """Return the attrs classes in types, each once."""
    found: dict[type[attrs.AttrsInstance], None] = {}
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[int] = set()
    while waiting:
        info = waiting.pop()
        if isinstance(info, tuple | list):
            waiting.extend(info)
        elif (
            isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen
        ):
            seen.add(id(info))
            if isinstance(info, msgspec.inspect.DataclassType) and attrs.has(info.cls):
                found[info.cls] = None
            waiting.extend(getattr(info, name) for name in info.__struct_fields__)
    return list(found)


def _demands(validator: object) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a validator: the name of its class, and what it demands."""
    name = type(validator).__name__
    for inner in getattr(validator, "_validators", ()) if name == "_AndValidator" else ():
        yield from _demands(inner)
    if name == "_OptionalValidator":
        yield from _demands(getattr(validator, "validator", None))
    elif name == "_NumberValidator":
        operator = getattr(validator, "compare_op", "")
        yield _COMPARISONS.get(operator, ""), getattr(validator, "bound", None)
    elif name == "_MaxLengthValidator":
        yield "max", getattr(validator, "max_length", None)
    elif name == "_MinLengthValidator":
        yield "min", getattr(validator, "min_length", None)
    elif name == "_InValidator":
        yield "enum", getattr(validator, "options", None)
    elif name == "_MatchesReValidator":
        yield "pattern", validator


def _keyword(schema: Mapping[str, Any], name: str, demand: Any) -> dict[str, Any]:
    """Return the keyword for one demand; none if it does not apply to the type, or JSON Schema
    cannot express it."""
    kind = schema.get("type")
    if name in _COMPARISONS.values():
        number = isinstance(demand, int | float) and not isinstance(demand, bool)
        return {name: demand} if number and kind in ("integer", "number") else {}
    if name in ("max", "min"):
        return {name + _LENGTHS[kind]: demand} if kind in _LENGTHS else {}
    if kind != "string":
        return {}
    if name == "enum":
        try:
            options = [each.value if isinstance(each, Enum) else each for each in demand]
        except TypeError:
            return {}
        return {"enum": sorted(options)} if all(type(each) is str for each in options) else {}
    pattern = getattr(getattr(demand, "pattern", None), "pattern", None)
    flags = getattr(getattr(demand, "pattern", None), "flags", 0)
    whole = getattr(getattr(demand, "match_func", None), "__name__", "") == "fullmatch"
    plain = isinstance(pattern, str) and _PLAIN.fullmatch(pattern) and "(?" not in pattern
    return {"pattern": f"^({pattern})$"} if plain and whole and flags == re.UNICODE else {}
