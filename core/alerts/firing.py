"""State changes of a firing alert: notify, repeat, escalate, suppress, resolve."""

from __future__ import annotations

from tocsin.core.alerts.due import FLAPS, is_flapping, next_notification
from tocsin.core.alerts.model import Alert, Change, Phase
from tocsin.core.alerts.recovery import resolve
from tocsin.core.alerts.walk import Walk
from tocsin.core.contracts.rule import VerdictState


def fire(walk: Walk, alert: Alert) -> None:
    """Make a pending alert fire, after its verdict has been firing for long enough."""
    now = walk.now.steady
    again = alert.resolved is not None
    if again and not alert.notified and alert.recovered:
        # Its recovery was notified, so the acknowledgement does not cover this new firing.
        alert = walk.set(acknowledged_by=None, acknowledged_at=None, comment="")
    alert = walk.set(
        phase=Phase.FIRING,
        fired=now,
        fired_at=walk.now.wall,
        resolved=None,
        resolved_at=None,
        downtime=None,
        resolution="",
        recovered=True,
        hold_until=None,
        flaps=alert.flaps + again,
        suppression=walk.suppression,
    )
    kind = Change.REOPENED if again else Change.FIRED
    if alert.notified:  # its recovery was held back, so people still know it as firing
        walk.notify(kind, reason="flapping", why="its recovery was not notified yet")
    elif walk.suppression is not None:
        walk.notify(kind, reason=walk.suppression.cause, why=walk.suppression.message)
    elif alert.last_notified is not None and now < next_notification(alert, walk.policy):
        walk.notify(kind, reason="cooldown", why="people were notified less than a cooldown ago")
    else:
        _announce(walk, kind if alert.flaps < FLAPS else Change.FLAPPING)


def _announce(walk: Walk, kind: Change) -> None:
    assert walk.alert is not None  # noqa: S101
    flapping = kind in (Change.FLAPPING, Change.REOPENED)
    walk.set(
        notified=True,
        undelivered=False,
        last_notified=walk.now.steady,
        flaps_notified=walk.alert.flaps_notified + flapping,
    )
    walk.notify(kind)


def go_on(walk: Walk, alert: Alert) -> None:
    """Update a firing alert: resolve it, or notify again if that is due."""
    if walk.verdict.state is VerdictState.CLEAR:
        resolve(walk, alert)
        return
    now, before = walk.now.steady, alert.severity
    announced = alert.announced
    alert = walk.set(
        message=walk.verdict.message,
        details=walk.verdict.details,
        rule_state=walk.verdict.rule_state,
        severity=walk.policy.severity.raised() if alert.escalated else walk.policy.severity,
    )
    if _is_muted(walk, alert) or alert.acknowledged_by is not None:
        return
    if alert.deferred_channels or alert.last_notified is None:
        _announce(walk, Change.RELEASED)
    elif announced and alert.severity.rank > before.rank:
        _announce(walk, Change.ESCALATED)
    elif now < next_notification(alert, walk.policy):
        return
    elif is_flapping(alert, walk.policy, now):
        _announce(walk, Change.FLAPPING)
    elif not announced:
        _announce(walk, Change.REOPENED)
    elif walk.policy.escalate_after and not alert.escalated:
        if alert.repeats >= walk.policy.escalate_after:
            walk.set(escalated=True, severity=walk.policy.severity.raised())
            _announce(walk, Change.ESCALATED)
        else:
            _repeat(walk, alert)
    else:
        _repeat(walk, alert)


def _repeat(walk: Walk, alert: Alert) -> None:
    walk.set(repeats=alert.repeats + 1)
    _announce(walk, Change.REPEATED)


def _is_muted(walk: Walk, alert: Alert) -> bool:
    """Copy the current suppression into the alert; return whether there is one."""
    if walk.is_settling and (alert.announced or alert.suppression is not None):
        return True  # the settling phase after a start is no new suppression
    if walk.suppression != alert.suppression:
        alert = walk.set(suppression=walk.suppression)
        if walk.suppression is not None:
            walk.notify(
                Change.SUPPRESSED, reason=walk.suppression.cause, why=walk.suppression.message
            )
    return walk.suppression is not None
