"""JSON schemas of the types of routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import attrs
import msgspec

from tocsin.core.contracts.bounds import bound_fields, classes_in
from tocsin.core.contracts.route import Route

REFERENCE = "#/components/schemas/{name}"


def types_of(route: Route) -> list[Any]:
    """Return the types that a route's description needs: those of its query parameters, then that
    of its body, then that of its answer if it is encoded as JSON."""
    types: list[Any] = []
    if route.query is not None:
        hints = get_type_hints(route.query, include_extras=True)
        types += [hints[item.name] for item in attrs.fields(route.query)]
    if route.body is not None:
        types.append(route.body)
    if route.is_json:
        types.append(route.answer)
    return types


def schemas_of(
    types: Sequence[Any], reference: str = REFERENCE
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Return the JSON schemas of types, and the components that they refer to, by name. Those
    of attrs classes have what the standard validators of their fields demand.

    Args:
        types: the types.
        reference: template of the references.

    Raises:
        TypeError: a type cannot be expressed in JSON.
    """
    classes = classes_in(types)
    found, components = msgspec.json.schema_components(
        (*types, *classes), ref_template=reference, schema_hook=_hook
    )
    beginning, _, end = reference.partition("{name}")
    for cls, schema in zip(classes, found[len(types) :], strict=True):
        name = schema["$ref"].removeprefix(beginning).removesuffix(end)
        bound_fields(components[name], cls)
    return found[: len(types)], components


def _hook(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError
