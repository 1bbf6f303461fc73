"""Silences by people and maintenance windows by schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import Factory, frozen
from cronsim import CronSim, CronSimError

from tocsin.core.alerts.matchers import Matcher, match_all
from tocsin.core.alerts.model import Alert, Cause, Suppression
from tocsin.core.ids import new_id
from tocsin.core.model import Target


@frozen(kw_only=True)
class Silence:
    """Alerts that match are not told between two moments (aware UTC)."""

    id: UUID = Factory(new_id)
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str = ""

    def state(self, now: datetime) -> str:
        """``pending``, ``active`` or ``expired``."""
        if now >= self.ends_at:
            return "expired"
        return "active" if now >= self.starts_at else "pending"


@frozen(kw_only=True)
class Window:
    """A maintenance window: from each moment that ``schedule`` (five cron fields, in ``timezone``)
    names, for ``duration`` seconds, alerts that match are not told."""

    name: str
    schedule: str
    duration: float
    timezone: str = "UTC"
    matchers: tuple[Matcher, ...] = ()

    def active_until(self, now: datetime) -> datetime | None:
        """When the window that is open at ``now`` ends; None where none is."""
        local = now.astimezone(ZoneInfo(self.timezone))
        # The iterator leaves its own start out, and a window that opens now is open.
        start = next(CronSim(self.schedule, local + timedelta(minutes=1), reverse=True), None)
        while start is not None and start > local:
            start = next(CronSim(self.schedule, start, reverse=True), None)
        if start is None:
            return None
        end = start.astimezone(now.tzinfo) + timedelta(seconds=self.duration)
        return end if now < end else None

    def next_start(self, now: datetime) -> datetime | None:
        """When it opens next; None where the schedule names no moment within 50 years."""
        found = next(CronSim(self.schedule, now.astimezone(ZoneInfo(self.timezone))), None)
        return None if found is None else found.astimezone(now.tzinfo)


def check_schedule(text: str) -> str:
    """A cron expression as it is. Raises ValueError where it is none."""
    try:
        CronSim(text, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is no cron schedule ({error}); write five fields, such as '0 3 * * 0'"
        ) from error
    return text


class Quiet:
    """The silences and windows in force."""

    def __init__(self) -> None:
        self.silences: dict[UUID, Silence] = {}
        self.windows: tuple[Window, ...] = ()
        self._open: dict[str, datetime] = {}
        self._looked: datetime | None = None

    def put(self, silences: Iterable[Silence]) -> None:
        """Add silences, or replace those of the same id."""
        self.silences.update({silence.id: silence for silence in silences})

    def open_windows(self, now: datetime) -> Mapping[str, datetime]:
        """Names of the windows open now, and when each ends; worked out once a second."""
        if self._looked is None or abs((now - self._looked).total_seconds()) >= 1:
            self._looked = now
            ends = {window.name: window.active_until(now) for window in self.windows}
            self._open = {name: end for name, end in ends.items() if end is not None}
        return self._open

    def any(self) -> bool:
        """Whether there is anything that could suppress an alert."""
        return bool(self.silences or self.windows)

    def look_again(self) -> None:
        """Work the windows out anew, the configuration having changed."""
        self._looked = None

    def over(self, alert: Alert, target: Target | None, now: datetime) -> Suppression | None:
        """What silences an alert now, or None."""
        for silence in self.silences.values():
            if silence.state(now) == "active" and match_all(silence.matchers, alert, target):
                said = f": {silence.comment}" if silence.comment else ""
                until = _clock(silence.ends_at)
                return Suppression(
                    cause=Cause.SILENCED,
                    by=str(silence.id),
                    message=f"silenced by {silence.created_by} until {until}{said}",
                )
        if self.windows and (opened := self.open_windows(now)):
            for window in self.windows:
                if window.name in opened and match_all(window.matchers, alert, target):
                    until = _clock(opened[window.name])
                    return Suppression(
                        cause=Cause.MAINTENANCE,
                        by=window.name,
                        message=f"maintenance window {window.name} until {until}",
                    )
        return None


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
