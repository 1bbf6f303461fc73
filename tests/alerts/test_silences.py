"""Matchers, silences and windows by themselves; steady time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tocsin import Severity, Target
from tocsin.core.alerts.durable_clock import DurableMonotonicClock
from tocsin.core.alerts.matchers import parse, parse_all
from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.silences import Window, check_schedule
from tocsin.testing import SettableClock

AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ALERT = Alert(rule="high_cpu", target="web-1", severity=Severity.WARNING, since=0.0, since_at=AT)
TARGET = Target(name="web-1", kind="container", labels={"team": "shop"})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("target=web-1", True), ("target=web*", True), ("target=w?b-1", True),
        ("target=api", False), ("target!=api", True), ("target != web-1", False),
        ("rule=high_*", True), ("severity=warning", True), ("severity=critical", False),
        ("kind=container", True), ("label.team=shop", True), ("label.team=*", True),
        ("label.none=x", False), ("label.none!=x", True), ("target=WEB-1", False),
    ],
)  # fmt: skip
def test_a_matcher_matches(text: str, matches: bool) -> None:
    """Fields, patterns and negation, case kept."""
    assert parse(text).matches(ALERT, TARGET) is matches
    assert str(parse(text)) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    ["", "web", "target", "target=", "colour=red", "target~x", "=x", "severity=loud", "x" * 999],
)
def test_what_is_no_matcher_is_refused_with_a_remedy(text: str) -> None:
    """The sentence says what is possible."""
    with pytest.raises(ValueError, match=r"write one as|known are"):
        parse(text)


def test_all_matchers_have_to_match_and_there_must_be_one() -> None:
    """No matcher at all would silence everything."""
    with pytest.raises(ValueError, match="at least one"):
        parse_all([])
    with pytest.raises(ValueError, match="more than 20"):
        parse_all(["target=a"] * 21)


def test_a_window_is_open_from_its_start_for_its_duration() -> None:
    """Inclusive of the first moment, exclusive of the last; by the calendar of its zone."""
    window = Window(name="w", schedule="0 3 * * *", duration=3600.0, timezone="Europe/Berlin")
    opens = datetime(2026, 1, 15, 3, 0, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    assert window.active_until(opens - timedelta(seconds=1)) is None
    assert window.active_until(opens) == opens + timedelta(hours=1)
    assert window.active_until(opens + timedelta(minutes=59)) == opens + timedelta(hours=1)
    assert window.active_until(opens + timedelta(hours=1)) is None
    assert window.next_start(opens) == opens + timedelta(days=1)


def test_a_window_lasts_as_long_over_a_change_of_clocks() -> None:
    """The night that has an hour less: the window is an hour of time, not of the clock's face."""
    window = Window(name="w", schedule="30 1 * * *", duration=3600.0, timezone="Europe/Berlin")
    opens = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # 01:30; at 02:00 it becomes 03:00
    assert window.active_until(opens) == opens + timedelta(hours=1)
    assert window.active_until(opens + timedelta(minutes=59)) is not None
    assert window.active_until(opens + timedelta(minutes=61)) is None


@pytest.mark.parametrize(
    ("schedule", "starts"),
    [
        ("45 2 * * *", [45]),  # once, though the clock shows it twice
        ("45 * * * *", [-15, 45, 105, 165]),
        ("*/30 * * * *", [0, 30, 60, 90, 120, 150]),
    ],
)
def test_a_window_is_open_through_the_hour_that_comes_twice(
    schedule: str, starts: list[int]
) -> None:
    """The night that has an hour more: at each moment it is open for its duration from its last
    start, and the next start lies ahead."""
    window = Window(name="w", schedule=schedule, duration=1500.0, timezone="Europe/Berlin")
    night = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # at 01:00 UTC 03:00 becomes 02:00
    opens = [night + timedelta(minutes=minutes) for minutes in starts]
    for minute in range(180):
        now = night + timedelta(minutes=minute)
        begun = [at for at in opens if at <= now < at + timedelta(seconds=1500)]
        until = begun[-1] + timedelta(seconds=1500) if begun else None
        assert window.active_until(now) == until, now
        following = window.next_start(now)
        assert following is not None
        assert following == next((at for at in opens if at > now), following)
        assert following > now


@pytest.mark.parametrize("text", ["", "x", "* * *", "61 * * * *", "* * * * * * *"])
def test_a_bad_schedule_is_refused(text: str) -> None:
    """With the form that is expected."""
    with pytest.raises(ValueError, match="five fields"):
        check_schedule(text)


def test_steady_time_ignores_the_wall_clock() -> None:
    """An hour forward or back on the wall moves nothing."""
    clock = SettableClock()
    steady = DurableMonotonicClock(clock, boot="b")
    first = steady.now().steady
    clock.wall += timedelta(hours=1)
    assert steady.now().steady == first
    clock.wall -= timedelta(hours=2)
    clock.advance(5)
    assert steady.now().steady == first + 5


def test_steady_time_goes_on_over_a_restart() -> None:
    """In the same boot exactly, whatever the wall clock did; after a boot by the wall clock, never
    backwards."""
    clock = SettableClock()
    anchor = DurableMonotonicClock(clock, boot="b").anchor()
    clock.advance(100)
    clock.wall -= timedelta(hours=1)
    assert DurableMonotonicClock(clock, anchor, boot="b").now().steady == anchor.steady + 100
    other = DurableMonotonicClock(clock, anchor, boot="other").now().steady
    assert other == anchor.steady, "the wall clock is behind: not before the last moment known"
    clock.wall += timedelta(hours=3)
    assert DurableMonotonicClock(clock, anchor, boot="other").now().steady == clock.wall.timestamp()
    assert DurableMonotonicClock(clock, None, boot="b").now().steady == clock.wall.timestamp()
