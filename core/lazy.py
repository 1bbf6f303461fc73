"""Packages that import a module of theirs when one of its names is first asked for.

Whatever is imported from ``tocsin`` imports the package ``tocsin`` first: commands that only ask a
running tocsin would wait for all of the public API.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package takes as its ``__getattr__``: by ``names``, a module of the package has these
    names, separated by spaces; one that is to have another name here is written ``its=ours``."""
    places: dict[str, tuple[str, str]] = {}
    for module, its in names.items():
        for name in its.split():
            theirs, _, ours = name.partition("=")
            places[ours or theirs] = (f"{package}.{module}", theirs)

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, theirs = places[name]
        value = getattr(import_module(module), theirs)
        setattr(sys.modules[package], name, value)
        return value

    return get
