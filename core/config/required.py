"""What runs without configuration does not run while it lacks a required option: that is no error,
and ``/health`` says which option it needs."""

from __future__ import annotations

from typing import Any

from attrs import NOTHING, fields

from tocsin.core.config.errors import Path, dotted


def required_options(cls: Any) -> tuple[str, ...]:
    """Return the names of the options of a plugin's class that have no default."""
    return tuple(field.name for field in fields(cls) if field.init and field.default is NOTHING)


def why_idle(cls: Any, path: Path) -> str | None:
    """Return what a part needs to run, as a sentence; None if its defaults suffice.

    Args:
        cls: its class.
        path: where its table would be in the file.
    """
    names = required_options(cls)
    if not names:
        return None
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"[{dotted(path)}] {listed} must be given"
