"""The outbox: one row for each change of an alert and each channel. Rows also form the ledger that
explains why a channel was, or was not, notified."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from attrs import Factory, evolve, frozen

from tocsin.core.contracts.message import Notice
from tocsin.core.hiding import clean, clean_data
from tocsin.core.ids import new_id


class Decision(StrEnum):
    """The state of a row: queued or sent, or else the reason why it is not sent."""

    QUEUED = "queued"
    SENT = "sent"

    DEAD = "dead"  # undeliverable: in the dead letters
    INHIBITED = "inhibited"
    HELD = "held"
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    SETTLING = "settling"
    COOLDOWN = "cooldown"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"
    UNHEARD = "unheard"  # the recovery of a firing that was not delivered
    SUPERSEDED = "superseded"  # replaced by a newer row of the same alert
    SEVERITY = "severity"  # below the channel's min_severity
    NO_CHANNEL = "no-channel"


NOBODY = "-"
"""The channel of a row that concerns no particular channel."""


@frozen(kw_only=True)
class Row:
    """One change of an alert for one channel.

    Attributes:
        id: identifies the row.
        alert: id of the alert.
        rule: the alert's rule.
        target: the alert's target.
        channel: name of the channel, or ``NOBODY``.
        transition: the kind of change.
        at: when it changed.
        steady: the same in steady seconds, for ordering and ages.
        decision: the state of the row.
        reason: why it is not sent, or what it is about, as a clause.
        notice: what is sent; None if nothing is.
        message: id of the message that it is sent in, once that is formed.
        digest: whether the message is a digest, since the rate limit held rows back.
        attempts: number of attempts.
        faults: number of the latest attempts in a row that ended in an error of the notifier.
        first_notification: whether no earlier row notified the channel that the alert fires.
        sibling_channels: all channels that the change is for.
        delivered_at: when the provider took it.
        answer: the provider's answer.
        reference: the provider's name of the message.
        revision: number of changes of the row.
    """

    id: UUID = Factory(new_id)
    alert: UUID
    rule: str = ""
    target: str = ""
    channel: str
    transition: str
    at: datetime
    steady: float
    decision: Decision
    reason: str = ""
    notice: Notice | None = None
    message: UUID | None = None
    digest: bool = False
    attempts: int = 0
    faults: int = 0
    first_notification: bool = True
    sibling_channels: tuple[str, ...] = ()
    delivered_at: datetime | None = None
    answer: str = ""
    reference: str | None = None
    revision: int = 0


def cleaned_row(row: Row) -> Row:
    """Return a row of an earlier version without secrets and control characters."""
    notice = row.notice
    if notice is not None:
        notice = evolve(notice, message=clean(notice.message), details=clean_data(notice.details))
    return evolve(row, reason=clean(row.reason), answer=clean(row.answer), notice=notice)
