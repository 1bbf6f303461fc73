"""Silences: suppression of matching alerts by a person, for a limited time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from attrs import frozen

from tocsin.core.alerts.matchers import Matcher, parse_all
from tocsin.core.alerts.silences import Silence
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.hiding import clean, is_plain
from tocsin.core.http.history import Moment
from tocsin.core.http.problems import Problem, not_found
from tocsin.core.http.routing import Call
from tocsin.core.units import parse_duration

routes = Routes()

LONGEST = timedelta(days=366)
FURTHEST = timedelta(days=3660)
TOO_FAR = "starts_at lies more than ten years ahead"


@frozen(kw_only=True)
class SilenceView:
    """A silence. ``state`` is pending, active or expired."""

    id: UUID
    matchers: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    state: str


@frozen(kw_only=True)
class SilenceList:
    """Silences, the one that ends last first; expired ones are listed for a day."""

    items: list[SilenceView]


@frozen(kw_only=True)
class SilenceBody:
    """A new silence.

    ``matchers`` select alerts, such as ``target=web*``. Give either ``until`` (RFC 3339) or
    ``duration`` (such as ``2h``). Without ``starts_at`` the silence starts now.
    """

    matchers: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=400)], ...], msgspec.Meta(max_length=20)
    ]
    until: Moment | None = None
    duration: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    starts_at: Moment | None = None
    comment: Annotated[str, msgspec.Meta(max_length=500)] = ""


def asked(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Parse the matchers of a request.

    A matcher that looks like a secret is rejected and not redacted: the ``*`` of the redacted text
    would match anything.

    Raises:
        ValueError: a matcher is malformed, has control characters, or looks like a secret.
    """
    if not all(is_plain(text) for text in texts):
        raise ValueError(
            "a matcher must not contain control characters or line breaks; write ? for each"
        )
    if any(clean(text) != text for text in texts):
        raise ValueError("a matcher contains what looks like a secret; write * in its place")
    return parse_all(texts)


def shown(matchers: Iterable[Matcher]) -> tuple[str, ...]:
    """Return matchers as text, with secrets removed."""
    return tuple(clean(str(matcher)) for matcher in matchers)


def silence_view(silence: Silence, now: datetime) -> SilenceView:
    """Return the API's view of a silence."""
    return SilenceView(
        id=silence.id,
        matchers=shown(silence.matchers),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        created_by=silence.created_by,
        comment=silence.comment,
        state=silence.state(now),
    )


@routes.get("/api/v1/silences")
async def list_silences(call: Call) -> SilenceList:
    """List the silences that are active, pending, or expired within the last day."""
    now = call.monitor.clock.now()
    known = call.monitor.alerting.quiet.silences.values()
    silences = sorted((s for s in known if s.window is None), key=lambda s: s.ends_at)
    return SilenceList(items=[silence_view(silence, now) for silence in reversed(silences)])


@routes.post("/api/v1/silences", role=Role.OPERATOR, errors=(422,))
async def create_silence(call: Call, body: SilenceBody) -> SilenceView:
    """Create a silence: notifications of matching alerts are suppressed for a limited time."""
    now = call.monitor.clock.now()
    try:
        matchers = asked(body.matchers)
        starts, ends = times(body.starts_at, body.until, body.duration, now)
    except (ValueError, OverflowError) as error:
        raise Problem(422, f"the silence is wrong: {error}") from error
    made = Silence(
        matchers=matchers,
        starts_at=starts,
        ends_at=ends,
        created_by=call.actor,
        comment=clean(body.comment),
    )
    entry = call.entry(
        "silence", str(made.id), matchers=list(shown(matchers)),
        until=made.ends_at.isoformat(), comment=made.comment,
    )  # fmt: skip
    await call.monitor.alerting.silencing.put(made, entry)
    return silence_view(made, now)


def times(
    starts_at: datetime | None, until: datetime | None, duration: str | None, now: datetime
) -> tuple[datetime, datetime]:
    """Return the start and end that a request asks for.

    Args:
        starts_at: the start; None for ``now``.
        until: the end; None if ``duration`` is given.
        duration: the time from start to end, such as "2h"; None if ``until`` is given.
        now: the current time.

    Raises:
        ValueError: the times contradict each other, or lie outside of the limits.
    """
    if (until is None) == (duration is None):
        raise ValueError("give either until (a time) or duration (such as '2h')")
    starts = now if starts_at is None else starts_at
    if starts.tzinfo is None or (until is not None and until.tzinfo is None):
        raise ValueError("times need a zone, such as 2026-01-15T12:00:00Z")
    if starts < now - timedelta(minutes=1):
        raise ValueError("starts_at lies in the past")
    if until is not None:
        ends = until
    else:
        assert duration is not None  # noqa: S101
        seconds = parse_duration(duration)
        if starts > now + FURTHEST:
            raise ValueError(TOO_FAR)
        ends = starts + timedelta(seconds=seconds)
    if ends <= now:
        raise ValueError("it would end in the past")
    if ends <= starts:
        raise ValueError("it would end before it begins")
    if starts > now + FURTHEST:
        raise ValueError(TOO_FAR)
    if ends - starts > LONGEST:
        raise ValueError("it would last more than a year; switch the rule off instead")
    return starts, ends


@routes.delete("/api/v1/silences/{id}", role=Role.OPERATOR, errors=(404, 409))
async def end_silence(call: Call) -> SilenceView:
    """End a silence now.

    Alerts that are still firing are notified.
    """
    try:
        silence = call.monitor.alerting.quiet.silences.get(UUID(call.path["id"]))
    except ValueError:
        silence = None
    if silence is None or silence.window is not None:
        raise not_found("silence", call.path["id"][:60])
    now = call.monitor.clock.now()
    if silence.state(now) == "expired":
        raise Problem(409, "it has ended already")
    entry = call.entry("end-silence", str(silence.id))
    ended = await call.monitor.alerting.silencing.end(silence, entry)
    return silence_view(ended, ended.ends_at)
