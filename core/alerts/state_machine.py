"""The life cycle of an alert, as one pure function.

=============  ==================================================  ================================
state          representation                                      left when
=============  ==================================================  ================================
(none)         no alert                                            rising or firing → pending
pending        PENDING                                             firing for ``for_seconds`` →
                                                                   firing; clear → (none)
firing         FIRING                                              clear → resolved
acknowledged   FIRING, ``acknowledged_by`` set: no repeats, no     clear → resolved; withdrawn →
               escalation; ends with the recovery's notification   firing
escalated      FIRING, ``escalated``: severity raised, channels    clear → resolved
               added, after ``escalate_after`` repeats
suppressed     FIRING, ``suppression`` set: continues, but no      suppression ends → notified then
               notification is sent                                (released); clear → resolved
resolved       RESOLVED, for a cooldown                            firing for ``for_seconds`` →
                                                                   reopened; cooldown over → closed
reopened       FIRING, ``flaps`` ≥ 1: notified a cooldown after    clear → resolved
(flap)         the last notification; while it flaps (reopened
               twice or more, each time firing for less than a
               cooldown) every 4 cooldowns, and its recovery is
               held back until it has lasted a cooldown
frozen         any, ``frozen`` set: the verdict is unknown; no     verdict known → all its times are
               time passes for it                                  shifted by the gap
=============  ==================================================  ================================

Notifications are sent for the firing, at once; for a repeat, each cooldown; for an escalation, in
place of the repeat after the last, or at once if the severity rises; and for the recovery, once, to
the channels that delivered the firing, even while the alert is suppressed.
"""

from __future__ import annotations

from tocsin.core.alerts.firing import fire, go_on
from tocsin.core.alerts.model import (
    Alert,
    Change,
    Key,
    Moment,
    Phase,
    Policy,
    Suppression,
    Transition,
)
from tocsin.core.alerts.recovery import look_at_resolved
from tocsin.core.alerts.walk import Walk
from tocsin.core.contracts.rule import Verdict, VerdictState


def step(
    key: Key,
    alert: Alert | None,
    verdict: Verdict,
    now: Moment,
    policy: Policy,
    suppression: Suppression | None = None,
) -> tuple[Alert | None, tuple[Transition, ...]]:
    """Advance one alert by a verdict. Pure; new ids come from ``now``.

    Args:
        key: rule and target.
        alert: the alert so far, or None.
        verdict: the rule's verdict.
        now: the moment of the step.
        policy: how the rule's alerts are handled.
        suppression: what mutes the alert now, or None.

    Returns:
        The alert afterwards (None if there is none any more), and its changes in order.
    """
    walk = Walk(key, alert, verdict, now, policy, suppression)
    _go(walk)
    return walk.alert, tuple(walk.changes)


def phase_of(alert: Alert | None) -> Phase | None:
    """Return an alert's phase; None without an alert."""
    return None if alert is None else alert.phase


def _go(walk: Walk) -> None:
    if walk.verdict.state is VerdictState.UNKNOWN:
        if walk.alert is not None and walk.alert.frozen is None:
            walk.set(frozen=walk.now.steady)
        if walk.alert is not None and walk.verdict.rule_state:
            walk.set(rule_state=walk.verdict.rule_state)
        return
    walk.thaw()
    if walk.alert is not None and walk.alert.phase is Phase.RESOLVED:
        if walk.verdict.rule_state != walk.alert.rule_state:
            walk.set(rule_state=walk.verdict.rule_state)
        look_at_resolved(walk, walk.alert)
    if walk.alert is None or walk.alert.phase is Phase.RESOLVED:
        _begin(walk)
    if walk.alert is not None and walk.alert.phase is Phase.PENDING:
        _pending(walk, walk.alert)
    if walk.alert is not None and walk.alert.phase is Phase.FIRING:
        go_on(walk, walk.alert)


def _begin(walk: Walk) -> None:
    if walk.verdict.state is VerdictState.CLEAR:
        return
    rule, target = walk.key
    if walk.alert is None:
        walk.alert = Alert(
            id=walk.now.ids.new(),
            rule=rule,
            target=target,
            since=walk.now.steady,
            since_at=walk.now.wall,
        )
    walk.set(
        phase=Phase.PENDING,
        since=walk.now.steady,
        since_at=walk.now.wall,
        firing_since=None,
        message=walk.verdict.message,
        details=walk.verdict.details,
        rule_state=walk.verdict.rule_state,
        severity=walk.policy.severity.raised() if walk.alert.escalated else walk.policy.severity,
    )
    if walk.alert.resolved is None:
        walk.record(Change.PENDING)


def _pending(walk: Walk, alert: Alert) -> None:
    state, now = walk.verdict.state, walk.now.steady
    if state is VerdictState.CLEAR:
        if alert.resolved is not None:  # its reopening was pending
            walk.set(phase=Phase.RESOLVED, rule_state=walk.verdict.rule_state)
            return
        walk.record(Change.CANCELLED)
        walk.alert = None
        return
    since = None
    if state is VerdictState.FIRING:
        since = now if alert.firing_since is None else alert.firing_since
    alert = walk.set(
        firing_since=since,
        message=walk.verdict.message,
        details=walk.verdict.details,
        rule_state=walk.verdict.rule_state,
    )
    if since is not None and now - since >= walk.policy.for_seconds:
        fire(walk, alert)
