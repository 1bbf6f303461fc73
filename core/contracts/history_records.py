"""The records that a history stores, and the filters with which they are read: immutable data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from attrs import Factory, field, frozen, validators

from tocsin.core.contracts.model import AuditEntry, Event, Health, Observation


@frozen(kw_only=True)
class AlertRecord:
    """An alert as of one revision. A later revision replaces an earlier one, never the reverse.

    Attributes:
        id: identifies the alert.
        rule: name of its rule.
        target: name of its target.
        severity: ``info``, ``warning`` or ``critical``.
        message: what is wrong, one sentence.
        details: what the rule found; JSON-compatible.
        created_at: when it fired, or when its condition began if it has not fired yet.
        acknowledged_at: when a person acknowledged it.
        acknowledged_by: who did.
        resolved_at: when it ended; None: it is open.
        downtime: seconds from the start of the trouble to its end; None while it is open.
        notified: whether a channel delivered a message about it.
        flaps: how often it fired again after it was resolved.
        revision: number of changes.
        state: what the core needs to continue the alert, as JSON-compatible data to be kept
            unchanged. Only :meth:`HistoryReader.unfinished` has to return it.
    """

    id: UUID
    rule: str
    target: str
    severity: str
    message: str
    details: Mapping[str, Any] = Factory(dict)
    created_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    downtime: float | None = None
    notified: bool = False
    flaps: int = 0
    revision: int = 0
    state: Mapping[str, Any] | None = None


@frozen(kw_only=True)
class NotificationRecord:
    """A decision to notify one channel of one change of an alert, or not, as of one revision.

    Attributes:
        id: identifies the decision; a UUIDv7, which sorts by time.
        alert: id of the alert.
        rule: the alert's rule; None if the history does not know it any more.
        target: the alert's target; the same.
        channel: name of the channel; ``-`` if it concerns no particular one.
        transition: the kind of change, such as ``fired``.
        decision: ``queued``, ``sent``, ``dead``, or why it is not sent.
        reason: the same as a clause.
        attempts: number of attempts to send it.
        created_at: when the alert changed.
        delivered_at: when the provider took the message.
        message_id: id of the message that carried it.
        answer: the provider's answer.
        revision: number of changes of the record.
        state: as for :class:`AlertRecord`, while it is queued; else None.
    """

    id: UUID
    alert: UUID
    rule: str | None = None
    target: str | None = None
    channel: str
    transition: str
    decision: str
    reason: str = ""
    attempts: int = 0
    created_at: datetime
    delivered_at: datetime | None = None
    message_id: UUID | None = None
    answer: str = ""
    revision: int = 0
    state: Mapping[str, Any] | None = None


QUEUED = "queued"
"""The decision of a notification that is still to be sent."""


@frozen(kw_only=True)
class SilenceRecord:
    """A silence or maintenance window; what is stored last under an id counts.

    Attributes:
        id: identifies it.
        matchers: which alerts it matches, such as ``target=web*``.
        starts_at: when it begins.
        ends_at: when it ends.
        created_by: who made it.
        comment: why.
        window: the schedule of a maintenance window, as JSON-compatible data to be kept unchanged.
    """

    id: UUID
    matchers: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str = ""
    window: Mapping[str, Any] | None = None


Record: TypeAlias = (
    Observation | Event | AuditEntry | AlertRecord | NotificationRecord | SilenceRecord
)
"""What history consists of."""


@frozen(kw_only=True)
class HistoryBatch:
    """Records in the order in which they arose.

    Attributes:
        id: identifies the batch; a UUIDv7. A batch that is passed again has the same id.
        records: the records.
    """

    id: UUID
    records: tuple[Record, ...]


@frozen(kw_only=True)
class HistoryState:
    """The present state of a history.

    Attributes:
        status: ``ok``; ``degraded`` while it stores nothing or has lost something lately;
            ``disabled`` if nothing is kept in this installation.
        message: why, one sentence; ``/health`` shows it.
        details: numbers by name, for ``/health``. ``/metrics`` has ``rows_written``,
            ``rows_waiting``, ``rows_dropped`` and ``spool_bytes`` of them.
        is_readable: whether queries are answered now.
        is_complete: whether they are answered from everything that was written.
    """

    status: Health = field(validator=validators.instance_of(Health))
    message: str = ""
    details: Mapping[str, Any] = Factory(dict)
    is_readable: bool = False
    is_complete: bool = False


@frozen(kw_only=True)
class AlertFilter:
    """Which alerts to return; None matches all.

    Attributes:
        active: whether they are open.
        target: name of their target.
        rule: name of their rule.
        severity: their severity.
        since: earliest ``created_at``.
        until: end of the time range of ``created_at``, exclusive.
        before: ``created_at`` and id of the last alert on the previous page; only what sorts after
            it, newest first, is returned.
        without: ids to leave out: the caller has these alerts in a newer version.
        limit: most alerts to return.
    """

    active: bool | None = None
    target: str | None = None
    rule: str | None = None
    severity: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, UUID] | None = None
    without: Collection[UUID] = ()
    limit: int = 100


@frozen(kw_only=True)
class NotificationFilter:
    """Which notifications to return; None matches all.

    Attributes:
        alert: id of their alert.
        channel: name of their channel.
        decision: their decision.
        before: id of the last notification on the previous page.
        limit: most notifications to return.
    """

    alert: UUID | None = None
    channel: str | None = None
    decision: str | None = None
    before: UUID | None = None
    limit: int = 100


@frozen(kw_only=True)
class AlertCount:
    """How many alerts of one rule and severity began in a quarter-hour.

    Attributes:
        at: start of the quarter-hour.
        rule: name of the rule.
        severity: severity of the alerts.
        count: their number.
    """

    at: datetime
    rule: str
    severity: str
    count: int


@frozen(kw_only=True)
class Unfinished:
    """What an earlier run left open.

    Attributes:
        alerts: open alerts and those that were asked for, with their state.
        notifications: queued notifications and those that were asked for.
        silences: silences and maintenance windows that have not ended.
    """

    alerts: tuple[AlertRecord, ...] = ()
    notifications: tuple[NotificationRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
