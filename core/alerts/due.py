"""When time alone changes an alert, or has people told of it again. Pure."""

from __future__ import annotations

from tocsin.core.alerts.model import Alert, Phase, Policy

FLAPS = 2
"""Reopenings from which on an alert counts as flapping, while its firings are short."""

FLAP_PAUSE = 4
"""Cooldowns between two messages about an alert that flaps."""


def due(alert: Alert, policy: Policy) -> float | None:
    """The steady time at which time alone changes an alert, or None."""
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
    """Whether an alert that ends at the steady second ``now`` was short once more."""
    return alert.flaps >= FLAPS and alert.fired is not None and now - alert.fired < policy.cooldown


def next_notification(alert: Alert, policy: Policy) -> float:
    """The steady second at which a firing alert is to be told of again."""
    assert alert.last_notified is not None and alert.fired is not None  # noqa: S101, PT018
    pause = alert.last_notified + policy.cooldown
    if alert.flaps < FLAPS or not alert.flaps_notified:
        return pause
    return min(
        max(pause, alert.fired + policy.cooldown),
        alert.last_notified + FLAP_PAUSE * policy.cooldown,
    )
