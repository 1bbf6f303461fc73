"""The panels of a target's page, as plugins declare them, with the present values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
from attrs import frozen

from tocsin.core.contracts.panel import Panel, PanelChart
from tocsin.core.contracts.route import Routes
from tocsin.core.http.metrics import values_of
from tocsin.core.http.routing import Call
from tocsin.core.http.targets import find
from tocsin.core.state import CheckState, TargetState

routes = Routes()

LONGEST = 300
"""Most characters of a fact."""

_UNITS = {"percent": "%", "bytes": "B", "seconds": "s"}


@frozen(kw_only=True)
class CurveView:
    """A metric of a chart, and its present value. ``below``: draw it downwards from zero."""

    metric: str
    label: str
    below: bool
    now: float | None


@frozen(kw_only=True)
class ChartView:
    """A chart of a check's history.

    ``unit`` is ``%``, ``B`` (bytes), ``s`` (seconds) or any other text. With ``per_second`` the
    metrics are counters: draw their increase per second. ``expected`` and ``limit`` are lines.
    """

    title: str
    unit: str
    per_second: bool
    curves: list[CurveView]
    expected: float | None
    limit: float | None


@frozen(kw_only=True)
class FactView:
    """A present value, with the unit of a number; null where it is not known."""

    label: str
    value: float | str | bool | None
    unit: str


@frozen(kw_only=True)
class PanelView:
    """A panel that a plugin declares, about one check of the target; ``text`` is Markdown."""

    plugin: str
    name: str
    title: str
    check: str
    facts: list[FactView]
    text: str
    charts: list[ChartView]


@frozen(kw_only=True)
class PanelList:
    """The panels of a target, in the order of its checks."""

    items: list[PanelView]


@routes.get("/api/v1/targets/{name}/panels", errors=(404,))
async def list_panels(call: Call) -> PanelList:
    """List what plugins declare for the page of a target: charts, facts with their present values,
    texts."""
    state = find(call)
    return PanelList(
        items=[
            _panel(plugin, panel, state, check)
            for check in state.checks.values()
            for plugin, panel in call.monitor.plugins.panels
            if check.probe in panel.probes and (not panel.kinds or state.target.kind in panel.kinds)
        ]
    )


def _panel(plugin: str, panel: Panel, state: TargetState, check: CheckState) -> PanelView:
    result = None if check.last is None else check.last.result
    container = None if result is None else result.container
    values = {} if result is None else values_of(container, result.metrics)
    known: dict[str, Any] = {} if container is None else attrs.asdict(container, recurse=False)
    known |= {} if result is None else dict(result.attributes)
    known |= values
    return PanelView(
        plugin=plugin,
        name=panel.name,
        title=panel.title,
        check=check.name,
        facts=[
            FactView(
                label=fact.label,
                value=_shown(known.get(fact.value)),
                unit=fact.unit or _unit(fact.value),
            )
            for fact in panel.facts
        ],
        text=panel.text,
        charts=[_chart(chart, values, state.target.expected) for chart in panel.charts],
    )


def _chart(
    chart: PanelChart, values: Mapping[str, float], expected: Mapping[str, float]
) -> ChartView:
    first = chart.curves[0].metric
    return ChartView(
        title=chart.title,
        unit=chart.unit or _unit(first),
        per_second=chart.per_second,
        curves=[
            CurveView(
                metric=curve.metric,
                label=curve.label or curve.metric,
                below=curve.below,
                now=values.get(curve.metric),
            )
            for curve in chart.curves
        ],
        expected=expected.get(first) if len(chart.curves) == 1 else None,
        limit=values.get(chart.limit),
    )


def _unit(metric: str) -> str:
    """Return the unit that a metric's name ends in."""
    return _UNITS.get(metric.rpartition("_")[2], "")


def _shown(value: object) -> float | str | bool | None:
    """Return a value as JSON can hold it; lists become text, and what has a structure is left
    out."""
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value if isinstance(item, str | int | float))
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        return str(value)[:LONGEST]
    return value if isinstance(value, int | float) else None
