"""The sections ``[observers.NAME]``: options of observers, which are notified of alert changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tocsin.core.config.checks import enabled
from tocsin.core.config.construct import construct
from tocsin.core.config.errors import Catalog, CatalogEntry, Path, Problems
from tocsin.core.config.required import why_idle
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ObserverSettings
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.observer import Observer


@frozen(kw_only=True)
class Part:
    """An observer or reviewer. ``instance`` is None if it cannot be used, ``broken`` then says why;
    ``options`` are as written."""

    instance: Any
    broken: str | None
    options: Mapping[str, Any]


def make_part(
    entry: CatalogEntry, table: object, path: Path, problems: Problems, component: str,
    idle: dict[str, str],
) -> Part | None:  # fmt: skip
    """Build a part that a plugin provides.

    Args:
        entry: its class.
        table: gives it its options, or disables it with ``enabled = false``; None: there is none.
        path: where the table is in the file.
        problems: collects the errors.
        component: its name in ``/health``.
        idle: gets it if it needs an option and has no table.

    Returns:
        The part; None if it is disabled, wrong or idle.
    """
    if table is None and (lack := why_idle(entry.cls, path)) is not None:
        idle[component] = lack
        return None
    if not isinstance(table, Mapping | None):
        problems.add(path, f"expected a table of options, got {show(table)}")
        return None
    options = dict(table or {})
    if not enabled(options, path, problems):
        return None
    asked_for = table is not None
    instance, broken = construct(
        entry.cls, options, path, problems, asked_for=asked_for, also=("enabled",)
    )
    return Part(instance=instance, broken=broken, options=options)


def make_observers(
    tables: Mapping[str, Any], catalog: Catalog, problems: Problems, idle: dict[str, str]
) -> dict[str, ObserverSettings]:
    """Build every observer that a plugin provides.

    Args:
        tables: their options, by name.
        catalog: the plugins.
        problems: collects the errors.
        idle: collects what lacks an option.
    """
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
        path = ("observers", name)
        part = make_part(entry, tables.get(name), path, problems, f"observer.{name}", idle)
        if part is not None and (part.broken is not None or isinstance(part.instance, Observer)):
            made[name] = ObserverSettings(
                name=name, plugin=entry.plugin, observer=part.instance, broken=part.broken,
                options=part.options,
            )  # fmt: skip
    return made
