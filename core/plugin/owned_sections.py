"""The top-level tables of ``tocsin.toml`` that plugins own: each has one owner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.core.config.errors import CatalogEntry
from tocsin.core.config.sections import SECTIONS, TOP_KEYS
from tocsin.core.contracts.reviewer import Reviewer
from tocsin.core.plugin.faults import PluginFault


def check_section(
    cls: type[Reviewer], others: Iterable[type[Reviewer]], known: Mapping[str, CatalogEntry]
) -> None:
    """Refuse a class whose table belongs to something else.

    Args:
        cls: the class.
        others: further classes of its plugin.
        known: those of the plugins that were loaded before.

    Raises:
        PluginFault: it does.
    """
    section = cls.section
    if section is None:
        return
    owner = "tocsin itself" if section in {*SECTIONS, *TOP_KEYS} else None
    if any(other.section == section for other in others):
        owner = "another class of it"
    for entry in known.values():
        if entry.cls.section == section:
            owner = f"plugin {entry.plugin!r}"
    if owner is not None:
        raise PluginFault(f"has a class whose section is {section!r}, which belongs to {owner}")
