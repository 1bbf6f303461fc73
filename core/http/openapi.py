"""The OpenAPI 3.1 document, generated from the types and docstrings of the handlers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any

import attrs
import msgspec

from tocsin.core.contracts.bounds import bounded
from tocsin.core.contracts.route import JSON, Route, Routes
from tocsin.core.contracts.route_schema import REFERENCE, schemas_of, types_of
from tocsin.core.encoding import encode
from tocsin.core.http.problems import ProblemDocument
from tocsin.core.http.routing import Call

routes = Routes()
NO_NUL = r"^[^\u0000]*$"
"""Pattern of strings without NUL, which databases cannot store."""


def document(
    core: Sequence[Route],
    plugins: Sequence[tuple[str, Route]],
    version: str,
    remote: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        core: the core's own routes.
        plugins: the routes of plugins, each with the name of its plugin; those of one plugin
            follow each other.
        version: tocsin's version.
        remote: by plugin, what :func:`described` returned where the plugin runs.
    """
    paths, components = described(core, None)
    for plugin, own in groupby(plugins, key=lambda item: item[0]):
        known = (remote or {}).get(plugin)
        more, types = known or described([route for _, route in own], plugin)
        paths |= more
        # Names of types are prefixed with that of the plugin, so that none replaces another.
        components |= {f"{plugin}.{name}": schema for name, schema in types.items()}
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


def described(
    routes: Sequence[Route], plugin: str | None
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the paths and the component schemas of the routes of the core or of a plugin."""
    types = [kind for route in routes for kind in types_of(route)]
    if plugin is None:
        types.append(ProblemDocument)
    prefix = "" if plugin is None else f"{plugin}."
    found, components = schemas_of(types, REFERENCE.format(name=f"{prefix}{{name}}"))
    schemas = iter(found)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas, plugin)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
        if route.body is not None:
            # Bodies with unknown fields are rejected, see convert_body.
            reference = operation["requestBody"]["content"][JSON]["schema"]["$ref"]
            name = reference.rpartition("/")[2].removeprefix(prefix)
            components[name]["additionalProperties"] = False
            if plugin is not None and components[name].get("required"):
                operation["requestBody"]["required"] = True
    for schema in components.values():
        if "description" in schema:
            # What the fields mean, after it, is for readers of the code.
            text = inspect.cleandoc(schema["description"]).partition("\n\nAttributes:")[0]
            schema["description"] = text
    return paths, components


def _operation(
    route: Route, schemas: Iterator[dict[str, Any]], plugin: str | None
) -> dict[str, Any]:
    """Describe one operation. ``schemas`` has those of its types next, in the order of types_of."""
    name, tag = route.handler.__name__, route.handler.__module__.rpartition(".")[2]
    if plugin is not None:
        name, tag = route.path.removeprefix("/api/v1/plugins/"), plugin
    name = re.sub(r"\W", "_", f"{route.method.lower()}_{name}", flags=re.ASCII)
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": route.summary,
        "description": _description(route),
        "tags": [tag],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "pattern": NO_NUL},
            }
            for name in route.path_names
        ]
        + _query_parameters(route, schemas),
    }
    if route.role is not None:
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": False,
            "content": {JSON: {"schema": next(schemas)}},
        }
    operation["responses"] = _responses(route, schemas, plugin)
    return operation


def _description(route: Route) -> str:
    """Return the rest of the handler's docstring, that of its query, and the role it needs."""
    parts = [
        (inspect.getdoc(route.handler) or "").partition("\n")[2].strip(),
        (inspect.getdoc(route.query) or "") if route.query is not None else "",
        f"Needs a token with role {route.role.value}." if route.role else "Needs no token.",
    ]
    return "\n\n".join(part for part in parts if part)


def _query_parameters(route: Route, schemas: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    parameters = []
    for field in attrs.fields(route.query):
        schema = bounded(_without_null(next(schemas)), field.validator)
        if schema.get("type") == "string" and not {"enum", "format", "pattern"} & schema.keys():
            schema = {**schema, "pattern": NO_NUL}
        required = field.default is attrs.NOTHING
        if not (required or field.default is None or type(field.default) is attrs.Factory):
            schema = {**schema, "default": field.default}
        parameters.append(
            {"name": field.name, "in": "query", "required": required, "schema": schema}
        )
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from a parameter's schema: an optional parameter may be absent, not null."""
    options = [item for item in schema.get("anyOf", []) if item != {"type": "null"}]
    return options[0] if len(options) == 1 else schema


def _responses(
    route: Route, schemas: Iterator[dict[str, Any]], plugin: str | None
) -> dict[str, Any]:
    problem = {
        "content": {
            "application/problem+json": {
                "schema": {"$ref": REFERENCE.format(name="ProblemDocument")}
            }
        }
    }
    unencoded: dict[str, Any] = {} if route.media == JSON else {"type": "string"}
    schema = next(schemas) if route.is_json else unencoded
    good = {"content": {route.media: {"schema": schema}}}
    answers = {"200": {"description": "OK", **good}}
    codes = {400, *route.errors}
    if plugin is not None:
        codes |= {404, 409, 502, 503, 504} if route.streams else {404, 409, 502, 504}
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
async def openapi(call: Call) -> msgspec.Raw:
    """Return this OpenAPI document."""
    # imported late: the server collects this module's routes, too
    from tocsin.core.http.server import ROUTES

    plugins = call.monitor.plugins
    found = document(ROUTES, plugins.routes, call.monitor.version, plugins.route_documents)
    return msgspec.Raw(encode(found))
