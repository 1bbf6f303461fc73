"""Finds the plugin class that a name in the configuration refers to."""

from __future__ import annotations

from tocsin.core.config.errors import Catalog, CatalogEntry, Path, Problems
from tocsin.core.config.suggest import did_you_mean

_PLACES = {"probe": "[targets.NAME.checks.NAME]", "source": "[sources.NAME]"}


def find_plugin(
    kind: str, name: str, catalog: Catalog, path: Path, problems: Problems
) -> tuple[CatalogEntry | None, str | None]:
    """Find a class that a plugin provides.

    Args:
        kind: "probe", "source", "rule", "notifier", "service" or "history".
        name: the name in the configuration.
        catalog: the plugins.
        path: where the name is in the file.
        problems: collects a name that is unknown.

    Returns:
        The entry and None; or None and why the item is not available, as a clause; or None twice
            after a problem was reported.
    """
    shelves = {
        "probe": catalog.probes, "source": catalog.sources,
        "rule": catalog.rules, "notifier": catalog.notifiers, "service": catalog.services,
        "history": catalog.histories,
    }  # fmt: skip
    shelf = shelves[kind]
    if entry := shelf.get(name):
        return entry, None
    for other, place in _PLACES.items():
        if kind in _PLACES and other != kind and name in shelves[other]:
            problems.add(path, f"{name!r} is no {kind}; it belongs in a {place} table")
            return None, None
    if reason := catalog.missing(name):
        return None, reason
    problems.add(path, f"no {kind} is called {name!r}; {did_you_mean(name, shelf)}")
    return None, None
