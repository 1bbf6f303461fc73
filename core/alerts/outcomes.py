"""Changes of an alert by people and channels: acknowledgement, delivery, failure. Pure."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from tocsin.core.alerts.model import Alert, Change, Moment, Phase, Transition


def record_acknowledgement(
    alert: Alert, by: str | None, comment: str, now: Moment
) -> tuple[Alert, Transition]:
    """Return the alert after an acknowledgement (``by`` None: its end), and the change."""
    changed = evolve(
        alert,
        acknowledged_by=by,
        acknowledged_at=None if by is None else now.wall,
        comment=comment,
        # Repeats that came due meanwhile are not sent at once.
        last_notified=now.steady if by is None and alert.announced else alert.last_notified,
    )
    kind = Change.UNACKNOWLEDGED if by is None else Change.ACKNOWLEDGED
    made = Transition(id=now.ids.new(), kind=kind, alert=changed, at=now.wall, actor=by)
    return changed, made


def record_delivery(alert: Alert, channel: str, flaps: int) -> Alert:
    """Return the alert after a channel delivered its firing.

    Args:
        alert: the alert as it is now.
        channel: the channel that delivered.
        flaps: how often the alert had reopened when the notification was made.
    """
    alert = evolve(alert, ever_notified=True, undelivered=False)
    if flaps != alert.flaps or not (alert.notified or alert.phase is Phase.FIRING):
        return alert  # its end was delivered, or is queued
    return evolve(
        alert,
        notified=True,
        notified_channels=alert.notified_channels | {channel},
        deferred_channels=alert.deferred_channels - {channel},
    )


def record_deferral(alert: Alert, channel: str, underway: Collection[str]) -> Alert:
    """Return the alert after a channel's notification of its firing was withdrawn, to be sent
    later.

    ``underway``: other channels whose notification is still queued.
    """
    if alert.phase is not Phase.FIRING:
        return alert
    channels = alert.notified_channels - {channel}
    notified = bool(channels or underway)
    return evolve(
        alert,
        notified_channels=channels,
        deferred_channels=alert.deferred_channels | {channel},
        notified=notified,
        undelivered=alert.announced and not (notified or alert.ever_notified),
    )


def record_failure(alert: Alert, underway: Collection[str]) -> Alert:
    """Return the alert after a channel could not deliver its firing.

    If no channel delivered it and none is ``underway``, the next firing counts as the first.
    """
    if alert.ever_notified or alert.notified_channels or underway:
        return alert
    if alert.phase is Phase.FIRING and alert.announced:
        return evolve(alert, notified=False, undelivered=True)
    return evolve(alert, notified=False, last_notified=None)
