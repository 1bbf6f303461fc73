"""Time series of the API: the time axis of a chart, and the values of a metric along it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from attrs import frozen

from tocsin.dashboard.words import moment

SECONDS = {"1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}


@frozen(kw_only=True)
class Frame:
    """The time axis of a chart, from ``since`` to ``until``, with one point per ``step`` seconds.

    The axis advances by whole points, at most once a minute, and has no points whose values still
    change: if anything in a chart differs, Streamlit replaces it and the reader's zoom is lost.

    Attributes:
        done: time up to which data is final.
        zone: time zone of the reader.
    """

    since: datetime
    until: datetime
    done: datetime
    step: float
    zone: tzinfo

    def drawn(self, points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the points whose values are final, or all points if fewer than two are final."""
        length = timedelta(seconds=self.step)
        kept = [p for p in points if self.since <= time_of(p["at"]) <= self.done - length]
        return kept if len(kept) > 1 else list(points)


def asked(hours: float, now: datetime | None = None) -> dict[str, str]:
    """Return the time range to request: the last ``hours``, up to the end of this minute."""
    until = _floor(now, 60) + timedelta(seconds=60)
    return {"since": (until - timedelta(hours=hours)).isoformat(), "until": until.isoformat()}


def frame_of(view: Mapping[str, Any], zone: tzinfo, now: datetime | None = None) -> Frame:
    """Return the time axis for an answer of the API (its ``since``, ``until`` and ``step``)."""
    pace = max(float(view["step"]), 60.0)
    done = _floor(now, pace)
    until = done + timedelta(seconds=pace)
    since = until - (time_of(view["until"]) - time_of(view["since"]))
    return Frame(since=since, until=until, done=done, step=float(view["step"]), zone=zone)


def _floor(now: datetime | None, seconds: float) -> datetime:
    at = (now or datetime.now(UTC)).timestamp()
    return datetime.fromtimestamp(at // seconds * seconds, UTC)


def time_of(text: str) -> datetime:
    """Return a time that an answer of the API always has."""
    found = moment(text)
    assert found is not None  # noqa: S101 - the API always gives one
    return found


def local(at: datetime, zone: tzinfo) -> datetime:
    """Convert a time to the reader's time zone, without zone: Plotly does not convert times.

    Use the result for display only. The difference between two such times is an hour wrong if
    daylight saving time begins or ends between them.
    """
    return at.astimezone(zone).replace(tzinfo=None)


def series(
    points: Sequence[Mapping[str, Any]], metric: str, step: float
) -> tuple[list[datetime], list[float | None], list[float | None]]:
    """Return times, averages and maxima of a metric, with None where points are missing.

    Points are missing after more than three steps of ``step`` seconds, and at least 180 seconds.
    """
    times: list[datetime] = []
    mean: list[float | None] = []
    high: list[float | None] = []
    for point in points:
        found = point["metrics"].get(metric)
        if found is None:
            continue
        at = time_of(point["at"])
        if times and (at - times[-1]).total_seconds() > max(3 * step, 180):
            times.append(times[-1] + (at - times[-1]) / 2)
            mean.append(None)
            high.append(None)
        times.append(at)
        mean.append(rounded(found["avg"]))
        high.append(rounded(found["max"]))
    return times, mean, high


def speeds(
    points: Sequence[Mapping[str, Any]], metric: str, step: float
) -> tuple[list[datetime], list[float | None]]:
    """Return times and a counter's rates per second, with None where points are missing.

    The rate is None, too, where the counter was reset, that is, where its value decreased.
    """
    times: list[datetime] = []
    rates: list[float | None] = []
    last: tuple[datetime, float] | None = None
    for point in points:
        found = point["metrics"].get(metric)
        if found is None:
            continue
        at, value = time_of(point["at"]), float(found["max"])
        if last is not None:
            seconds = (at - last[0]).total_seconds()
            gap = seconds > max(3 * step, 180) or seconds <= 0 or value < last[1]
            times.append(at)
            rates.append(None if gap else rounded((value - last[1]) / seconds))
        last = (at, value)
    return times, rates


def rounded(value: float) -> float:
    """Round to five significant digits: further ones differ between raw and rolled-up data."""
    return float(f"{value:.5g}")
