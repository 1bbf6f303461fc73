"""Checks of the panels that a plugin declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from attrs import evolve

from tocsin.core.contracts.panel import Panel
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes import show


def resolved(panels: Sequence[Panel], own: Sequence[str]) -> list[Panel]:
    """Return the panels of a plugin with the names of the probes that they are about.

    Args:
        panels: the panels, as declared.
        own: names of the probes and sources that the plugin provides.

    Raises:
        PluginFault: a panel cannot be used.
    """
    for panel in panels:
        if type(panel) is not Panel:
            raise PluginFault(f"returned a {type(panel).__name__} from tocsin_panels, not a Panel")
    names = [panel.name for panel in panels]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PluginFault(f"has two panels of the name {twice[0]!r}")
    for panel in panels:
        _check(panel)
        if not (panel.probes or own):
            raise PluginFault(
                f"has the panel {panel.name!r} without probes, and provides no probe or source "
                "that it could be about"
            )
    return [evolve(panel, probes=panel.probes or tuple(own)) for panel in panels]


def _check(panel: Panel) -> None:
    """Validate a panel again: an object can be changed after it was made. Raises PluginFault."""
    try:
        for part in _parts(panel):
            attrs.validate(part)
    except ValueError as error:
        raise PluginFault(f"has the panel {show(panel.name)}, whose {error}") from error
    if not (panel.facts or panel.text or panel.charts):
        raise PluginFault(f"has the panel {panel.name!r} without facts, text and charts")


def _parts(panel: Panel) -> Iterator[attrs.AttrsInstance]:
    yield panel
    yield from panel.facts
    for chart in panel.charts:
        yield chart
        yield from chart.curves
