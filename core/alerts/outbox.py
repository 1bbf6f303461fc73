"""The outbox: for each change of an alert and each channel one row, which is also the ledger's line
on why it was, or was not, told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from attrs import Factory, evolve, frozen

from tocsin.core.contracts.notifier import Notice
from tocsin.core.hiding import clean, clean_data
from tocsin.core.ids import new_id


class Decision(StrEnum):
    """What became of a row. The first two are told or will be; each other one is a reason."""

    QUEUED = "queued"
    SENT = "sent"

    DEAD = "dead"  # could not be delivered: the dead letters
    INHIBITED = "inhibited"
    HELD = "held"
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    SETTLING = "settling"
    COOLDOWN = "cooldown"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"
    UNHEARD = "unheard"  # a recovery of what no channel delivered
    SUPERSEDED = "superseded"  # something newer of the same alert goes out with it
    SEVERITY = "severity"  # below what the channel is told of
    NO_CHANNEL = "no-channel"


NOBODY = "-"
"""The channel of a row that is about no channel in particular."""


@frozen(kw_only=True)
class Row:
    """One change of an alert for one channel. ``steady`` is steady seconds, for ordering and ages.

    ``message`` names the message it goes out in, once that is decided; ``notice`` is None where
    nothing is to be sent. ``first_notification``: the channel had no message yet that it fires;
    ``sibling_channels``: all channels that the change is for. ``faults``: of its attempts the last
    so many, in a row, that ended in a fault of the notifier. ``revision`` counts its changes.
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
    """A row that an earlier version may have written."""
    notice = row.notice
    if notice is not None:
        notice = evolve(notice, message=clean(notice.message), details=clean_data(notice.details))
    return evolve(row, reason=clean(row.reason), answer=clean(row.answer), notice=notice)
