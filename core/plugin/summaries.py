"""The plugin's own words about what it provides: one line each."""

from __future__ import annotations

import inspect
from typing import Any

_CONTRACTS = "tocsin.core."
"""Where the base classes are, whose docstrings are not about a plugin."""


def docstring_of(thing: Any) -> str:
    """Return the docstring of a class, method or function of a plugin; "" if it has none of its
    own: one that it inherits from a contract is not about it."""
    if not isinstance(thing, type):
        return (inspect.getdoc(thing) or "").strip()
    for base in thing.__mro__:
        if base is object or base.__module__.startswith(_CONTRACTS):
            break
        if isinstance(own := base.__dict__.get("__doc__"), str):
            return inspect.cleandoc(own).strip()
    return ""


def first_line(text: str | None) -> str:
    """Return the first line of a docstring or help text."""
    return (text or "").strip().partition("\n")[0].rstrip()


def summary_of(cls: type) -> str:
    """Return the first line of a class's own docstring."""
    return first_line(docstring_of(cls))
