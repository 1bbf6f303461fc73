"""Charts. Their colours stand on light and dark ground alike; texts of strangers are escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from attrs import frozen

from tocsin.dashboard.tones import CRITICAL, OK, TONES, WARNING
from tocsin.dashboard.words import clean, moment

Figure = go.Figure
CONFIG = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
GRID = "rgba(128,128,128,0.18)"
SERIES = ("#3b82c4", "#d97b29", "#2b9a8a", "#a35cc7", "#c2557a", "#7a8f2a", "#5b6ee1", "#8a6d4b")
SECONDS = {"1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}


@frozen(kw_only=True)
class Mark:
    """Something that happened: a symbol on the time axis, and what is said of it."""

    at: str
    kind: str
    text: str


@frozen(kw_only=True)
class Level:
    """A line across: a limit, or what is expected."""

    value: float
    label: str
    colour: str = "#8b95a3"


def safe(text: object, limit: int = 160) -> str:
    """A text that Plotly shows as it is: it reads a little HTML everywhere."""
    return html.escape(clean(text, limit), quote=True)


def local(text: str, zone: tzinfo) -> datetime:
    """A time of the API on the reader's clock; Plotly shows what it is given."""
    found = moment(text)
    assert found is not None  # noqa: S101 - the API always gives one
    return found.astimezone(zone).replace(tzinfo=None)


def usage(
    points: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    unit: str,
    zone: tzinfo,
    span: tuple[str, str],
    step: float,
    levels: Iterable[Level] = (),
    marks: Iterable[Mark] = (),
    colour: str = SERIES[0],
) -> go.Figure:
    """One metric over time: its average as a line, up to its maximum as a shade."""
    times, mean, high = series(points, metric, zone, step)
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=high, mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=times, y=mean, mode="lines", fill="tonexty", line={"width": 2, "color": colour},
        fillcolor=_faint(colour, 0.18), showlegend=False, customdata=high,
        hovertemplate=f"%{{y:.3s}}{unit} (max %{{customdata:.3s}}{unit})<extra></extra>",
    )  # fmt: skip
    top = max((value for value in high if value is not None), default=0.0)
    for level in levels:
        if level.value > 4 * max(top, 1e-9) and top:  # far above: it would flatten the curve
            continue
        top = max(top, level.value)
        figure.add_hline(
            y=level.value, line={"width": 1.5, "dash": "dash", "color": level.colour},
            annotation={"text": safe(level.label), "font": {"size": 11, "color": level.colour},
                        "xanchor": "right", "yanchor": "bottom"},
        )  # fmt: skip
    figure.update_yaxes(range=[0, top * 1.18 or 1], ticksuffix=unit, tickformat="~s")
    _add_marks(figure, list(marks), zone, top * 1.1 or 1)
    _dress(figure, span, zone, 210)
    return figure


def traffic(
    points: Sequence[Mapping[str, Any]], *, zone: tzinfo, span: tuple[str, str], step: float
) -> go.Figure:
    """Bytes per second received (above) and sent (below)."""
    figure = go.Figure()
    pairs = (("network_rx_bytes", "received", 1), ("network_tx_bytes", "sent", -1))
    for n, (metric, word, sign) in enumerate(pairs):
        times, rates = _rates(points, metric, zone, step)
        figure.add_scatter(
            x=times, y=[None if r is None else sign * r for r in rates], mode="lines", name=word,
            fill="tozeroy", line={"width": 1.5, "color": SERIES[2 - n]}, connectgaps=False,
            fillcolor=_faint(SERIES[2 - n], 0.2), customdata=rates,
            hovertemplate=f"{word} %{{customdata:.3s}}B/s<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(ticksuffix="B/s", tickformat="~s", nticks=5)
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"})
    _dress(figure, span, zone, 170)
    return figure


def trend(view: Mapping[str, Any], *, unit: str, zone: tzinfo) -> go.Figure:
    """The same metric of several targets."""
    figure = go.Figure()
    for n, item in enumerate(view["items"]):
        figure.add_scatter(
            x=[local(p["at"], zone) for p in item["points"]],
            y=[p["avg"] for p in item["points"]],
            mode="lines", name=safe(item["target"], 28), line={"width": 1.8, "shape": "spline",
                                                              "smoothing": 0.4,
                                                              "color": SERIES[n % len(SERIES)]},
            hovertemplate=f"%{{fullData.name}} %{{y:.3s}}{unit}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero", ticksuffix=unit, tickformat="~s", nticks=6)
    figure.update_layout(legend={
        "orientation": "h", "y": -0.24, "x": 0, "yanchor": "top", "entrywidth": 0.48,
        "entrywidthmode": "fraction", "font": {"size": 11},
    })  # fmt: skip
    _dress(figure, (view["since"], view["until"]), zone, 360)
    return figure


def by_type(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> go.Figure:
    """How often alerts fired, by type and severity."""
    figure = go.Figure()
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["alert_type"]] = totals.get(row["alert_type"], 0) + row["count"]
    order = sorted(totals, key=lambda name: totals[name])
    for severity in ("critical", "warning", "info"):
        found = {r["alert_type"]: r["count"] for r in rows if r["severity"] == severity}
        if found:
            tone = TONES.get(severity, TONES["unknown"])
            figure.add_bar(
                y=[safe(titles.get(name, name), 40) for name in order],
                x=[found.get(name, 0) for name in order], orientation="h", name=severity,
                marker={"color": tone.hex, "cornerradius": 4},
                hovertemplate=f"%{{x}} {severity}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.18})
    figure.update_xaxes(tickformat="d", gridcolor=GRID, nticks=6)
    figure.update_yaxes(ticklabelstandoff=8)
    _plain(figure, 110 + 30 * max(2, len(order)))
    return figure


def by_hour(counts: Sequence[int], zone: str) -> go.Figure:
    """At which hour of the day alerts fired."""
    figure = go.Figure()
    figure.add_bar(
        x=list(range(24)), y=list(counts), marker={"color": SERIES[0], "cornerradius": 4},
        hovertemplate="%{x}:00–%{x}:59: %{y}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=[0, 4, 8, 12, 16, 20], ticktext=[f"{h:02}:00" for h in (0, 4, 8, 12, 16, 20)],
        title={"text": safe(zone), "font": {"size": 11}},
    )  # fmt: skip
    figure.update_yaxes(tickformat="d", gridcolor=GRID, nticks=4, rangemode="tozero")
    _plain(figure, 230)
    return figure


def show(figure: go.Figure, key: str, alt: str) -> None:
    """Put a chart on the page."""
    st.plotly_chart(figure, key=key, config=CONFIG, alt=alt, width="stretch")


def series(
    points: Sequence[Mapping[str, Any]], metric: str, zone: tzinfo, step: float
) -> tuple[list[datetime], list[float | None], list[float | None]]:
    """Times, averages and maxima of a metric; a gap where nothing was seen for a while."""
    times: list[datetime] = []
    mean: list[float | None] = []
    high: list[float | None] = []
    for point in points:
        found = point["metrics"].get(metric)
        if found is None:
            continue
        at = local(point["at"], zone)
        if times and (at - times[-1]).total_seconds() > max(3 * step, 180):
            times.append(times[-1] + (at - times[-1]) / 2)
            mean.append(None)
            high.append(None)
        times.append(at)
        mean.append(found["avg"])
        high.append(found["max"])
    return times, mean, high


def _rates(
    points: Sequence[Mapping[str, Any]], metric: str, zone: tzinfo, step: float
) -> tuple[list[datetime], list[float | None]]:
    """A counter as a rate; a counter that went back began anew."""
    times: list[datetime] = []
    rates: list[float | None] = []
    last: tuple[datetime, float] | None = None
    for point in points:
        found = point["metrics"].get(metric)
        if found is None:
            continue
        at, value = local(point["at"], zone), float(found["max"])
        if last is not None:
            seconds = (at - last[0]).total_seconds()
            gap = seconds > max(3 * step, 180) or seconds <= 0 or value < last[1]
            times.append(at)
            rates.append(None if gap else (value - last[1]) / seconds)
        last = (at, value)
    return times, rates


_SYMBOLS = {
    "critical": ("triangle-down", CRITICAL.hex),
    "warning": ("triangle-down", WARNING.hex),
    "resolved": ("circle", OK.hex),
    "restart": ("diamond", SERIES[6]),
    "stopped": ("square", CRITICAL.hex),
}


def _add_marks(figure: go.Figure, marks: list[Mark], zone: tzinfo, height: float) -> None:
    for mark in marks:
        _, colour = _SYMBOLS.get(mark.kind, _SYMBOLS["warning"])
        figure.add_vline(x=local(mark.at, zone), line={"width": 1, "dash": "dot", "color": colour})
    for kind in dict.fromkeys(mark.kind for mark in marks):
        symbol, colour = _SYMBOLS.get(kind, _SYMBOLS["warning"])
        mine = [mark for mark in marks if mark.kind == kind]
        figure.add_scatter(
            x=[local(mark.at, zone) for mark in mine], y=[height] * len(mine), mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour}, showlegend=False,
            text=[safe(mark.text) for mark in mine], hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )  # fmt: skip


def _dress(figure: go.Figure, span: tuple[str, str], zone: tzinfo, height: int) -> None:
    figure.update_xaxes(
        range=[local(span[0], zone), local(span[1], zone)], showgrid=False, type="date",
        hoverformat="%-d %b %H:%M", nticks=7,
    )  # fmt: skip
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, nticks=5, title=None)
    figure.update_layout(hovermode="x unified", uirevision="kept")
    _plain(figure, height)


def _plain(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height, margin={"l": 4, "r": 8, "t": 12, "b": 4}, bargap=0.25,
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip


def _faint(colour: str, share: float) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
