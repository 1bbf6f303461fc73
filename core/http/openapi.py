"""The OpenAPI 3.1 document, generated from the types and docstrings of the handlers."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import Any, get_type_hints

import attrs
import msgspec

from tocsin.core.http.plugin_routes import routes_of
from tocsin.core.http.problems import ProblemDocument
from tocsin.core.http.routing import Call, Route, Routes

routes = Routes()
_REFERENCE = "#/components/schemas/{name}"


def document(all_routes: list[Route], version: str) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        all_routes: the operations to describe.
        version: tocsin's version.
    """
    kinds: list[Any] = [ProblemDocument]
    for route in all_routes:
        kinds += [k for k in (route.body, route.response) if _has_schema(k)]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in all_routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    for route in all_routes:
        # Bodies with unknown fields are rejected, see convert_body.
        if route.body is not None:
            components[route.body.__name__]["additionalProperties"] = False
    for schema in components.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tocsin",
            "version": version,
            "description": "An alarm bell for container stacks.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _has_schema(kind: Any) -> bool:
    return kind is not None and attrs.has(kind)


def _schema(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    (schema,), found = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    components.update(found)
    return schema


NO_NUL = r"^[^\u0000]*$"
"""Pattern of strings without NUL, which databases cannot store."""


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.handler.__name__}",
        "summary": route.summary,
        "description": _description(route),
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "pattern": NO_NUL},
            }
            for name in route.path_names
        ]
        + _query_parameters(route, components),
        "responses": _responses(route),
    }
    if route.role is not None:
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": False,
            "content": {"application/json": {"schema": _schema(route.body, components)}},
        }
    return operation


def _description(route: Route) -> str:
    """Return the rest of the handler's docstring, that of its query, and the role it needs."""
    parts = [
        (inspect.getdoc(route.handler) or "").partition("\n")[2].strip(),
        (inspect.getdoc(route.query) or "") if route.query is not None else "",
        f"Needs a token with role {route.role.value}." if route.role else "Needs no token.",
    ]
    return "\n\n".join(part for part in parts if part)


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    hints = get_type_hints(route.query, include_extras=True)
    parameters = []
    for field in attrs.fields(route.query):
        schema = _without_null(_schema(hints[field.name], components))
        if schema.get("type") == "string" and not {"enum", "format", "pattern"} & schema.keys():
            schema = {**schema, "pattern": NO_NUL}
        required = field.default is attrs.NOTHING
        if not required and field.default is not None:
            schema = {**schema, "default": field.default}
        parameters.append(
            {"name": field.name, "in": "query", "required": required, "schema": schema}
        )
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from a parameter's schema: an optional parameter may be absent, not null."""
    options = [item for item in schema.get("anyOf", []) if item != {"type": "null"}]
    return options[0] if len(options) == 1 else schema


def _responses(route: Route) -> dict[str, Any]:
    problem = {
        "content": {
            "application/problem+json": {
                "schema": {"$ref": _REFERENCE.format(name="ProblemDocument")}
            }
        }
    }
    if _has_schema(route.response):
        schema = {"$ref": _REFERENCE.format(name=route.response.__name__)}
    else:
        schema = {} if route.media == "application/json" else {"type": "string"}
    good = {"content": {route.media: {"schema": schema}}}
    answers = {"200": {"description": "OK", **good}}
    codes = {400, *route.errors}
    if route.query is not None or route.body is not None:
        codes.add(422)
    if route.body is not None:
        codes.add(413)
    if route.role is not None:
        codes |= {401, 403, 429}
    for code in sorted(codes):
        content = good if route.path == "/health" and code == 503 else problem
        answers[str(code)] = {"description": HTTPStatus(code).phrase, **content}
    return answers


@routes.get("/api/v1/openapi.json")
async def openapi(call: Call) -> dict[str, Any]:
    """Return this OpenAPI document."""
    # imported late: the server collects this module's routes, too
    from tocsin.core.http.server import ROUTES

    every = [*ROUTES, *routes_of(call.monitor.plugins)]
    made: dict[str, Any] = document(every, call.monitor.version)
    return made
