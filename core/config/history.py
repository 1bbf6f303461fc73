"""The table ``[database]``: which plugin keeps history, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.config.construct import construct
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import HistorySettings
from tocsin.core.config.variables import given_options

SECTION = "database"

HOSTED = (
    "provides a history, which runs in tocsin's own process: name the plugin in [plugins] inline"
)
"""Why a history that is configured cannot be used."""


def make_history(
    table: Any, env: Environment, catalog: Catalog, problems: Problems, warnings: list[str]
) -> HistorySettings:
    """Return the history that the table names with ``history``, or else the first that a plugin
    provides; tocsin's own come first. Without any, nothing is stored."""
    path = (SECTION,)
    if not isinstance(table, Mapping):
        problems.add(path, f"expected a table, got {show(table)}")
        return HistorySettings()
    options = dict(table)
    name = options.pop("history", next(iter(catalog.histories), None))
    if name is None:
        if (reason := catalog.unloaded(disabled=True)) is not None:
            warnings.append(f"no history is kept: no plugin provides one, but {reason}")
        return HistorySettings(broken=catalog.unloaded(), options=options)
    if not isinstance(name, str):
        problems.add((*path, "history"), "expected the name of a history in quotes")
        return HistorySettings()
    if (plugin := catalog.hosted_histories.get(name)) is not None and name not in catalog.histories:
        found = HistorySettings(name=name, plugin=plugin, broken=HOSTED, options=options)
        warnings.append(f"no history is kept: {found.why_none}")
        return found
    entry, broken = find_plugin("history", name, catalog, (*path, "history"), problems)
    store = None
    if entry is not None:
        options.update(given_options(entry.cls, options, path, env, problems))
        store, broken = construct(entry.cls, options, path, problems, asked_for=bool(options))
    made = HistorySettings(
        name=name,
        plugin=None if entry is None else entry.plugin,
        store=store,
        broken=broken,
        options=options,
    )
    if broken is not None:
        warnings.append(f"no history is kept: {made.why_none}")
    return made
