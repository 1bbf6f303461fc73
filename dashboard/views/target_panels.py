"""The panels that plugins declare for a target: facts, texts and charts of its checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st
from attrs import define, field

from tocsin.dashboard import charts, session, states, time_series, tones
from tocsin.dashboard.client import Api, path_of
from tocsin.dashboard.words import clean, plain, quantity

POINTS = 240
"""Number of points of a chart."""

Item = Mapping[str, Any]


@define
class Histories:
    """The histories of a target's checks in a time range, each of which is requested once.

    Attributes:
        api: the API.
        name: the target.
        asked: the time range.
    """

    api: Api
    name: str
    asked: Mapping[str, str]
    _known: dict[str, Item] = field(factory=dict)

    def of(self, check: str) -> Item:
        """Return the history of a check. Raises ApiError."""
        if check not in self._known:
            path = path_of("checks", self.name, check, "history")
            self._known[check] = self.api.get(path, points=POINTS, **self.asked)
        return self._known[check]


def show_panels(histories: Histories, marks: Sequence[charts.Mark]) -> None:
    """Show the panels of a target. Raises ApiError.

    Args:
        histories: what the charts show.
        marks: events to mark in charts of a single metric.
    """
    panels = histories.api.get(path_of("targets", histories.name, "panels"))["items"]
    for panel in panels:
        key = f"panel-{_slug(panel['plugin'], panel['name'], panel['check'])}"
        if len(panels) > 1:
            st.caption(plain(f"{panel['title']} · {panel['check']}", 160))
        _facts(panel["facts"], key)
        if panel["text"]:
            with st.container(border=True, key=f"{key}-text"):
                st.markdown(panel["text"])
        if panel["charts"]:
            _charts(panel["charts"], histories.of(panel["check"]), marks, key)


def _facts(facts: Sequence[Item], key: str) -> None:
    known = [fact for fact in facts if fact["value"] is not None]
    if not known:
        return
    with (
        st.container(border=True, key=f"{key}-facts"),
        st.grid(4, min_column_width=140, gap="small"),
    ):
        for fact in known:
            with st.container(gap=None):
                st.caption(plain(fact["label"], 60))
                st.text(clean(_value(fact["value"], fact["unit"]), 120))


def _value(value: float | str | bool, unit: str) -> str:
    """Format a fact."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else quantity(value, unit)


def _charts(found: Sequence[Item], history: Item, marks: Sequence[charts.Mark], key: str) -> None:
    """Show charts, two in a row; those that extend below zero, and a last one, are wide."""
    if not history["points"]:
        states.empty(
            ":material/hourglass_empty:", "No data yet",
            "The charts begin with the first samples.",
        )  # fmt: skip
        return
    row: list[tuple[int, Item]] = []
    for number, chart in enumerate(found):
        is_wide = any(curve["below"] for curve in chart["curves"])
        if row and (is_wide or len(row) == 2):
            _row(row, history, marks, key)
            row = []
        row.append((number, chart))
        if is_wide:
            _row(row, history, marks, key)
            row = []
    _row(row, history, marks, key)


def _row(
    row: Sequence[tuple[int, Item]], history: Item, marks: Sequence[charts.Mark], key: str
) -> None:
    if not row:
        return
    for column, (number, chart) in zip(st.columns(len(row), gap="medium"), row, strict=True):
        with column:
            _chart(chart, history, marks, f"{key}-{number}", charts.SERIES[3 * number % 8])


def _chart(chart: Item, history: Item, marks: Sequence[charts.Mark], key: str, colour: str) -> None:
    """Show a chart, and its values below it."""
    unit, curves, points = chart["unit"], chart["curves"], history["points"]
    frame = time_series.frame_of(history, session.zone())
    figure: charts.Figure | None = None
    said: Iterable[tuple[str, float | None]]
    if len(curves) == 1 and not chart["per_second"]:
        mean, top = figures(points, curves[0]["metric"])
        if mean is not None:
            figure = charts.usage(
                points, curves[0]["metric"], unit=unit, frame=frame, levels=_levels(chart),
                marks=marks, colour=colour,
            )  # fmt: skip
        said = zip(("Average", "Maximum", "Now"), (mean, top, curves[0]["now"]), strict=True)
    else:
        figure = charts.lines(
            points, curves, unit=unit, per_second=chart["per_second"], frame=frame
        )
        said = ((plain(curve["label"], 60), curve["now"]) for curve in curves)
    with st.container(border=True, gap="xsmall", height="stretch", key=key):
        st.markdown(f"**{plain(chart['title'], 60)}**")
        if figure is None:
            st.caption("No data in this range.")
            return
        alt = f"{clean(chart['title'], 60)} over time; the values are listed below"
        charts.show(figure, f"chart-{key}", alt)
        words = [f"{word} **{plain(quantity(value, unit))}**" for word, value in said]
        total = " in total" * chart["per_second"]
        st.caption("   ·   ".join(words) + total)


def _levels(chart: Item) -> list[charts.Level]:
    levels = []
    if chart["expected"] is not None:
        levels.append(charts.Level(value=chart["expected"], label="expected"))
    if chart["limit"]:
        levels.append(charts.Level(value=chart["limit"], label="limit", colour=tones.CRITICAL.hex))
    return levels


def figures(points: Sequence[Item], metric: str) -> tuple[float | None, float | None]:
    """Return the average and the maximum of a metric; None if it was not measured."""
    found = [p["metrics"][metric] for p in points if metric in p["metrics"]]
    if not found:
        return None, None
    return sum(f["avg"] for f in found) / len(found), max(f["max"] for f in found)


def _slug(*names: str) -> str:
    """Return a part of a key for Streamlit, which also is a class in the page."""
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "_", name) for name in names)
