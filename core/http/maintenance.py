"""Maintenance windows from the configuration, and those created through the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.alerts.silences import Silence, Window, check_schedule
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.hiding import clean
from tocsin.core.http.history import Moment
from tocsin.core.http.problems import Problem, not_found
from tocsin.core.http.routing import Call
from tocsin.core.http.silences import LONGEST, asked, shown, times
from tocsin.core.units import parse_duration, time_zone

routes = Routes()

LONGEST_WINDOW = 7 * 86400.0


@frozen(kw_only=True)
class WindowView:
    """A maintenance window. ``until`` is set while it is open.

    ``origin`` is ``config`` (defined in tocsin.toml and changed there) or ``api`` (created by
    ``created_by``, removed after ``ends_at``). A window without ``schedule`` opens once.
    """

    name: str
    schedule: str | None
    duration_seconds: float
    timezone: str
    matchers: tuple[str, ...]
    until: datetime | None
    next_start: datetime | None
    origin: str
    created_by: str | None = None
    comment: str = ""
    ends_at: datetime | None = None


@frozen(kw_only=True)
class WindowList:
    """The maintenance windows, sorted by name."""

    items: list[WindowView]


@frozen(kw_only=True)
class WindowBody:
    """A new maintenance window.

    With ``schedule`` (five cron fields, in ``timezone`` or else the configured time zone) it opens
    repeatedly for ``duration`` (such as ``2h``), until ``until``. Without a schedule it opens once,
    at ``starts_at`` or else now. Without matchers it applies to all targets.
    """

    name: Annotated[
        str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    ]
    duration: Annotated[str, msgspec.Meta(max_length=40)]
    schedule: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    timezone: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    starts_at: Moment | None = None
    until: Moment | None = None
    matchers: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=400)], ...], msgspec.Meta(max_length=20)
    ] = ()
    comment: Annotated[str, msgspec.Meta(max_length=500)] = ""


def _configured(window: Window, now: datetime) -> WindowView:
    """Return the view of a window from the configuration."""
    return WindowView(
        name=window.name,
        schedule=window.schedule,
        duration_seconds=window.duration,
        timezone=window.timezone,
        matchers=shown(window.matchers),
        until=window.active_until(now),
        next_start=window.next_start(now),
        origin="config",
    )


def _made(silence: Silence, window: Window, now: datetime) -> WindowView:
    """Return the view of a window that was created through the API."""
    return WindowView(
        name=window.name,
        schedule=window.schedule or None,
        duration_seconds=window.duration,
        timezone=window.timezone,
        matchers=shown(silence.matchers),
        until=silence.open_until(now),
        next_start=silence.next_start(now),
        origin="api",
        created_by=silence.created_by,
        comment=silence.comment,
        ends_at=silence.ends_at,
    )


@routes.get("/api/v1/maintenance")
async def list_windows(call: Call) -> WindowList:
    """List the maintenance windows that are open or will open."""
    now = call.monitor.clock.now()
    quiet = call.monitor.alerting.quiet
    views = [_configured(window, now) for window in quiet.windows]
    for silence in quiet.made_windows(now).values():
        assert silence.window is not None  # noqa: S101
        views.append(_made(silence, silence.window, now))
    return WindowList(items=sorted(views, key=lambda view: view.name))


@routes.post("/api/v1/maintenance", role=Role.OPERATOR, errors=(409, 422))
async def create_window(call: Call, body: WindowBody) -> WindowView:
    """Create a maintenance window."""
    now = call.monitor.clock.now()
    quiet = call.monitor.alerting.quiet
    if body.name in quiet.made_windows(now) or any(w.name == body.name for w in quiet.windows):
        raise Problem(
            409,
            f"there is a maintenance window {body.name!r} already; end it, or choose another name",
        )
    try:
        made = _silence(call, body, now)
    except (ValueError, OverflowError) as error:
        raise Problem(422, f"the maintenance window is wrong: {error}") from error
    assert made.window is not None  # noqa: S101
    entry = call.entry(
        "maintenance", body.name, matchers=list(shown(made.matchers)),
        schedule=made.window.schedule or None, duration_seconds=made.window.duration,
        until=made.ends_at.isoformat(), comment=made.comment,
    )  # fmt: skip
    await call.monitor.alerting.silencing.put(made, entry)
    return _made(made, made.window, now)


def _silence(call: Call, body: WindowBody, now: datetime) -> Silence:
    """Build the silence that carries a new window.

    Raises:
        ValueError: the body is inconsistent; the message says how.
        OverflowError: a time lies beyond the year 9999.
    """
    matchers = asked(body.matchers) if body.matchers else ()
    duration = parse_duration(body.duration)
    if not 60 <= duration <= LONGEST_WINDOW:
        raise ValueError("duration must be from '1m' to '7d'")
    zone = body.timezone or call.monitor.settings.timezone
    time_zone(zone)
    if body.schedule is None:
        if body.until is not None:
            raise ValueError("until needs a schedule; without one, duration alone sets the end")
        starts, ends = times(body.starts_at, None, body.duration, now)
    else:
        check_schedule(body.schedule)
        starts, ends = times(body.starts_at, body.until or now + LONGEST, None, now)
    window = Window(name=body.name, schedule=body.schedule or "", duration=duration, timezone=zone)
    return Silence(
        matchers=matchers, starts_at=starts, ends_at=ends, created_by=call.actor,
        comment=clean(body.comment), window=window,
    )  # fmt: skip


@routes.delete("/api/v1/maintenance/{name}", role=Role.OPERATOR, errors=(404, 409))
async def end_window(call: Call) -> WindowView:
    """End a maintenance window that was created through the API, and remove it.

    Alerts that are still firing are notified.
    """
    name = call.path["name"]
    now = call.monitor.clock.now()
    quiet = call.monitor.alerting.quiet
    silence = quiet.made_windows(now).get(name)
    if silence is None:
        if any(window.name == name for window in quiet.windows):
            raise Problem(
                409, f"[maintenance.{name}] is in the configuration file; remove it there"
            )
        raise not_found("maintenance window", name[:100])
    entry = call.entry("end-maintenance", name)
    ended = await call.monitor.alerting.silencing.end(silence, entry)
    assert ended.window is not None  # noqa: S101
    return _made(ended, ended.window, ended.ends_at)
