"""Silences and maintenance windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from attrs import Factory, frozen
from cronsim import CronSim, CronSimError

from tocsin.core.alerts.matchers import Matcher, match_all
from tocsin.core.alerts.model import Alert, Cause, Suppression
from tocsin.core.contracts.model import Target
from tocsin.core.ids import new_id
from tocsin.core.units import time_zone

_TWICE = timedelta(hours=2)
"""Longer than the hour that is repeated when summer time ends."""


@frozen(kw_only=True)
class Window:
    """A maintenance window: alerts that match are suppressed for ``duration`` seconds from each
    time that ``schedule`` (five cron fields, in ``timezone``) names. Without a schedule it is open
    once, for as long as the silence that it belongs to is active."""

    name: str
    schedule: str
    duration: float
    timezone: str = "UTC"
    matchers: tuple[Matcher, ...] = ()

    def active_until(self, now: datetime) -> datetime | None:
        """Return the end of the window that is open at ``now``, or None."""
        if not self.schedule:
            return None
        start = self._last_start(now)
        if start is None:
            return None
        end = start + timedelta(seconds=self.duration)
        return end if now < end else None

    def _last_start(self, now: datetime) -> datetime | None:
        zone = time_zone(self.timezone)
        local = now.astimezone(zone)
        if local.fold:
            # Only forwards does the iterator handle an hour that is repeated.
            before = now - _TWICE
            opened = [start for start in self._starts(before, now) if start <= now]
            return opened[-1] if opened else self._last_start(before)
        # The iterator omits the second that it starts with; a window that opens then is open.
        begin = local.replace(microsecond=local.microsecond or 1)
        start = next(CronSim(self.schedule, begin, reverse=True), None)
        return None if start is None else start.astimezone(now.tzinfo)

    def _starts(self, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
        """Yield start times after ``after``, which must not be in a repeated hour."""
        for start in CronSim(self.schedule, after.astimezone(time_zone(self.timezone))):
            at = start.astimezone(after.tzinfo)
            if until is not None and at > until:
                return
            yield at

    def next_start(self, now: datetime) -> datetime | None:
        """Return the next start, or None if the schedule has none within 50 years."""
        if not self.schedule:
            return None
        before = now - _TWICE if now.astimezone(time_zone(self.timezone)).fold else now
        return next((start for start in self._starts(before) if start > now), None)


@frozen(kw_only=True)
class Silence:
    """Suppresses matching alerts between two moments (aware UTC). With a ``window`` it is a
    maintenance window made by a person, and suppresses only while that is open."""

    id: UUID = Factory(new_id)
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str = ""
    window: Window | None = None

    def state(self, now: datetime) -> str:
        """Return ``pending``, ``active`` or ``expired``."""
        if now >= self.ends_at:
            return "expired"
        return "active" if now >= self.starts_at else "pending"

    @property
    def scheduled(self) -> bool:
        """Whether it suppresses only while a scheduled window is open."""
        return self.window is not None and bool(self.window.schedule)

    def open_until(self, now: datetime) -> datetime | None:
        """Return until when it suppresses without a break; None if it does not at ``now``."""
        if self.state(now) != "active":
            return None
        if self.window is None or not self.window.schedule:
            return self.ends_at
        until = self.window.active_until(now)
        return None if until is None else min(until, self.ends_at)

    def next_start(self, now: datetime) -> datetime | None:
        """Return when it next begins to suppress, or None if it does not any more."""
        if self.window is None or not self.window.schedule:
            return self.starts_at if now < self.starts_at else None
        # The schedule omits the moment it starts with, and a window may open just then.
        found = self.window.next_start(max(now, self.starts_at - timedelta(minutes=1)))
        return found if found is not None and found < self.ends_at else None


def check_schedule(text: str) -> str:
    """Return a cron expression unchanged.

    Raises:
        ValueError: it is invalid.
    """
    try:
        CronSim(text, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is no cron schedule ({error}); write five fields, such as '0 3 * * 0'"
        ) from error
    return text


class Silencer:
    """The silences and windows in force: ``windows`` are from the configuration, ``silences``
    include the windows that people made."""

    def __init__(self) -> None:
        self.silences: dict[UUID, Silence] = {}
        self.windows: tuple[Window, ...] = ()
        self._open: dict[UUID | str, datetime] = {}
        self._looked: datetime | None = None

    def put(self, silences: Iterable[Silence]) -> None:
        """Add silences, or replace those of the same id."""
        self.silences.update({silence.id: silence for silence in silences})
        self.look_again()

    def made_windows(self, now: datetime) -> Mapping[str, Silence]:
        """Return the maintenance windows made by people that have not ended, by name."""
        return {
            silence.window.name: silence
            for silence in self.silences.values()
            if silence.window is not None and silence.state(now) != "expired"
        }

    def open(self, now: datetime) -> Mapping[UUID | str, datetime]:
        """Return the end of every scheduled window that is open now, by name (configuration) or id
        (made by people). Computed at most once a second, since cron schedules are slow."""
        if self._looked is None or abs((now - self._looked).total_seconds()) >= 1:
            self._looked = now
            ends: dict[UUID | str, datetime | None] = {
                **{s.id: s.open_until(now) for s in self.silences.values() if s.scheduled},
                **{window.name: window.active_until(now) for window in self.windows},
            }
            self._open = {key: end for key, end in ends.items() if end is not None}
        return self._open

    def any(self) -> bool:
        """Return whether anything could suppress an alert."""
        return bool(self.silences or self.windows)

    def look_again(self) -> None:
        """Invalidate the cache of open windows after a change."""
        self._looked = None

    def mutes(self, alert: Alert, target: Target | None, now: datetime) -> Suppression | None:
        """Return what silences an alert now, or None. Silences take precedence over windows."""
        opened = self.open(now)
        windows: list[tuple[Window, tuple[Matcher, ...], datetime]] = []
        for silence in self.silences.values():
            until = opened.get(silence.id) if silence.scheduled else silence.open_until(now)
            if until is None:
                continue
            if silence.window is not None:
                windows.append((silence.window, silence.matchers, until))
            elif match_all(silence.matchers, alert, target):
                said = f": {silence.comment}" if silence.comment else ""
                return Suppression(
                    cause=Cause.SILENCED,
                    by=str(silence.id),
                    message=f"silenced by {silence.created_by} until {_clock(until)}{said}",
                )
        for window in self.windows:
            if (until := opened.get(window.name)) is not None:
                windows.append((window, window.matchers, until))
        for window, matchers, until in windows:
            if match_all(matchers, alert, target):
                return Suppression(
                    cause=Cause.MAINTENANCE,
                    by=window.name,
                    message=f"maintenance window {window.name} until {_clock(until)}",
                )
        return None


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
