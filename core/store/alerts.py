"""Queries of history for alerts, the ledger and silences, and past results for a replay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from attrs import frozen

from tocsin.core.alerts.matchers import parse
from tocsin.core.alerts.model import Alert, cleaned_alert
from tocsin.core.alerts.outbox import Decision, Row, cleaned_row
from tocsin.core.alerts.silences import Silence, Window
from tocsin.core.alerts.stored import decode
from tocsin.core.boundary import cleaned_rows
from tocsin.core.contracts.model import Event
from tocsin.core.logs import get_logger
from tocsin.core.store.connection import Connection
from tocsin.core.store.past import COLUMNS, PastResult, event_of, past_of

log = get_logger(__name__)

SLICE = timedelta(hours=1)
"""Length of the time range that a replay reads at once."""

_ALERT = (
    "id, alert_type, severity, container_name, message, details, created_at, acknowledged_at, "
    "acknowledged_by, resolved_at, notification_sent, flaps, revision"
)


@frozen(kw_only=True)
class AlertFilter:
    """Filters of alerts; None matches all.

    ``before`` is the sort key (time of firing, id) of the last alert on the previous page.
    ``without`` lists ids of alerts that the caller has in a newer version.
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
class LedgerFilter:
    """Filters of the ledger; None matches all. ``before`` is the last id of the previous page."""

    alert: UUID | None = None
    channel: str | None = None
    decision: str | None = None
    before: UUID | None = None
    limit: int = 100


@frozen(kw_only=True)
class Waiting:
    """Notifications that history has as queued.

    ``bare``: alert id and channel of rows that an earlier version stored without their notice.
    ``finished``: those of the requested ids that have been decided.
    """

    rows: tuple[Row, ...] = ()
    bare: frozenset[tuple[UUID, str]] = frozenset()
    finished: frozenset[UUID] = frozenset()


class AlertHistory:
    """Queries the tables of alerts, notifications, silences, results and events.

    Args:
        reading: opens a connection for reading; raises StoreUnavailable if there is none.
    """

    def __init__(self, reading: Callable[[], AbstractAsyncContextManager[Connection]]) -> None:
        self._reading = reading

    async def page(self, wanted: AlertFilter) -> list[dict[str, Any]]:
        """Return a page of alerts, newest first.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        at, identity = wanted.before or (None, None)
        return await self._list(
            f"SELECT {_ALERT} FROM system_alerts WHERE "
            "($1::bool IS NULL OR (resolved_at IS NULL) = $1) "
            "AND ($2::text IS NULL OR container_name = $2) "
            "AND ($3::text IS NULL OR alert_type = $3) AND ($4::text IS NULL OR severity = $4) "
            "AND ($5::timestamptz IS NULL OR created_at >= $5) "
            "AND ($6::timestamptz IS NULL OR created_at < $6) "
            "AND ($7::timestamptz IS NULL OR (created_at, id) < ($7, $8::uuid)) "
            "AND id <> ALL ($9::uuid[]) ORDER BY created_at DESC, id DESC LIMIT $10",
            wanted.active, wanted.target, wanted.rule, wanted.severity, wanted.since, wanted.until,
            at, identity, list(wanted.without), wanted.limit,
        )  # fmt: skip

    async def one(self, alert_id: UUID) -> dict[str, Any] | None:
        """Return one alert, or None if history has none with this id.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        rows = await self._list(f"SELECT {_ALERT} FROM system_alerts WHERE id = $1", alert_id)
        return rows[0] if rows else None

    async def frequency(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Count the alerts that began, by ``alert_type``, ``severity`` and quarter-hour (``at``).

        By quarter-hour, since some time zones are offset by 15, 30 or 45 minutes.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self._list(
            "SELECT date_bin('15 minutes', created_at, 'epoch') AS at, alert_type, severity, "
            "count(*) AS count FROM system_alerts WHERE created_at >= $1 AND created_at < $2 "
            "GROUP BY 1, 2, 3 ORDER BY 1",
            since,
            until,
        )

    async def ledger(self, wanted: LedgerFilter) -> list[dict[str, Any]]:
        """Return rows of the ledger, newest first.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self._list(
            "SELECT n.id, n.alert_id, a.alert_type, a.container_name, n.channel, n.transition, "
            "n.decision, n.reason, n.attempts, n.created_at, n.delivered_at, n.message_id, "
            "n.answer, n.revision FROM notifications n "
            "LEFT JOIN system_alerts a ON a.id = n.alert_id "
            "WHERE ($1::uuid IS NULL OR n.alert_id = $1) "
            "AND ($2::text IS NULL OR n.channel = $2) AND ($3::text IS NULL OR n.decision = $3) "
            "AND ($4::uuid IS NULL OR n.id < $4) ORDER BY n.id DESC LIMIT $5",
            wanted.alert, wanted.channel, wanted.decision, wanted.before, wanted.limit,
        )  # fmt: skip

    async def open_alerts(self, also: Collection[UUID] = ()) -> list[Alert]:
        """Return the full state of the open alerts, and of those with the ids ``also``.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        rows = await self._list(
            "SELECT state FROM system_alerts WHERE state IS NOT NULL "
            "AND (resolved_at IS NULL OR id = ANY ($1::uuid[]))",
            list(also),
        )
        found = (_whole(row["state"], Alert) for row in rows)
        return [cleaned_alert(alert) for alert in found if alert is not None]

    async def waiting(self, since: datetime, also: Collection[UUID] = ()) -> Waiting:
        """Return the notifications that are still queued.

        Args:
            since: rows created earlier are ignored.
            also: ids of rows whose decision the caller wants to know, whatever their age.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        rows = await self._list(
            "SELECT id, alert_id, channel, decision, state FROM notifications "
            "WHERE (decision = 'queued' AND created_at >= $1) OR id = ANY ($2::uuid[])",
            since,
            list(also),
        )
        queued = [row for row in rows if row["decision"] == Decision.QUEUED]
        whole = (_whole(row["state"], Row) for row in queued if row["state"] is not None)
        return Waiting(
            rows=tuple(cleaned_row(row) for row in whole if row is not None),
            bare=frozenset((r["alert_id"], r["channel"]) for r in queued if r["state"] is None),
            finished=frozenset(r["id"] for r in rows if r["decision"] != Decision.QUEUED),
        )

    async def silences(self, now: datetime) -> list[Silence]:
        """Return the silences that have not ended at ``now``.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        rows = await self._list("SELECT * FROM silences WHERE ends_at > $1", now)
        return [
            Silence(
                id=row["id"],
                matchers=tuple(parse(text) for text in msgspec.json.decode(row["matchers"])),
                starts_at=row["starts_at"],
                ends_at=row["ends_at"],
                created_by=row["created_by"],
                comment=row["comment"],
                window=msgspec.json.decode(row["maintenance"] or "null", type=Window | None),
            )
            for row in rows
        ]

    async def past(self, since: datetime, until: datetime) -> AsyncIterator[list[PastResult]]:
        """Yield raw results in order of time, one list for each hour.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        at = since
        while at < until:
            end = min(at + SLICE, until)
            rows = await self._list(
                f"SELECT {COLUMNS} "
                "FROM check_results r JOIN checks c ON c.id = r.check_id "
                "LEFT JOIN container_metrics m ON m.check_id = r.check_id AND m.timestamp = r.at "
                "AND m.timestamp >= $1 AND m.timestamp < $2 "  # lets the planner prune partitions
                "WHERE r.at >= $1 AND r.at < $2 ORDER BY r.at, r.check_id",
                at,
                end,
            )
            yield [past_of(row) for row in rows]
            at = end

    async def past_events(self, since: datetime, until: datetime) -> list[Event]:
        """Return the ``die`` and ``start`` events of containers, in order of time.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        rows = await self._list(
            "SELECT id, at, target, source, action, attributes FROM container_events "
            "WHERE at >= $1 AND at < $2 AND action IN ('die', 'start') ORDER BY at",
            since,
            until,
        )
        return [event_of(row) for row in rows]

    async def newest(
        self, targets: Collection[str], since: datetime, until: datetime, most: int
    ) -> tuple[list[PastResult], list[Event]]:
        """Return the newest raw results and events of some targets, in order of time.

        Args:
            targets: names of the targets.
            since: start of the time range.
            until: end of the time range, exclusive.
            most: most results of each check, and most events of each target.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        results = await self._list(
            f"SELECT {COLUMNS} FROM checks c CROSS JOIN LATERAL ("
            "SELECT * FROM check_results WHERE check_id = c.id AND at >= $2 AND at < $3 "
            "ORDER BY at DESC LIMIT $4) r "
            "LEFT JOIN container_metrics m ON m.check_id = r.check_id AND m.timestamp = r.at "
            "AND m.timestamp >= $2 AND m.timestamp < $3 "
            "WHERE c.target = ANY ($1::text[]) ORDER BY r.at, r.check_id",
            list(targets), since, until, most,
        )  # fmt: skip
        events = await self._list(
            "SELECT e.* FROM unnest($1::text[]) t(name) CROSS JOIN LATERAL ("
            "SELECT id, at, target, source, action, attributes FROM container_events "
            "WHERE target = t.name AND at >= $2 AND at < $3 ORDER BY at DESC LIMIT $4) e "
            "ORDER BY e.at",
            list(targets), since, until, most,
        )  # fmt: skip
        return [past_of(row) for row in results], [event_of(row) for row in events]

    async def _list(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            rows = await connection.fetch(query, *arguments)
        decoded = (
            {
                key: msgspec.json.decode(value)
                if key in ("attributes", "details", "metrics") and value
                else value
                for key, value in row.items()
            }
            for row in rows
        )
        return cleaned_rows(decoded, raw=("state", "matchers", "maintenance", "metrics"))


def _whole(state: str, kind: Any) -> Any:
    """Decode an object that was stored as JSON; None if it cannot be decoded."""
    try:
        return decode(state, kind)
    except msgspec.MsgspecError as error:
        log.warning("a row of the database cannot be decoded and is ignored",
                    kind=kind.__name__, reason=str(error))  # fmt: skip
        return None
