"""Checks of the routes that a plugin declares, and the paths under which they are served."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import evolve

from tocsin.core.contracts.route import CORE_ROOTS, PREFIX, Route
from tocsin.core.contracts.route_schema import schemas_of, types_of
from tocsin.core.plugin.faults import PluginFault


def placed(plugin: str, routes: Sequence[Route], owners: Mapping[str, str]) -> list[Route]:
    """Return a plugin's routes with the paths under which they are served.

    Reading the types of a route may run the plugin's code, so call this only where errors are
    contained.

    Args:
        plugin: name of the plugin.
        routes: its routes, as declared.
        owners: the plugins that own a top-level path, by its first segment.

    Raises:
        PluginFault: a route cannot be served.
    """
    if routes and not re.fullmatch(r"(?!\.+$)[\w.-]+", plugin, re.ASCII):
        raise PluginFault(f"has routes, so its name {plugin!r} must consist of [A-Za-z0-9_.-]")
    names = [re.sub(r"{\w+}", "{}", route.name) for route in routes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PluginFault(f"has two routes {twice[0]}")
    for route in routes:
        _check(route, owners)
    return [
        route
        if route.path.startswith("/")
        else evolve(route, path=f"{PREFIX}/{plugin}/{route.path}")
        for route in routes
    ]


def root_of(path: str) -> str:
    """Return the first segment of a top-level path; "" for a relative one."""
    return path.split("/")[1] if path.startswith("/") else ""


def _check(route: Route, owners: Mapping[str, str]) -> None:
    if route.role is None:
        raise PluginFault(f"has the route {route.name} without a role")
    root = root_of(route.path)
    if root.startswith("{"):
        raise PluginFault(
            f"has the route {route.name}, whose top-level path begins with a variable"
        )
    owner = "tocsin itself" if root in CORE_ROOTS else owners.get(root)
    if root and owner:
        raise PluginFault(f"has the route {route.name}, but /{root} belongs to {owner}")
    try:
        schemas_of(types_of(route))
    except Exception as error:
        raise PluginFault(
            f"has the route {route.name} with a type that JSON cannot express: "
            f"{str(error).splitlines()[-1] if str(error) else type(error).__name__}"
        ) from error
