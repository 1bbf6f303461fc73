"""The end of an alert: resolution, notification of the recovery, closing."""

from __future__ import annotations

from tocsin.core.alerts.due import is_flapping
from tocsin.core.alerts.model import Alert, Cause, Change, Phase
from tocsin.core.alerts.walk import Walk


def resolve(walk: Walk, alert: Alert) -> None:
    """Resolve a firing alert, and notify of the recovery unless that is held back."""
    now = walk.now.steady
    flapping = is_flapping(alert, walk.policy, now)
    alert = walk.set(
        phase=Phase.RESOLVED,
        resolved=now,
        resolved_at=walk.now.wall,
        downtime=max(0.0, now - alert.since),
        resolution=walk.verdict.message or "back in order",
        recovered=walk.verdict.recovered,
        suppression=None,
        hold_until=now + walk.policy.cooldown if flapping else None,
        rule_state=walk.verdict.rule_state,
    )
    if not alert.notified:
        if alert.undelivered:  # the next firing counts as the first
            walk.set(last_notified=None, undelivered=False)
        walk.notify(Change.RESOLVED, reason="unheard", why="no channel delivered its firing")
    elif flapping:
        walk.notify(Change.RESOLVED, reason="flapping", why="sent once it has lasted a cooldown")
    elif walk.is_settling:
        walk.notify(Change.RESOLVED, reason=Cause.SETTLING, why="tocsin has just started")
    else:
        _recover(walk)


def look_at_resolved(walk: Walk, alert: Alert) -> None:
    """Notify of a recovery that was held back; close the alert after its cooldown."""
    now, policy = walk.now.steady, walk.policy
    assert alert.resolved is not None  # noqa: S101
    if alert.notified and not walk.is_settling and now >= (alert.hold_until or now):
        _recover(walk)
    if now - alert.resolved >= policy.cooldown and not walk.is_awaited:
        walk.record(Change.CLOSED)
        walk.alert = None


def _recover(walk: Walk) -> None:
    walk.set(
        notified=False,
        last_notified=walk.now.steady,
        hold_until=None,
        deferred_channels=frozenset(),
    )
    walk.notify(Change.RESOLVED)
