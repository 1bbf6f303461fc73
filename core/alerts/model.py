"""An alert and its changes: frozen data.

Times come in two kinds. *Steady* seconds never jump (see ``alerts.steady``) and decide everything;
aware UTC datetimes are labels for people.
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
    """A point in time on both clocks, at which an event is handled; ``ids`` makes what ids follow
    from that."""

    steady: float
    wall: datetime
    ids: Ids = field(factory=Ids, eq=False, repr=False)


class Phase(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What changed. The first group is told to people, the second only kept."""

    FIRED = "fired"
    REOPENED = "reopened"
    RELEASED = "released"  # what had suppressed it is over, and it is still firing
    REPEATED = "repeated"
    FLAPPING = "flapping"
    ESCALATED = "escalated"
    RESOLVED = "resolved"

    PENDING = "pending"
    CANCELLED = "cancelled"  # cleared before its time
    SUPPRESSED = "suppressed"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    CLOSED = "closed"  # long enough resolved: what fires next is another alert


class Cause(StrEnum):
    """Why an alert is not told."""

    INHIBITED = "inhibited"  # a target it depends on is down
    HELD = "held"  # a target it depends on may be going down: wait which it is
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    SETTLING = "settling"  # tocsin has just started and not seen everything yet


@frozen(kw_only=True)
class Suppression:
    """What keeps an alert from being told. ``by`` names the target, silence or window."""

    cause: Cause
    by: str
    message: str


SETTLING = Suppression(
    cause=Cause.SETTLING,
    by="tocsin",
    message="tocsin has just started and first looks around",
)


@frozen(kw_only=True)
class Policy:
    """How a rule's alerts are treated. Durations in seconds.

    ``for_seconds``: how long the verdict has to be *firing* before the alert fires.
    ``channels`` None: every channel whose ``min_severity`` lets it pass; ``also``: these besides,
    whatever that is. ``escalate_after``:
    repeats after which the severity is raised and ``escalation_channels`` are added; 0: never.
    """

    for_seconds: float = 0.0
    severity: Severity = Severity.WARNING
    channels: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    cooldown: float = 900.0
    escalate_after: int = 3
    escalation_channels: tuple[str, ...] = ()

    def joined(self, other: Policy) -> Policy:
        """The same for an alert that stands for another one, too."""
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
    """One rule's finding on one target, from its beginning to its end. ``float`` times are steady.

    ``since``: when the condition began; ``firing_since``: since when the verdict has been *firing*,
    from which the policy's ``for_seconds`` count. ``notified``: messages say, or are to say, that
    it fires, and none yet that it ended. ``notified_channels``: channels that delivered such a
    message and get the recovery; ``ever_notified``: there was such a channel; ``undelivered``: no
    channel could deliver that it fires. ``deferred_channels``: channels whose message was
    withdrawn at the last moment and is sent later. ``last_notified``: when the last message was
    due. ``rule_state``: what the rule asked to be kept. ``frozen``: since when nothing can be seen;
    ``thawed``: when something could be seen again after that. ``hold_until``: a recovery of a
    flapping alert waits until then. ``revision`` counts changes.
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
    """How it ended, in a sentence; ``message`` goes on saying what was wrong."""
    recovered: bool = True
    """Whether its end was seen to be one: see :meth:`Verdict.over`."""
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
        """The fingerprint."""
        return self.rule, self.target

    @property
    def announced(self) -> bool:
        """A message was to say that it fires, delivered or not, and none yet that it ended."""
        return self.notified or self.undelivered

    @property
    def open(self) -> bool:
        """It fires, or waits to."""
        return self.phase is not Phase.RESOLVED

    @property
    def state(self) -> str:
        """One word for people: pending, firing, acknowledged, suppressed or resolved."""
        if self.phase is not Phase.FIRING:
            return self.phase.value
        if self.acknowledged_by is not None:
            return "acknowledged"
        return "suppressed" if self.suppression is not None and not self.announced else "firing"


def differs(before: Alert, after: Alert) -> bool:
    """Whether more changed than the words about it."""
    if before is after:
        return False
    return evolve(after, message=before.message, details=before.details) != before


def cleaned_alert(alert: Alert) -> Alert:
    """An alert that an earlier version may have written."""
    return evolve(
        alert, message=clean(alert.message), details=clean_data(alert.details),
        rule_state=clean_data(alert.rule_state), resolution=clean(alert.resolution),
        comment=clean(alert.comment),
        acknowledged_by=None if alert.acknowledged_by is None else clean(alert.acknowledged_by),
    )  # fmt: skip


@frozen(kw_only=True)
class Transition:
    """A change of an alert; the unit that is journaled and notified.

    ``alert`` is the alert after the change. ``notify``: people are to be told; where they are not,
    though the kind is one that is told, ``reason`` names why and ``why`` says it in a sentence.
    """

    id: UUID = Factory(new_id)
    kind: Change
    alert: Alert
    at: datetime
    notify: bool = False
    reason: str = ""
    why: str = ""
    actor: str | None = None
