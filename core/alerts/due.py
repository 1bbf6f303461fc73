"""Times at which an alert changes, or is notified again, without a new result. Pure."""

from __future__ import annotations

from tocsin.core.alerts.model import Alert, Phase, Policy

FLAPS = 2
"""Reopenings after which an alert with short firings counts as flapping."""

FLAP_PAUSE = 4
"""Cooldowns between two notifications of a flapping alert."""


def due(alert: Alert, policy: Policy) -> float | None:
    """Return the steady time at which the alert changes without a new result, or None."""
    if alert.frozen is not None:
        return None
    if alert.phase is Phase.PENDING:
        return None if alert.firing_since is None else alert.firing_since + policy.for_seconds
    if alert.phase is Phase.RESOLVED:
        assert alert.resolved is not None  # noqa: S101
        end = alert.resolved + policy.cooldown
        return end if alert.hold_until is None else min(end, alert.hold_until)
    if alert.suppression is not None or alert.acknowledged_by is not None:
        return None
    return alert.last_notified if alert.last_notified is None else next_notification(alert, policy)


def is_flapping(alert: Alert, policy: Policy, now: float) -> bool:
    """Return whether a flapping alert that ends at the steady time ``now`` was short again."""
    return alert.flaps >= FLAPS and alert.fired is not None and now - alert.fired < policy.cooldown


def next_notification(alert: Alert, policy: Policy) -> float:
    """Return the steady time of a firing alert's next notification."""
    assert alert.last_notified is not None and alert.fired is not None  # noqa: S101, PT018
    pause = alert.last_notified + policy.cooldown
    if alert.flaps < FLAPS or not alert.flaps_notified:
        return pause
    return min(
        max(pause, alert.fired + policy.cooldown),
        alert.last_notified + FLAP_PAUSE * policy.cooldown,
    )
