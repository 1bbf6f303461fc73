"""What people and channels did about an alert, noted in it. Pure."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from tocsin.core.alerts.model import Alert, Change, Moment, Phase, Transition


def acknowledged(
    alert: Alert, by: str | None, comment: str, now: Moment
) -> tuple[Alert, Transition]:
    """The alert taken note of by somebody; ``by`` None takes that back. Pure."""
    changed = evolve(
        alert,
        acknowledged_by=by,
        acknowledged_at=None if by is None else now.wall,
        comment=comment,
        # Repeats begin anew, not all at once.
        last_told=now.steady if by is None and alert.said else alert.last_told,
    )
    kind = Change.UNACKNOWLEDGED if by is None else Change.ACKNOWLEDGED
    made = Transition(id=now.ids.new(), kind=kind, alert=changed, at=now.wall, actor=by)
    return changed, made


def delivered(alert: Alert, channel: str, flaps: int) -> Alert:
    """The alert after a channel has told people that it fires, which had fired again ``flaps``
    times then. Pure."""
    alert = evolve(alert, ever_told=True, unheard=False)
    if flaps != alert.flaps or not (alert.told or alert.phase is Phase.FIRING):
        return alert  # its end was told, or goes out as well
    heard, owed = alert.heard | {channel}, alert.owed - {channel}
    return evolve(alert, told=True, heard=heard, owed=owed)


def held_back(alert: Alert, channel: str, underway: Collection[str]) -> Alert:
    """The alert after a channel was kept from telling that it fires at the last moment; it tells
    later. ``underway``: other channels that are still to tell. Pure."""
    if alert.phase is not Phase.FIRING:
        return alert
    heard = alert.heard - {channel}
    told = bool(heard or underway)
    unheard = alert.said and not (told or alert.ever_told)
    return evolve(alert, heard=heard, owed=alert.owed | {channel}, told=told, unheard=unheard)


def undelivered(alert: Alert, underway: Collection[str]) -> Alert:
    """The alert after a channel could not tell that it fires: where nobody was told, and nobody
    ``underway`` is to be, what fires next is news. Pure."""
    if alert.ever_told or alert.heard or underway:
        return alert
    if alert.phase is Phase.FIRING and alert.said:
        return evolve(alert, told=False, unheard=True)
    return evolve(alert, told=False, last_told=None)
