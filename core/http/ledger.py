"""The ledger of notifications: why a channel was notified or not."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.contracts.history_records import NotificationFilter, NotificationRecord
from tocsin.core.contracts.route import Routes
from tocsin.core.http.paging import IdCursor, Limit, Name
from tocsin.core.http.routing import Call

routes = Routes()


@frozen(kw_only=True)
class NotificationView:
    """One decision about an alert and a channel.

    ``transition`` is the change of the alert, ``decision`` what was done for the channel, and
    ``reason`` explains it in a sentence. ``message_id`` identifies the message that carried the
    notification.
    """

    id: UUID
    alert_id: UUID
    alert_type: str | None
    container_name: str | None
    channel: str
    transition: str
    decision: str
    reason: str
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    message_id: UUID | None
    answer: str


@frozen(kw_only=True)
class NotificationPage:
    """A page of decisions, newest first."""

    items: list[NotificationView]
    next: UUID | None


@frozen(kw_only=True)
class LedgerQuery:
    """Filters are combined with AND."""

    limit: Limit = 100
    cursor: IdCursor | None = None
    alert: UUID | None = None
    channel: Name | None = None
    decision: Decision | None = None


def row_view(row: Row) -> NotificationView:
    """Return the API's view of a row that is in memory."""
    return NotificationView(
        id=row.id,
        alert_id=row.alert,
        alert_type=row.rule,
        container_name=row.target,
        channel=row.channel,
        transition=row.transition,
        decision=row.decision.value,
        reason=row.reason,
        attempts=row.attempts,
        created_at=row.at,
        delivered_at=row.delivered_at,
        message_id=row.message,
        answer=row.answer,
    )


def _matches(row: Row, query: LedgerQuery) -> bool:
    return (
        (query.alert is None or row.alert == query.alert)
        and (query.channel is None or row.channel == query.channel)
        and (query.decision is None or row.decision is query.decision)
        and (query.cursor is None or row.id < query.cursor)
    )


async def read(call: Call, query: LedgerQuery) -> list[NotificationView]:
    """Return matching decisions from memory and from history, newest first.

    A row in memory is newer than its copy in history and replaces it.
    """
    remembered = call.monitor.alerting.monitor.recent.rows.values()
    known = {row.id: row_view(row) for row in remembered if _matches(row, query)}
    # The copy in history of a row whose decision has changed since may still match the query.
    outdated = {row.id for row in remembered} - known.keys()
    stored: list[NotificationRecord] = []
    wanted = NotificationFilter(
        alert=query.alert,
        channel=query.channel,
        decision=None if query.decision is None else query.decision.value,
        before=query.cursor,
        limit=query.limit + len(outdated) + 1,
    )
    # Without history, only the rows in memory are returned.
    with suppress(HistoryUnavailable):
        stored = await call.monitor.history.records(
            lambda history: history.notifications(wanted), NotificationRecord
        )
    both = {record.id: _stored(record) for record in stored if record.id not in outdated} | known
    return sorted(both.values(), key=lambda view: view.id, reverse=True)


def _stored(record: NotificationRecord) -> NotificationView:
    """Return the API's view of a row in history."""
    return NotificationView(
        id=record.id,
        alert_id=record.alert,
        alert_type=record.rule,
        container_name=record.target,
        channel=record.channel,
        transition=record.transition,
        decision=record.decision,
        reason=record.reason,
        attempts=record.attempts,
        created_at=record.created_at,
        delivered_at=record.delivered_at,
        message_id=record.message_id,
        answer=record.answer,
    )


async def ledger_of(call: Call, alert: UUID) -> list[NotificationView]:
    """Return all decisions about one alert, newest first."""
    return await read(call, LedgerQuery(alert=alert, limit=1000))


@routes.get("/api/v1/notifications")
async def list_notifications(call: Call, query: LedgerQuery) -> NotificationPage:
    """List the decisions to notify channels or not, newest first."""
    found = await read(call, query)
    items = found[: query.limit]
    return NotificationPage(items=items, next=items[-1].id if len(found) > query.limit else None)
