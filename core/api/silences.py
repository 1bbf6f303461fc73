"""Silences and maintenance windows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from attrs import frozen

from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.silences import Silence
from tocsin.core.api.history import Moment
from tocsin.core.api.problems import Problem, not_found
from tocsin.core.api.routing import Call, Routes
from tocsin.core.auth import Role
from tocsin.core.logs import clean
from tocsin.core.units import parse_duration

routes = Routes()

LONGEST = timedelta(days=366)


@frozen(kw_only=True)
class SilenceView:
    """A silence: ``state`` is pending, active or expired."""

    id: UUID
    matchers: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    state: str


@frozen(kw_only=True)
class SilenceList:
    """Silences, the one that ends last first; expired ones are shown for a day."""

    items: list[SilenceView]


@frozen(kw_only=True)
class SilenceBody:
    """A new silence. ``matchers`` such as ``target=web*``; give either ``until`` (RFC 3339) or
    ``duration`` (``2h``); ``starts_at`` unset: now."""

    matchers: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=400)], ...], msgspec.Meta(max_length=20)
    ]
    until: Moment | None = None
    duration: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    starts_at: Moment | None = None
    comment: Annotated[str, msgspec.Meta(max_length=500)] = ""


@frozen(kw_only=True)
class WindowView:
    """A maintenance window of the configuration: ``until`` is set while it is open."""

    name: str
    schedule: str
    duration_seconds: float
    timezone: str
    matchers: tuple[str, ...]
    until: datetime | None
    next_start: datetime | None


@frozen(kw_only=True)
class WindowList:
    """Maintenance windows, by name."""

    items: list[WindowView]


def silence_view(silence: Silence, now: datetime) -> SilenceView:
    """A silence's view."""
    return SilenceView(
        id=silence.id,
        matchers=tuple(str(matcher) for matcher in silence.matchers),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        created_by=silence.created_by,
        comment=silence.comment,
        state=silence.state(now),
    )


@routes.get("/api/v1/silences")
async def list_silences(call: Call) -> SilenceList:
    """List the silences that are, will be, or were until a day ago."""
    now = call.monitor.clock.now()
    silences = sorted(call.monitor.alerting.quiet.silences.values(), key=lambda s: s.ends_at)
    return SilenceList(items=[silence_view(silence, now) for silence in reversed(silences)])


@routes.post("/api/v1/silences", role=Role.OPERATOR, errors=(422,))
async def create_silence(call: Call, body: SilenceBody) -> SilenceView:
    """Keep alerts that match from being told for a while."""
    now = call.monitor.clock.now()
    try:
        matchers = parse_all(clean(text) for text in body.matchers)
        starts, ends = _times(body, now)
    except (ValueError, OverflowError) as error:
        raise Problem(422, f"the silence is wrong: {error}") from error
    who = "anonymous" if call.who is None else call.who.name
    made = call.monitor.alerting.silence(matchers, starts, ends, who, clean(body.comment))
    call.audit(
        "silence", str(made.id), matchers=[str(m) for m in matchers],
        until=made.ends_at.isoformat(), comment=made.comment,
    )  # fmt: skip
    return silence_view(made, now)


def _times(body: SilenceBody, now: datetime) -> tuple[datetime, datetime]:
    if (body.until is None) == (body.duration is None):
        raise ValueError("give either until (a time) or duration (such as '2h')")
    starts = now if body.starts_at is None else body.starts_at
    if starts.tzinfo is None or (body.until is not None and body.until.tzinfo is None):
        raise ValueError("times need a zone, such as 2026-01-15T12:00:00Z")
    if body.starts_at is not None and starts < now - timedelta(minutes=1):
        raise ValueError("starts_at lies in the past")
    if body.until is not None:
        ends = body.until
    else:
        assert body.duration is not None  # noqa: S101
        ends = starts + timedelta(seconds=parse_duration(body.duration))
    if ends <= now:
        raise ValueError("it would end in the past")
    if ends <= starts:
        raise ValueError("it would end before it begins")
    if ends - starts > LONGEST:
        raise ValueError("it would last more than a year; switch the rule off instead")
    return starts, ends


@routes.delete("/api/v1/silences/{id}", role=Role.OPERATOR, errors=(404, 409))
async def end_silence(call: Call) -> SilenceView:
    """End a silence now: what still fires is told."""
    try:
        silence = call.monitor.alerting.quiet.silences.get(UUID(call.path["id"]))
    except ValueError:
        silence = None
    if silence is None:
        raise not_found("silence", call.path["id"][:60])
    now = call.monitor.clock.now()
    if silence.state(now) == "expired":
        raise Problem(409, "it has ended already")
    ended = call.monitor.alerting.end_silence(silence)
    call.audit("end-silence", str(silence.id))
    return silence_view(ended, ended.ends_at)


@routes.get("/api/v1/maintenance")
async def list_windows(call: Call) -> WindowList:
    """List the maintenance windows of the configuration."""
    now = call.monitor.clock.now()
    windows = sorted(call.monitor.alerting.quiet.windows, key=lambda w: w.name)
    return WindowList(
        items=[
            WindowView(
                name=window.name,
                schedule=window.schedule,
                duration_seconds=window.duration,
                timezone=window.timezone,
                matchers=tuple(str(matcher) for matcher in window.matchers),
                until=window.active_until(now),
                next_start=window.next_start(now),
            )
            for window in windows
        ]
    )
