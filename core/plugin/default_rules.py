"""The names of the default rules that plugins declare: each is declared once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.core.config.alerting import OWN_ALERTS
from tocsin.core.config.errors import CatalogEntry
from tocsin.core.contracts.rule import Rule
from tocsin.core.plugin.faults import PluginFault


def check_default_rules(
    cls: type[Rule], others: Iterable[type[Rule]], known: Mapping[str, CatalogEntry]
) -> None:
    """Refuse default rules whose name is taken.

    Args:
        cls: the class that declares them.
        others: further classes of its plugin.
        known: the rules of the plugins that were loaded before.

    Raises:
        PluginFault: a name is taken.
    """
    holders = {name: entry.plugin for entry in known.values() for name in entry.cls.autostart}
    for name in cls.autostart:
        if name in OWN_ALERTS:
            raise PluginFault(f"declares the default rule {name!r}, an alert of tocsin's own")
        if any(name in other.autostart for other in others):
            raise PluginFault(f"declares the default rule {name!r} twice")
        if name in holders:
            raise PluginFault(
                f"declares the default rule {name!r}, which plugin {holders[name]!r} declares "
                "already"
            )
