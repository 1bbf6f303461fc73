"""Charts and bars: their time axis, their units, and what clocks that change do to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tocsin.dashboard import bars, charts, time_series
from tocsin.dashboard.views.target_panels import POINTS
from tocsin.dashboard.views.target_past import BAR, buckets
from tocsin.plugins.history.resolution_plan import resolution_for
from tocsin.plugins.history.rollup import STEPS, floor

NOON = datetime(2026, 3, 4, 12, 0, 41, 123456, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def points(times: Iterable[datetime], **metrics: float) -> list[dict[str, Any]]:
    """Points of the API, each with one result that is up."""
    return [
        {"at": at.isoformat(), "up": 1, "degraded": 0, "down": 0, "unknown": 0,
         "metrics": {name: {"min": v, "avg": v, "max": v} for name, v in metrics.items()}}
        for at in times
    ]  # fmt: skip


def history(span: str, now: datetime = NOON, hole: tuple[float, float] = (0, 0)) -> dict[str, Any]:
    """What the API gives for a check that ran each minute, but for ``hole``: from and to, as parts
    of the span."""
    given = time_series.asked(time_series.SECONDS[span] / 3600, now)
    since, until = (datetime.fromisoformat(given[key]) for key in ("since", "until"))
    resolution = resolution_for(since, until, POINTS)
    step = (until - since).total_seconds() / POINTS
    origin = since
    if resolution != "raw":
        size = STEPS[resolution].total_seconds()
        step = max(1, -(-step // size)) * size
        origin = floor(since, timedelta(seconds=step))
    length = timedelta(seconds=step)
    begin, end = (since + (until - since) * part for part in hole)
    runs = (origin + timedelta(minutes=n, seconds=7.5) for n in range(32 * 24 * 60))
    seen: dict[int, int] = {}
    for at in runs:
        if at < now and not begin <= at < end:
            seen[(at - origin) // length] = seen.get((at - origin) // length, 0) + 1
        if at >= now:
            break
    found = points(origin + n * length for n in sorted(seen))
    for point, number in zip(found, (seen[n] for n in sorted(seen)), strict=True):
        point["up"] = number
    return {"since": given["since"], "until": given["until"], "step": step, "points": found}


@pytest.mark.parametrize("span", list(time_series.SECONDS))
@pytest.mark.parametrize("seconds", [0, 8, 1800, 12345])
def test_a_check_seen_throughout_has_no_hole_in_its_bar(span: str, seconds: int) -> None:
    """Over an hour as over a month, whatever the resolution; about as many stretches as the bar
    has room for, and every result in one of them."""
    now = NOON + timedelta(seconds=seconds)
    found = history(span, now)
    counts = buckets(found, 60.0, now)
    assert all(up for up, *_ in counts)
    assert BAR / 2 <= len(counts) <= BAR + 1
    assert sum(up for up, *_ in counts) == sum(point["up"] for point in found["points"])


@pytest.mark.parametrize("span", list(time_series.SECONDS))
def test_a_hole_is_seen_in_the_bar_where_it_was(span: str) -> None:
    """Half the span without a result is grey, in one piece, and the rest is not."""
    counts = buckets(history(span, hole=(0.25, 0.75)), 60.0, NOON)
    empty = [n for n, found in enumerate(counts) if not any(found)]
    assert empty == list(range(empty[0], empty[-1] + 1))
    assert abs(len(empty) / len(counts) - 0.5) < 0.06
    assert abs(empty[0] / len(counts) - 0.25) < 0.04


def test_stretches_of_a_bar_are_long_enough_for_a_result() -> None:
    """A check that runs every five minutes has no hole in the bar of an hour; one that runs once a
    day has stretches of more than a day."""
    found = history("1h")
    found["points"] = points(NOON - timedelta(minutes=5 * n + 1) for n in reversed(range(12)))
    for point in found["points"]:  # on the grid of the API's own
        since = datetime.fromisoformat(found["since"])
        place = (datetime.fromisoformat(point["at"]) - since) // timedelta(seconds=found["step"])
        point["at"] = (since + place * timedelta(seconds=found["step"])).isoformat()
    counts = buckets(found, 300.0, NOON)
    assert len(counts) >= 7
    assert all(up for up, *_ in counts)
    assert len(buckets(history("30d"), 86400.0, NOON)) in (20, 21)


def test_a_bar_without_results_is_grey() -> None:
    """No result at all: no colour anywhere, and no error."""
    found = history("24h", hole=(-1, 2))
    assert found["points"] == []
    assert not any(map(any, buckets(found, 60.0, NOON)))


# The time axis


def drawn(span: str, now: datetime) -> str:
    """A chart as it goes to the browser."""
    found = history(span, now)
    for point in found["points"]:
        value = point["up"] * 1.25 + datetime.fromisoformat(point["at"]).timestamp() // 60 % 7
        point["metrics"] = {"cpu_percent": {"min": value, "avg": value, "max": value}}
    frame = time_series.frame_of(found, UTC, now)
    marks = [charts.Mark(at=(NOON - timedelta(minutes=9)).isoformat(), kind="restart", text="x")]
    figure = charts.usage(found["points"], "cpu_percent", unit="%", frame=frame, marks=marks)
    return str(figure.to_json())


@pytest.mark.parametrize("second", [0, 1, 59.9])
def test_what_was_just_seen_is_asked_for(second: float) -> None:
    """The stretch of time asked for holds the moment itself, at any second of a minute."""
    now = NOON.replace(second=0, microsecond=0) + timedelta(seconds=second)
    given = time_series.asked(6, now)
    since, until = (datetime.fromisoformat(given[key]) for key in ("since", "until"))
    assert since < now < until
    assert until - since == timedelta(hours=6)


@pytest.mark.parametrize("span", list(time_series.SECONDS))
def test_a_chart_keeps_still_until_its_next_point(span: str) -> None:
    """Looks seconds apart give the same chart to the letter, though a result came between them:
    the axis moves, and a point is added, once it is finished. Marks are on the axis at once."""
    step = max(history(span)["step"], 60)
    begin = datetime.fromtimestamp(NOON.timestamp() // step * step, UTC)
    first = drawn(span, begin)
    for part in (0.01, 0.3, 0.6, 0.99):
        assert drawn(span, begin + timedelta(seconds=step * part)) == first
    assert drawn(span, begin + timedelta(seconds=step)) != first
    frame = time_series.frame_of(history(span), UTC, NOON)
    assert frame.since <= NOON - timedelta(seconds=time_series.SECONDS[span] - 2 * step)
    assert frame.until > NOON


def test_a_young_target_has_its_points_at_once() -> None:
    """Where hardly any point is finished, those that still change are drawn too."""
    found = history("30d")
    found["points"] = points([NOON - timedelta(minutes=20)], cpu_percent=4.0)
    assert time_series.frame_of(found, UTC, NOON).drawn(found["points"]) == found["points"]


@pytest.mark.parametrize(("count", "mode"), [(1, "markers"), (2, "lines")])
def test_a_single_point_can_be_seen(count: int, mode: str) -> None:
    """A curve that has but begun is a dot, since a line of one point shows nothing."""
    found = history("30d")
    moments = [NOON - timedelta(days=day) for day in range(count, 0, -1)]
    found["points"] = points(moments, cpu_percent=4.0)
    frame = time_series.frame_of(found, UTC, NOON)
    figure = charts.usage(found["points"], "cpu_percent", unit="%", frame=frame)
    assert figure.data[1].mode == mode


# Clocks that change


@pytest.mark.parametrize(
    "change", [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    ids=["forward", "back"],
)  # fmt: skip
def test_rates_and_gaps_do_not_see_clocks_change(change: datetime) -> None:
    """In Berlin's spring and autumn nights a steady counter is a steady rate, and a curve without
    a hole has none; the axis shows the reader's clock."""
    times = [change + timedelta(minutes=30 * n) for n in range(-6, 7)]
    found = points(times, cpu_percent=5.0)
    for n, point in enumerate(found):
        point["metrics"]["network_rx_bytes"] = {"min": 0, "avg": 0, "max": 1800 * 1000.0 * n}
    moments, rates = time_series.speeds(found, "network_rx_bytes", 1800)
    assert set(rates) == {1000.0}
    _, mean, _ = time_series.series(found, "cpu_percent", 900)
    assert None not in mean
    shown = [time_series.local(at, BERLIN) for at in moments]
    assert (shown[0].hour, shown[-1].hour) == ((23, 6) if change.month == 3 else (0, 5))
    view = {"since": times[0].isoformat(), "until": times[-1].isoformat(), "step": 1800,
            "points": found}  # fmt: skip
    frame = time_series.frame_of(view, BERLIN, times[-1] + timedelta(minutes=40))
    figure = charts.lines(found, TRAFFIC, unit="B", per_second=True, frame=frame)
    assert figure is not None
    assert {y for y in figure.data[0].y if y is not None} == {1000.0}


def test_a_hole_is_a_gap() -> None:
    """Nothing seen for more than three points: the curve is interrupted, and the rate over it is
    not told."""
    times = [NOON + timedelta(minutes=n) for n in (0, 1, 2, 30, 31)]
    found = points(times, cpu_percent=5.0, network_rx_bytes=7.0)
    assert time_series.series(found, "cpu_percent", 60)[1].count(None) == 1
    assert time_series.speeds(found, "network_rx_bytes", 60)[1] == [0.0, 0.0, None, 0.0]


# Several curves

TRAFFIC = [
    {"metric": "network_rx_bytes", "label": "Received", "below": False},
    {"metric": "network_tx_bytes", "label": "Sent", "below": True},
]


def test_several_metrics_are_curves_of_their_own_colours() -> None:
    """Each with its label, escaped, and its values in words; one that was never measured leaves the
    others alone, and the axis is as long as the highest of them needs."""
    found = points([NOON - timedelta(minutes=n) for n in range(50, 5, -1)], a=0.2, b=0.5)
    frame = time_series.frame_of({**time_series.asked(1, NOON), "step": 60}, UTC, NOON)
    curves = [{"metric": m, "label": f"<{m}>", "below": False} for m in ("a", "b", "c")]
    figure = charts.lines(found, curves, unit="s", per_second=False, frame=frame)
    assert figure is not None
    assert [curve.name for curve in figure.data] == ["&lt;a&gt;", "&lt;b&gt;", "&lt;c&gt;"]
    assert len({curve.line.color for curve in figure.data}) == 3
    assert set(figure.data[1].customdata) == {"500 ms"}
    assert list(figure.data[2].y) == []
    assert figure.layout.yaxis.range == pytest.approx((0.0, 0.55))
    assert figure.layout.yaxis.ticksuffix == "s"


# Units


def axis(unit: str, value: float) -> Any:
    """The axis of a chart of one steady value, and what is said of a point."""
    times = [NOON - timedelta(minutes=n) for n in range(50, 5, -1)]
    view = {**time_series.asked(1, NOON), "step": 60}
    figure = charts.usage(
        points(times, m=value), "m", unit=unit, frame=time_series.frame_of(view, UTC, NOON)
    )
    return figure.layout.yaxis, figure.data[1].hovertemplate


def test_a_share_has_no_prefix_and_bytes_and_seconds_have() -> None:
    """0.2 % is not "200m%"; memory is in MB and times in ms, as usual. What is next to nothing is
    drawn near the ground."""
    share, hover = axis("%", 0.2)
    assert (share.tickformat, share.ticksuffix, share.range) == ("~g", "%", (0, 1.0))
    assert "%{y:.3~r}%" in hover
    assert axis("%", 50.0)[0].range[1] == pytest.approx(59.0)
    memory, hover = axis("B", 340e6)
    assert (memory.tickformat, memory.ticksuffix) == ("~s", "B")
    assert "%{y:.3~s}B" in hover
    assert axis("s", 0.02)[0].range[1] == pytest.approx(0.0236)


def test_next_to_no_traffic_is_no_millibyte() -> None:
    """Bytes per second have a lowest scale, and are told in whole ones."""
    found = points([NOON - timedelta(minutes=n) for n in range(50, 5, -1)], network_rx_bytes=0.0)
    for n, point in enumerate(found):
        point["metrics"]["network_rx_bytes"]["max"] = 12.0 * n
    frame = time_series.frame_of({**time_series.asked(1, NOON), "step": 60}, UTC, NOON)
    figure = charts.lines(found, TRAFFIC, unit="B", per_second=True, frame=frame)
    assert figure is not None
    assert figure.layout.yaxis.range == (-10.0, 10.0)
    assert set(figure.data[0].customdata) == {"0 B"}


def test_without_data_there_is_no_chart_of_traffic() -> None:
    """A container in the host's network has none: no axis pretends that there was."""
    found = points([NOON - timedelta(minutes=n) for n in range(50, 5, -1)], cpu_percent=1.0)
    frame = time_series.frame_of({**time_series.asked(1, NOON), "step": 60}, UTC, NOON)
    assert charts.lines(found, TRAFFIC, unit="B", per_second=True, frame=frame) is None


@pytest.mark.parametrize(("top", "step"), [(0, 1), (1, 1), (2, 1), (7, 2), (23, 5), (400, 100)])
def test_counts_have_whole_lines(top: int, step: int) -> None:
    """An axis of counts says no number twice, for it has no halves."""
    row = {"alert_type": "high_cpu", "severity": "warning", "count": top}
    assert bars.by_type([row], {}).layout.xaxis.dtick == step
    assert bars.by_hour([0, top, 0], "UTC").layout.yaxis.dtick == step
