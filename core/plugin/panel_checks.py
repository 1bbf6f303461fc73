"""Checks of the panels that a plugin declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

import attrs
from attrs import evolve

from tocsin.core.config.suggest import closest
from tocsin.core.contracts.container import Container
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


_CONTAINER = tuple(field.name for field in attrs.fields(Container))
"""What a panel can show of any container besides the metrics of its checks."""

_SIMILAR = 0.75
"""Likeness, from 0 to 1, from which the value of a fact counts as a misspelt metric: it may also be
an attribute, which nobody declares."""


def remarks_on(panel: Panel, metrics: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield clauses about what of a panel will stay empty.

    Args:
        panel: a panel, with the names of its probes.
        metrics: of each probe and source that is installed: the names of the metrics it declares.
    """
    begin = f"has the panel {panel.name!r}"
    for name in panel.probes:
        if name not in metrics:
            meant = _meant(name, metrics)
            yield f"{begin} about the probe {name!r}, which no plugin provides{meant}"
    about = [metrics[name] for name in panel.probes if name in metrics]
    if not about or not all(about):  # what is not declared is not known
        return
    known = {*_CONTAINER, *(name for names in about for name in names)}
    words = "', '".join(name for name in panel.probes if name in metrics)
    for chart in panel.charts:
        for name in filter(None, (*(curve.metric for curve in chart.curves), chart.limit)):
            if name not in known:
                yield (
                    f"{begin} with the metric {name!r}, which '{words}' does not declare"
                    f"{_meant(name, known)}"
                )
    for fact in panel.facts:
        close = get_close_matches(fact.value, known, n=1, cutoff=_SIMILAR)
        if fact.value not in known and close:
            yield (
                f"{begin} with the fact {fact.value!r}, which is no metric that '{words}' "
                f"declares; did you mean {close[0]!r}?"
            )


def _meant(name: str, known: Iterable[str]) -> str:
    close = closest(name, sorted(known))
    return "" if close is None else f"; did you mean {close!r}?"
