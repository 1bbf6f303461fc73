"""Bar charts of the number of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from tocsin.dashboard.charts import GRID, SERIES, finish, safe
from tocsin.dashboard.tones import TONES


def by_type(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> go.Figure:
    """Draw the number of alerts by type and severity."""
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
    figure.update_xaxes(dtick=_whole(max(totals.values(), default=0)), gridcolor=GRID)
    figure.update_yaxes(ticklabelstandoff=8)
    finish(figure, 110 + 30 * max(2, len(order)))
    return figure


def by_hour(counts: Sequence[int], zone: str) -> go.Figure:
    """Draw the number of alerts by hour of the day; ``counts`` has one item per hour."""
    figure = go.Figure()
    figure.add_bar(
        x=list(range(24)), y=list(counts), marker={"color": SERIES[0], "cornerradius": 4},
        hovertemplate="%{x}:00–%{x}:59: %{y}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=[0, 4, 8, 12, 16, 20], ticktext=[f"{h:02}:00" for h in (0, 4, 8, 12, 16, 20)],
        title={"text": safe(zone), "font": {"size": 11}},
    )  # fmt: skip
    figure.update_yaxes(dtick=_whole(max(counts, default=0)), gridcolor=GRID, rangemode="tozero")
    finish(figure, 230)
    return figure


def _whole(top: int) -> int:
    """Return the distance of at most five grid lines: 1, 2 or 5 times a power of ten."""
    steps = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
    return int(next(step for step in steps if step * 5 >= top))
