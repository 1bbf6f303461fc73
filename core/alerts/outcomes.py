"""What people and channels did about an alert, noted in it. Pure."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from tocsin.core.alerts.model import Alert, Change, Moment, Phase, Transition


def record_acknowledgement(
    alert: Alert, by: str | None, comment: str, now: Moment
) -> tuple[Alert, Transition]:
    """The alert taken note of by somebody; ``by`` None takes that back. Pure."""
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
    """The alert after a channel has told people that it fires, which had fired again ``flaps``
    times then. Pure."""
    alert = evolve(alert, ever_notified=True, undelivered=False)
    if flaps != alert.flaps or not (alert.notified or alert.phase is Phase.FIRING):
        return alert  # its end was told, or goes out as well
    heard, owed = alert.notified_channels | {channel}, alert.deferred_channels - {channel}
    return evolve(alert, notified=True, notified_channels=heard, deferred_channels=owed)


def record_deferral(alert: Alert, channel: str, underway: Collection[str]) -> Alert:
    """The alert after a channel was kept from telling that it fires at the last moment; it tells
    later. ``underway``: other channels that are still to tell. Pure."""
    if alert.phase is not Phase.FIRING:
        return alert
    heard = alert.notified_channels - {channel}
    told = bool(heard or underway)
    unheard = alert.announced and not (told or alert.ever_notified)
    return evolve(
        alert,
        notified_channels=heard,
        deferred_channels=alert.deferred_channels | {channel},
        notified=told,
        undelivered=unheard,
    )


def record_failure(alert: Alert, underway: Collection[str]) -> Alert:
    """The alert after a channel could not tell that it fires: where nobody was told, and nobody
    ``underway`` is to be, what fires next is news. Pure."""
    if alert.ever_notified or alert.notified_channels or underway:
        return alert
    if alert.phase is Phase.FIRING and alert.announced:
        return evolve(alert, notified=False, undelivered=True)
    return evolve(alert, notified=False, last_notified=None)
