"""Routing: the channels that a change of an alert is for, and the reason if there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from tocsin.core.alerts.model import Alert, Change, Moment, Policy, Transition
from tocsin.core.alerts.outbox import NOBODY, Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.message import Kind, Notice
from tocsin.core.contracts.model import Target

_UNTOLD = frozenset({Change.PENDING, Change.CANCELLED, Change.CLOSED})

_KINDS = {
    Change.FIRED: Kind.FIRED,
    Change.RELEASED: Kind.FIRED,
    Change.REOPENED: Kind.FIRED,
    Change.REPEATED: Kind.REPEATED,
    Change.FLAPPING: Kind.FLAPPING,
    Change.ESCALATED: Kind.ESCALATED,
    Change.RESOLVED: Kind.RESOLVED,
}


def route(
    change: Transition,
    policy: Policy,
    channels: Mapping[str, ChannelSettings],
    now: Moment,
    target: Target | None,
    affected: tuple[str, ...],
    underway: frozenset[str] = frozenset(),
) -> list[Row]:
    """Return one outbox row for each channel that a change is for, or one that says why there is
    none.

    Args:
        change: the change of the alert.
        policy: the policy of its rule.
        channels: all channels, by name.
        now: the moment of the change.
        target: the alert's target, or None if it was removed.
        affected: names of the targets that depend on it.
        underway: channels whose notification of the firing is still queued.
    """
    alert = change.alert
    if change.kind in _UNTOLD:
        return []
    if change.kind in (Change.ACKNOWLEDGED, Change.UNACKNOWLEDGED):
        said = f": {alert.comment}" if alert.comment else ""
        word = "acknowledged by" if change.actor else "no longer acknowledged"
        why = f"{word} {change.actor or ''}".strip() + said
        return [_row(change, NOBODY, now, Decision.ACKNOWLEDGED, why)]
    if change.kind is Change.RESOLVED:
        names: Sequence[str] = sorted(alert.notified_channels | underway)
        weak: list[str] = []
    elif change.kind is Change.RELEASED and alert.deferred_channels:
        names, weak = sorted(alert.deferred_channels), []
    else:
        names, weak = wanted(alert, policy, channels.values())
    decision = Decision.QUEUED if change.notify else Decision(change.reason)
    # A recovery is queued even before its firing is delivered; the channel keeps their order.
    known = (
        alert.notified_channels
        if change.kind is Change.RESOLVED
        else alert.notified_channels | underway
    )
    rows = [
        evolve(
            _row(change, name, now, decision, change.why),
            notice=_notice(change, now, target, affected) if change.notify else None,
            first_notification=name not in known,
            sibling_channels=tuple(names),
        )
        for name in names
    ]
    if change.kind is Change.FIRED:
        least = {name: channels[name].min_severity.value for name in weak}
        rows += [
            _row(change, name, now, Decision.SEVERITY, f"its min_severity is {least[name]}")
            for name in weak
        ]
    if not names and not rows:
        if change.kind is Change.RESOLVED:
            decision, why = Decision.UNHEARD, change.why or "no channel delivered its firing"
        elif change.notify:
            decision, why = Decision.NO_CHANNEL, "no channel is configured for it"
        else:
            why = change.why
        rows = [_row(change, NOBODY, now, decision, why)]
    return rows


def wanted(
    alert: Alert, policy: Policy, channels: Iterable[ChannelSettings]
) -> tuple[list[str], list[str]]:
    """Return the channels that an alert is for, and those whose ``min_severity`` is above its
    severity.

    A policy that names channels, notifiers or ``*`` selects exactly these; otherwise every channel
    whose ``min_severity`` the alert reaches is selected.
    """
    listed: list[str] = []
    weak: list[str] = []
    named = policy.channels
    more = (*policy.also, *(policy.escalation_channels if alert.escalated else ()))
    for channel in channels:
        called = {channel.name, channel.notifier_name, "*"}
        if (named is not None and called.intersection(named)) or called.intersection(more):
            listed.append(channel.name)
        elif named is None:
            enough = alert.severity.rank >= channel.min_severity.rank
            (listed if enough else weak).append(channel.name)
    return listed, weak


def _row(
    change: Transition,
    channel: str,
    now: Moment,
    decision: Decision,
    reason: str,
) -> Row:
    return Row(
        id=now.ids.new(),
        alert=change.alert.id,
        rule=change.alert.rule,
        target=change.alert.target,
        channel=channel,
        transition=change.kind.value,
        at=change.at,
        steady=now.steady,
        decision=decision,
        reason=reason.strip(),
    )


def _notice(
    change: Transition, now: Moment, target: Target | None, affected: tuple[str, ...]
) -> Notice:
    alert = change.alert
    return Notice(
        id=now.ids.new(),
        alert=alert.id,
        kind=_KINDS[change.kind],
        rule=alert.rule,
        target=alert.target,
        severity=alert.severity,
        message=alert.resolution or alert.message,
        at=change.at,
        since=alert.since_at,
        downtime=alert.downtime,
        recovered=alert.recovered,
        affected=affected,
        details=alert.details,
        flaps=alert.flaps,
        repeats=alert.repeats,
        critical=target is not None and target.critical,
        target_kind="" if target is None else target.kind,
    )
