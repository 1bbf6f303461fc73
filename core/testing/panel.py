"""Conformance suite for panels."""

from __future__ import annotations

from attrs import fields_dict

from tocsin.core.contracts.container import Container
from tocsin.core.contracts.model import Result
from tocsin.core.contracts.panel import Panel
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.panel_checks import resolved


def check_panel_conformance(panel: Panel, result: Result | None = None) -> None:
    """Check a panel against its contract.

    Its parts have to be valid, and it must not be empty. With a result, all that it shows has to be
    in it: metrics in its charts; metrics, attributes and facts of a container in its table.

    Args:
        panel: the panel.
        result: a result of a check that the panel is about; None: what it shows is not checked.

    Raises:
        AssertionError: it violates the contract.
    """
    try:
        resolved([panel], ("conformance",))
    except PluginFault as fault:
        raise AssertionError(f"the plugin {fault}") from fault
    if result is None:
        return
    facts = result.container
    metrics = {*result.metrics, *(facts.metrics if facts is not None else ())}
    shown = {*metrics, *result.attributes, *(fields_dict(Container) if facts is not None else ())}
    for fact in panel.facts:
        assert fact.value in shown, _lacks(f"the fact {fact.label!r}", fact.value, shown)
    for chart in panel.charts:
        for name in (*(curve.metric for curve in chart.curves), *filter(None, (chart.limit,))):
            assert name in metrics, _lacks(f"the chart {chart.title!r}", name, metrics)


def _lacks(part: str, name: str, known: set[str]) -> str:
    return f"{part} shows {name!r}, which the result lacks; it has {', '.join(sorted(known))}"
