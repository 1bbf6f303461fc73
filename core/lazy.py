"""Lazy imports: a package imports one of its modules when one of its names is first used.

Every import from ``tocsin`` imports the package ``tocsin`` first. Without lazy imports, commands
that only query a running tocsin would wait for the import of the whole public API.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(
    package: str, names: Mapping[str, str], ended: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return a function for use as a package's ``__getattr__``.

    Args:
        package: name of the package.
        names: for each module of the package the names that it provides, separated by spaces. A
            name that differs in the package is written ``its=ours``.
        ended: names that earlier versions had, with what to use instead.
    """
    places: dict[str, tuple[str, str]] = {}
    for module, its in names.items():
        for name in its.split():
            theirs, _, ours = name.partition("=")
            places[ours or theirs] = (f"{package}.{module}", theirs)

    def get(name: str) -> Any:
        if ended is not None and name in ended:
            raise ImportError(f"{package}.{name} has ended: {ended[name]}")
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, theirs = places[name]
        value = getattr(import_module(module), theirs)
        setattr(sys.modules[package], name, value)
        return value

    return get
