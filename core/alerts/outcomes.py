"""What people and channels did about an alert, recorded in it. Pure."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from tocsin.core.alerts.model import Alert, Change, Moment, Phase, Transition


def record_acknowledgement(
    alert: Alert, by: str | None, comment: str, now: Moment
) -> tuple[Alert, Transition]:
    """The alert after a person acknowledged it; ``by`` None takes that back. Pure."""
    changed = evolve(
        alert,
        acknowledged_by=by,
        acknowledged_at=None if by is None else now.wall,
        comment=comment,
        # Repeats begin anew, not all at once.
        last_notified=now.steady if by is None and alert.announced else alert.last_notified,
    )
    kind = Change.UNACKNOWLEDGED if by is None else Change.ACKNOWLEDGED
    made = Transition(id=now.ids.new(), kind=kind, alert=changed, at=now.wall, actor=by)
    return changed, made


def record_delivery(alert: Alert, channel: str, flaps: int) -> Alert:
    """The alert after a channel delivered that it fires, which had fired again ``flaps`` times
    then. Pure."""
    alert = evolve(alert, ever_notified=True, undelivered=False)
    if flaps != alert.flaps or not (alert.notified or alert.phase is Phase.FIRING):
        return alert  # its end was delivered, or goes out as well
    return evolve(
        alert,
        notified=True,
        notified_channels=alert.notified_channels | {channel},
        deferred_channels=alert.deferred_channels - {channel},
    )


def record_deferral(alert: Alert, channel: str, underway: Collection[str]) -> Alert:
    """The alert after a channel's message that it fires was withdrawn at the last moment; it is
    sent later. ``underway``: other channels whose message is still to be delivered. Pure."""
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
    """The alert after a channel could not deliver that it fires: where no channel delivered it, and
    none is ``underway``, the next firing counts as the first. Pure."""
    if alert.ever_notified or alert.notified_channels or underway:
        return alert
    if alert.phase is Phase.FIRING and alert.announced:
        return evolve(alert, notified=False, undelivered=True)
    return evolve(alert, notified=False, last_notified=None)
