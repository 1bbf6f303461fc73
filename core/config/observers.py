"""The sections ``[observers.NAME]``: options of observers, which are notified of alert changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import NOTHING, fields, frozen

from tocsin.core.config.checks import enabled
from tocsin.core.config.errors import Catalog, CatalogEntry, Path, Problems
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ObserverSettings
from tocsin.core.config.structure import construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.observer import Observer


@frozen(kw_only=True)
class Part:
    """An observer or reviewer. ``instance`` is None if it cannot be used, ``broken`` then says why;
    ``options`` are as written."""

    instance: Any
    broken: str | None
    options: Mapping[str, Any]


def make_part(entry: CatalogEntry, table: object, path: Path, problems: Problems) -> Part | None:
    """Build a part that a plugin provides.

    Args:
        entry: its class.
        table: gives it its options, or disables it with ``enabled = false``; None: there is none.
        path: where the table is in the file.
        problems: collects the errors.

    Returns:
        The part; None if it is disabled or wrong, or needs an option and has no table.
    """
    if table is None and _needs_options(entry.cls):
        return None
    if not isinstance(table, Mapping | None):
        problems.add(path, f"expected a table of options, got {show(table)}")
        return None
    options = dict(table or {})
    if not enabled(options, path, problems):
        return None
    instance, broken = construct(entry.cls, options, path, problems, asked_for=table is not None)
    return Part(instance=instance, broken=broken, options=options)


def make_observers(
    tables: Mapping[str, Any], catalog: Catalog, problems: Problems
) -> dict[str, ObserverSettings]:
    """Build every observer that a plugin provides; ``tables``: their options, by name."""
    made: dict[str, ObserverSettings] = {}
    for name in tables.keys() - catalog.observers.keys():
        path = ("observers", name)
        if reason := catalog.missing(name):
            made[name] = ObserverSettings(
                name=name, plugin=None, observer=None, broken=reason, options={}
            )
        else:
            hint = did_you_mean(name, catalog.observers)
            problems.add(path, f"no plugin provides an observer called {name!r}; {hint}")
    for name, entry in catalog.observers.items():
        part = make_part(entry, tables.get(name), ("observers", name), problems)
        if part is not None and (part.broken is not None or isinstance(part.instance, Observer)):
            made[name] = ObserverSettings(
                name=name, plugin=entry.plugin, observer=part.instance, broken=part.broken,
                options=part.options,
            )  # fmt: skip
    return made


def _needs_options(cls: Any) -> bool:
    return any(field.init and field.default is NOTHING for field in fields(cls))
