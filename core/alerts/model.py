"""An alert and its changes: frozen data.

There are two kinds of time. *Steady* seconds never jump (see
:mod:`tocsin.core.alerts.durable_clock`) and decide everything; aware UTC datetimes are for display.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from attrs import Factory, evolve, field, frozen

from tocsin.core.contracts.rule import Severity
from tocsin.core.hiding import clean, clean_data
from tocsin.core.ids import Ids, new_id

Key = tuple[str, str]
"""An alert's fingerprint: rule and target. At most one alert is open for each."""


@frozen
class Moment:
    """The point in time at which an event is handled, on both clocks. ``ids`` generates the ids of
    all that the event creates."""

    steady: float
    wall: datetime
    ids: Ids = field(factory=Ids, eq=False, repr=False)


class Phase(StrEnum):
    """The phase of an alert's life cycle."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """The kind of a change. People are notified of the first group; the second is only recorded."""

    FIRED = "fired"
    REOPENED = "reopened"
    RELEASED = "released"  # its suppression ended while it still fires
    REPEATED = "repeated"
    FLAPPING = "flapping"
    ESCALATED = "escalated"
    RESOLVED = "resolved"

    PENDING = "pending"
    CANCELLED = "cancelled"  # cleared while pending
    SUPPRESSED = "suppressed"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    CLOSED = "closed"  # resolved for a cooldown: the next firing is a new alert


class Cause(StrEnum):
    """Why an alert's notifications are suppressed."""

    INHIBITED = "inhibited"  # a target it depends on is down
    HELD = "held"  # a target it depends on has a pending alert, which may explain it
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    SETTLING = "settling"  # tocsin has just started; some checks have not run yet


@frozen(kw_only=True)
class Suppression:
    """What suppresses an alert's notifications. ``by`` names the target, silence or window."""

    cause: Cause
    by: str
    message: str


SETTLING = Suppression(
    cause=Cause.SETTLING,
    by="tocsin",
    message="tocsin has just started; some checks have not run yet",
)


@frozen(kw_only=True)
class Policy:
    """How a rule's alerts are handled. Durations are in seconds.

    Attributes:
        for_seconds: how long the verdict must be *firing* before the alert fires.
        severity: severity of the alerts before escalation.
        channels: the only channels to notify; None: every channel whose ``min_severity`` is
            reached.
        also: channels to notify in addition, regardless of their ``min_severity``.
        cooldown: time between two notifications, and from resolution until the alert is closed.
        escalate_after: repeats after which the severity is raised and ``escalation_channels`` are
            notified, too; 0: never.
        escalation_channels: additional channels of an escalated alert.
    """

    for_seconds: float = 0.0
    severity: Severity = Severity.WARNING
    channels: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    cooldown: float = 900.0
    escalate_after: int = 3
    escalation_channels: tuple[str, ...] = ()

    def joined(self, other: Policy) -> Policy:
        """Return the policy of an alert that also stands for alerts with the policy ``other``."""
        more, escalated = other.channels, (*self.escalation_channels, *other.escalation_channels)
        both = None if self.channels is None or more is None else (*self.channels, *more)
        also = (*self.also, *other.also, *(self.channels or ()), *(more or ()))
        return evolve(
            self,
            severity=max(self.severity, other.severity, key=lambda severity: severity.rank),
            channels=None if both is None else tuple(dict.fromkeys(both)),
            also=tuple(dict.fromkeys(also)) if both is None else (),
            escalation_channels=tuple(dict.fromkeys(escalated)),
        )


@frozen(kw_only=True)
class Alert:
    """One rule's finding on one target, from start to end. ``float`` times are steady seconds.

    Attributes:
        rule_state: the state that the rule keeps between verdicts.
        since: when the condition began.
        firing_since: since when the verdict has been *firing*; the policy's ``for_seconds`` count
            from then.
        last_notified: when the last notification was due.
        notified: notifications of the firing were queued or sent, and none yet of its end.
        ever_notified: a channel delivered one of them.
        undelivered: no channel could deliver any of them.
        notified_channels: channels that delivered one, and get the recovery.
        deferred_channels: channels whose notification was withdrawn just before it was sent, and is
            sent later.
        downtime: seconds from the start of the condition to its end.
        flaps: number of reopenings.
        hold_until: until when the recovery of a flapping alert is held back.
        frozen: since when the verdict is unknown.
        thawed: when the verdict last became known again.
        revision: number of changes.
    """

    id: UUID = Factory(new_id)
    rule: str
    target: str
    phase: Phase = Phase.PENDING
    severity: Severity = Severity.WARNING
    message: str = ""
    details: Mapping[str, Any] = Factory(dict)
    rule_state: Mapping[str, Any] = Factory(dict)
    since: float
    since_at: datetime
    firing_since: float | None = None
    fired: float | None = None
    fired_at: datetime | None = None
    resolved: float | None = None
    resolved_at: datetime | None = None
    downtime: float | None = None
    resolution: str = ""
    """How it ended, as a sentence; ``message`` still says what was wrong."""
    recovered: bool = True
    """Whether the end was an observed recovery: see :meth:`Verdict.over`."""
    flaps: int = 0
    flaps_notified: int = 0
    repeats: int = 0
    escalated: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str = ""
    suppression: Suppression | None = None
    notified: bool = False
    ever_notified: bool = False
    undelivered: bool = False
    last_notified: float | None = None
    notified_channels: frozenset[str] = frozenset()
    deferred_channels: frozenset[str] = frozenset()
    hold_until: float | None = None
    frozen: float | None = None
    thawed: float | None = None
    revision: int = 0

    @property
    def key(self) -> Key:
        """The fingerprint: rule and target."""
        return self.rule, self.target

    @property
    def announced(self) -> bool:
        """Whether its firing was to be notified, delivered or not, and its end not yet."""
        return self.notified or self.undelivered

    @property
    def open(self) -> bool:
        """Whether it is pending or firing."""
        return self.phase is not Phase.RESOLVED

    @property
    def state(self) -> str:
        """The state for display: pending, firing, acknowledged, suppressed or resolved."""
        if self.phase is not Phase.FIRING:
            return self.phase.value
        if self.acknowledged_by is not None:
            return "acknowledged"
        return "suppressed" if self.suppression is not None and not self.announced else "firing"


def differs(before: Alert, after: Alert) -> bool:
    """Return whether anything but message and details changed."""
    if before is after:
        return False
    return evolve(after, message=before.message, details=before.details) != before


def cleaned_alert(alert: Alert) -> Alert:
    """Return an alert of an earlier version without secrets and control characters."""
    return evolve(
        alert, message=clean(alert.message), details=clean_data(alert.details),
        rule_state=clean_data(alert.rule_state), resolution=clean(alert.resolution),
        comment=clean(alert.comment),
        acknowledged_by=None if alert.acknowledged_by is None else clean(alert.acknowledged_by),
    )  # fmt: skip


@frozen(kw_only=True)
class Transition:
    """A change of an alert; the unit that is journaled and notified.

    Attributes:
        id: identifies the change.
        kind: what changed.
        alert: the alert after the change.
        at: when it changed.
        notify: whether people are to be notified.
        reason: why not, as the name of a ``Decision``; empty if they are, or for kinds that never
            notify.
        why: the same as a sentence.
        actor: the person who caused the change, if any.
    """

    id: UUID = Factory(new_id)
    kind: Change
    alert: Alert
    at: datetime
    notify: bool = False
    reason: str = ""
    why: str = ""
    actor: str | None = None
