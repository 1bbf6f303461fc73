"""The sections ``[observers.NAME]``: options of observers, which are notified of alert changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import NOTHING, fields

from tocsin.core.config.checks import enabled
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ObserverSettings
from tocsin.core.config.structure import construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.observer import Observer


def make_observers(
    tables: Mapping[str, Any], catalog: Catalog, problems: Problems
) -> dict[str, ObserverSettings]:
    """Build every observer that a plugin provides.

    A table gives an observer its options, or disables it with ``enabled = false``. An observer that
    needs an option runs only if there is a table for it.
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
        path, table = ("observers", name), tables.get(name)
        if table is None and _needs_options(entry.cls):
            continue
        if not isinstance(table, Mapping | None):
            problems.add(path, f"expected a table of options, got {show(table)}")
            continue
        options = dict(table or {})
        if not enabled(options, path, problems):
            continue
        observer, broken = construct(
            entry.cls, options, path, problems, asked_for=table is not None
        )
        if broken is not None or isinstance(observer, Observer):
            made[name] = ObserverSettings(
                name=name, plugin=entry.plugin, observer=observer, broken=broken, options=options
            )
    return made


def _needs_options(cls: Any) -> bool:
    return any(field.init and field.default is NOTHING for field in fields(cls))
