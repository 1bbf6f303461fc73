"""Plotly charts. Colours fit light and dark themes; names and messages are escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import fsum
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from attrs import frozen

from tocsin.dashboard.time_series import Frame, local, rounded, series, speeds, time_of
from tocsin.dashboard.tones import CRITICAL, OK, WARNING
from tocsin.dashboard.words import clean, quantity

Figure = go.Figure
CONFIG = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
GRID = "rgba(128,128,128,0.18)"
SERIES = ("#3b82c4", "#d97b29", "#2b9a8a", "#a35cc7", "#c2557a", "#7a8f2a", "#5b6ee1", "#8a6d4b")


@frozen(kw_only=True)
class _Form:
    """The number formats of a unit, in the syntax of d3-format.

    Attributes:
        tick: format of the labels of the axis.
        hover: format of the value at the pointer.
        least: minimum upper end of the axis, so that noise is not magnified.
    """

    tick: str
    hover: str
    least: float


# SI prefixes would turn 0.2 % into "200m%"; for the other units they are usual.
_FORMS = {
    "%": _Form(tick="~g", hover=".3~r", least=1.0),
    "B": _Form(tick="~s", hover=".3~s", least=1000.0),
    "s": _Form(tick="~s", hover=".3~s", least=0.001),
}
_PLAIN = _Form(tick="~s", hover=".4~s", least=1.0)
"""The formats of any other unit."""

_LEAST_RATE = 10.0
"""Minimum upper end of the axis of a rate, in bytes per second."""


def form_of(unit: str) -> _Form:
    """Return the number formats of a unit."""
    return _FORMS.get(unit, _PLAIN)


@frozen(kw_only=True)
class Mark:
    """An event: a symbol on the time axis with a text that is shown at the pointer."""

    at: str
    kind: str
    text: str


@frozen(kw_only=True)
class Level:
    """A horizontal line: a limit or an expected value."""

    value: float
    label: str
    colour: str = "#8b95a3"


def safe(text: object, limit: int = 160) -> str:
    """Escape a text for Plotly, which interprets some HTML tags in every text."""
    return html.escape(clean(text, limit), quote=True)


def usage(
    points: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    unit: str,
    frame: Frame,
    levels: Iterable[Level] = (),
    marks: Iterable[Mark] = (),
    colour: str = SERIES[0],
) -> go.Figure:
    """Draw one metric over time: the average as a line, and a shaded area up to the maximum.

    Args:
        points: points of the API, each with ``metrics``.
        metric: name of the metric.
        unit: ``%``, ``B`` (bytes), ``s`` (seconds), or any other text.
        frame: the time axis.
        levels: horizontal lines; those far above the values are left out.
        marks: events on the time axis.
        colour: colour of the line, as ``#rrggbb``.
    """
    form, suffix = form_of(unit), safe(unit, 16)
    moments, mean, high = series(frame.drawn(points), metric, frame.step)
    times = [local(at, frame.zone) for at in moments]
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=high, mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=times, y=mean, fill="tonexty", line={"width": 2, "color": colour},
        mode="lines" if len(times) > 1 else "markers",  # a line with one point is invisible
        fillcolor=_faint(colour, 0.18), showlegend=False, customdata=high,
        hovertemplate=f"%{{y:{form.hover}}}{suffix} (max %{{customdata:{form.hover}}}{suffix})"
        "<extra></extra>",
    )  # fmt: skip
    top = max((value for value in high if value is not None), default=0.0)
    for level in levels:
        if level.value > 4 * max(top, 1e-9) and top:  # far above: would flatten the curve
            continue
        top = max(top, level.value)
        figure.add_hline(
            y=level.value, line={"width": 1.5, "dash": "dash", "color": level.colour},
            annotation={"text": safe(level.label), "font": {"size": 11, "color": level.colour},
                        "xanchor": "right", "yanchor": "bottom"},
        )  # fmt: skip
    top = max(top * 1.18, form.least)
    figure.update_yaxes(range=[0, top], ticksuffix=suffix, tickformat=form.tick)
    _add_marks(figure, list(marks), frame, top * 0.93)
    _dress(figure, frame, 210)
    return figure


def lines(
    points: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    *,
    unit: str,
    per_second: bool,
    frame: Frame,
) -> go.Figure | None:
    """Draw several metrics over time; None if none of them was measured.

    Args:
        points: points of the API, each with ``metrics``.
        curves: metrics with their labels, and whether each is drawn below 0.
        unit: unit of the values.
        per_second: whether to draw the increase per second of counters.
        frame: the time axis.
    """
    drawn = frame.drawn(points)
    found: list[tuple[list[datetime], list[float | None]]] = [
        speeds(drawn, curve["metric"], frame.step)
        if per_second
        else series(drawn, curve["metric"], frame.step)[:2]
        for curve in curves
    ]
    if all(value is None for _, values in found for value in values):
        return None
    form = form_of(unit)
    ends = [0.0, 0.0]  # of the axis: upper and lower
    figure = go.Figure()
    for n, (curve, (moments, values)) in enumerate(zip(curves, found, strict=True)):
        below = bool(curve["below"])
        high = max((value for value in values if value is not None), default=0.0) * 1.1
        least = _LEAST_RATE if per_second and unit == "B" else form.least
        ends[below] = max(ends[below], high, least)
        colour = SERIES[_ORDER[n % len(_ORDER)]]
        figure.add_scatter(
            x=[local(at, frame.zone) for at in moments],
            y=[-value if below and value is not None else value for value in values],
            mode="lines", name=safe(curve["label"], 60), fill="tozeroy" if per_second else None,
            line={"width": 1.5, "color": colour}, connectgaps=False,
            fillcolor=_faint(colour, 0.2), customdata=[quantity(value, unit) for value in values],
            hovertemplate="%{fullData.name} %{customdata}" + "/s" * per_second + "<extra></extra>",
        )  # fmt: skip
    suffix = safe(unit, 16) + "/s" * per_second
    figure.update_yaxes(
        range=[-ends[1], ends[0]], ticksuffix=suffix, tickformat=form.tick, nticks=5
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"})
    _dress(figure, frame, 170 if ends[1] else 210)
    return figure


_ORDER = (2, 1, 0, 3, 4, 5, 6, 7)
"""Colours of the curves of a chart, as indexes into :data:`SERIES`."""


def trend(view: Mapping[str, Any], *, unit: str, frame: Frame) -> go.Figure:
    """Draw one metric of several targets, the target with the highest average first."""
    form = _FORMS[unit]
    figure = go.Figure()
    found = [(item["target"], frame.drawn(item["points"])) for item in view["items"]]
    # Sorted by the drawn points, since the order by the API's averages changes with each result.
    found.sort(key=lambda pair: (-fsum(p["avg"] for p in pair[1]) / max(1, len(pair[1])), pair[0]))
    for n, (target, points) in enumerate(found):
        figure.add_scatter(
            x=[local(time_of(p["at"]), frame.zone) for p in points],
            y=[rounded(p["avg"]) for p in points],
            mode="lines", name=safe(target, 28), line={"width": 1.8, "shape": "spline",
                                                              "smoothing": 0.4,
                                                              "color": SERIES[n % len(SERIES)]},
            hovertemplate=f"%{{fullData.name}} %{{y:{form.hover}}}{unit}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero", ticksuffix=unit, tickformat=form.tick, nticks=6)
    figure.update_layout(legend={
        "orientation": "h", "y": -0.24, "x": 0, "yanchor": "top", "entrywidth": 0.48,
        "entrywidthmode": "fraction", "font": {"size": 11},
    })  # fmt: skip
    _dress(figure, frame, 360)
    return figure


def show(figure: go.Figure, key: str, alt: str) -> None:
    """Put a chart on the page.

    Args:
        figure: the chart.
        key: Streamlit's key of the element.
        alt: text alternative. It must not contain changing values, because Streamlit treats a
            chart with another ``alt`` as another chart.
    """
    st.plotly_chart(figure, key=key, config=CONFIG, alt=alt, width="stretch")


_SYMBOLS = {
    "critical": ("triangle-down", CRITICAL.hex),
    "warning": ("triangle-down", WARNING.hex),
    "resolved": ("circle", OK.hex),
    "restart": ("diamond", SERIES[6]),
    "stopped": ("square", CRITICAL.hex),
}


def _add_marks(figure: go.Figure, marks: Sequence[Mark], frame: Frame, height: float) -> None:
    marks = [mark for mark in marks if frame.since <= time_of(mark.at)]
    for mark in marks:
        _, colour = _SYMBOLS.get(mark.kind, _SYMBOLS["warning"])
        x = local(time_of(mark.at), frame.zone)
        figure.add_vline(x=x, line={"width": 1, "dash": "dot", "color": colour})
    for kind in dict.fromkeys(mark.kind for mark in marks):
        symbol, colour = _SYMBOLS.get(kind, _SYMBOLS["warning"])
        mine = [mark for mark in marks if mark.kind == kind]
        figure.add_scatter(
            x=[local(time_of(mark.at), frame.zone) for mark in mine], y=[height] * len(mine),
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour}, showlegend=False,
            text=[safe(mark.text) for mark in mine], hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )  # fmt: skip


def _dress(figure: go.Figure, frame: Frame, height: int) -> None:
    figure.update_xaxes(
        range=[local(at, frame.zone) for at in (frame.since, frame.until)], showgrid=False,
        type="date", hoverformat="%-d %b %H:%M", nticks=7,
    )  # fmt: skip
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, nticks=5, title=None)
    figure.update_layout(hovermode="x unified", uirevision="kept")
    finish(figure, height)


def finish(figure: go.Figure, height: int) -> None:
    """Give a figure its height, margins and a transparent background."""
    figure.update_layout(
        height=height, margin={"l": 4, "r": 8, "t": 12, "b": 4}, bargap=0.25,
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip


def _faint(colour: str, share: float) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
