"""Queries for alerts, notifications, silences, events, the audit log and past results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from heapq import merge
from typing import Any
from uuid import UUID

import msgspec

from tocsin import Event, Observation, PluginClock
from tocsin.history import (
    QUEUED,
    AlertCount,
    AlertFilter,
    AlertRecord,
    AuditEntry,
    NotificationFilter,
    NotificationRecord,
    SilenceRecord,
    Unfinished,
)
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.past import COLUMNS, event_of, observation_of

SLICE = timedelta(hours=1)
"""Length of the time range that is read at once for a replay."""

_ALERT = (
    "id, alert_type, severity, container_name, message, details, created_at, acknowledged_at, "
    "acknowledged_by, resolved_at, notification_sent, flaps, revision"
)
_NOTIFICATION = (
    "n.id, n.alert_id, a.alert_type, a.container_name, n.channel, n.transition, n.decision, "
    "n.reason, n.attempts, n.created_at, n.delivered_at, n.message_id, n.answer, n.revision"
)
_JOINED = "FROM notifications n LEFT JOIN system_alerts a ON a.id = n.alert_id"
_EVENT = "id, at, target, source, action, attributes"


class Queries:
    """Queries of one database.

    Args:
        reading: opens a connection for reading; raises HistoryUnavailable if there is none.
        clock: the clock.
    """

    def __init__(
        self, reading: Callable[[], AbstractAsyncContextManager[Connection]], clock: PluginClock
    ) -> None:
        self._reading = reading
        self._clock = clock

    async def alerts(self, wanted: AlertFilter) -> list[AlertRecord]:
        """Return a page of alerts, newest first."""
        at, identity = wanted.before or (None, None)
        rows = await self._list(
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
        return [_alert(row) for row in rows]

    async def alert(self, alert_id: UUID) -> AlertRecord | None:
        """Return one alert, or None if there is none with this id."""
        rows = await self._list(f"SELECT {_ALERT} FROM system_alerts WHERE id = $1", alert_id)
        return _alert(rows[0]) if rows else None

    async def alert_counts(self, since: datetime, until: datetime) -> list[AlertCount]:
        """Count the alerts that began, by quarter-hour, rule and severity."""
        rows = await self._list(
            "SELECT date_bin('15 minutes', created_at, 'epoch') AS at, alert_type, severity, "
            "count(*) AS count FROM system_alerts WHERE created_at >= $1 AND created_at < $2 "
            "GROUP BY 1, 2, 3 ORDER BY 1",
            since,
            until,
        )
        return [
            AlertCount(at=r["at"], rule=r["alert_type"], severity=r["severity"], count=r["count"])
            for r in rows
        ]

    async def notifications(self, wanted: NotificationFilter) -> list[NotificationRecord]:
        """Return notifications, newest first."""
        rows = await self._list(
            f"SELECT {_NOTIFICATION} {_JOINED} WHERE ($1::uuid IS NULL OR n.alert_id = $1) "
            "AND ($2::text IS NULL OR n.channel = $2) AND ($3::text IS NULL OR n.decision = $3) "
            "AND ($4::uuid IS NULL OR n.id < $4) ORDER BY n.id DESC LIMIT $5",
            wanted.alert, wanted.channel, wanted.decision, wanted.before, wanted.limit,
        )  # fmt: skip
        return [_notification(row) for row in rows]

    async def unfinished(
        self, since: datetime, alerts: Collection[UUID], notifications: Collection[UUID]
    ) -> Unfinished:
        """Return what an earlier run left open; see HistoryReader."""
        open_alerts = await self._list(
            f"SELECT {_ALERT}, state FROM system_alerts WHERE state IS NOT NULL "
            "AND (resolved_at IS NULL OR id = ANY ($1::uuid[]))",
            list(alerts),
        )
        waiting = await self._list(
            f"SELECT {_NOTIFICATION}, n.state {_JOINED} "
            "WHERE (n.decision = $1 AND n.created_at >= $2) OR n.id = ANY ($3::uuid[])",
            QUEUED, since, list(notifications),
        )  # fmt: skip
        silences = await self._list("SELECT * FROM silences WHERE ends_at > $1", self._clock.now())
        return Unfinished(
            alerts=tuple(_alert(row) for row in open_alerts),
            notifications=tuple(_notification(row) for row in waiting),
            silences=tuple(_silence(row) for row in silences),
        )

    async def events(
        self,
        target: str | None,
        since: datetime,
        until: datetime,
        limit: int,
        before: UUID | None = None,
    ) -> list[Event]:
        """Return events, newest first."""
        rows = await self._list(
            f"SELECT {_EVENT} FROM container_events "
            "WHERE ($1::text IS NULL OR target = $1) AND at >= $2 AND at < $3 "
            "AND ($4::uuid IS NULL OR (at, id) < (SELECT at, id FROM container_events "
            "WHERE id = $4)) ORDER BY at DESC, id DESC LIMIT $5",
            target,
            since,
            until,
            before,
            limit,
        )
        return [event_of(row) for row in rows]

    async def audit(self, limit: int, before: UUID | None = None) -> list[AuditEntry]:
        """Return entries of the audit log, newest first."""
        rows = await self._list(
            "SELECT * FROM audit WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
            before,
            limit,
        )
        return [AuditEntry(**{**row, "details": row["details"] or {}}) for row in rows]

    async def past(
        self, since: datetime, until: datetime, actions: Collection[str]
    ) -> AsyncIterator[list[Observation | Event]]:
        """Yield results and events in order of time, one list for each hour."""
        at = since
        while at < until:
            end = min(at + SLICE, until)
            results = await self._list(
                f"SELECT {COLUMNS} "
                "FROM check_results r JOIN checks c ON c.id = r.check_id "
                "LEFT JOIN container_metrics m ON m.check_id = r.check_id AND m.timestamp = r.at "
                "AND m.timestamp >= $1 AND m.timestamp < $2 "  # lets the planner prune partitions
                "WHERE r.at >= $1 AND r.at < $2 ORDER BY r.at, r.check_id",
                at,
                end,
            )
            events = await self._list(
                f"SELECT {_EVENT} FROM container_events "
                "WHERE at >= $1 AND at < $2 AND action = ANY ($3::text[]) ORDER BY at",
                at, end, list(actions),
            )  # fmt: skip
            yield _merged(events, results)
            at = end

    async def recent(
        self, targets: Collection[str], since: datetime, until: datetime, most: int
    ) -> list[Observation | Event]:
        """Return the newest results and events of some targets, in order of time.

        Args:
            targets: names of the targets.
            since: start of the time range.
            until: end of the time range, exclusive.
            most: most results of each check, and most events of each target.
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
            f"SELECT {_EVENT} FROM container_events "
            "WHERE target = t.name AND at >= $2 AND at < $3 ORDER BY at DESC LIMIT $4) e "
            "ORDER BY e.at",
            list(targets), since, until, most,
        )  # fmt: skip
        return _merged(events, results)

    async def _list(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            rows = await connection.fetch(query, *arguments)
        return [
            {key: _decoded(value) if key in _JSON else value for key, value in row.items()}
            for row in rows
        ]


_JSON = frozenset({"attributes", "details", "metrics", "state", "matchers", "maintenance"})
"""Columns that hold JSON."""


def _decoded(value: str | None) -> Any:
    return msgspec.json.decode(value) if value else None


def _merged(
    events: list[dict[str, Any]], results: list[dict[str, Any]]
) -> list[Observation | Event]:
    """Return events and results in order of time; events come first at the same time."""
    seen: list[list[Observation | Event]] = [
        [event_of(row) for row in events], [observation_of(row) for row in results]
    ]  # fmt: skip
    return list(merge(*seen, key=lambda item: item.at))


def _alert(row: Mapping[str, Any]) -> AlertRecord:
    details = dict(row["details"] or {})
    downtime = details.pop("downtime_seconds", None)
    details.pop("flaps", None)
    return AlertRecord(
        id=row["id"],
        rule=row["alert_type"],
        target=row["container_name"],
        severity=row["severity"],
        message=row["message"],
        details=details,
        created_at=row["created_at"],
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        resolved_at=row["resolved_at"],
        downtime=downtime,
        notified=row["notification_sent"],
        flaps=row["flaps"],
        revision=row["revision"],
        state=row.get("state"),
    )


def _notification(row: Mapping[str, Any]) -> NotificationRecord:
    return NotificationRecord(
        id=row["id"],
        alert=row["alert_id"],
        rule=row["alert_type"],
        target=row["container_name"],
        channel=row["channel"],
        transition=row["transition"],
        decision=row["decision"],
        reason=row["reason"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
        message_id=row["message_id"],
        answer=row["answer"],
        revision=row["revision"],
        state=row.get("state"),
    )


def _silence(row: Mapping[str, Any]) -> SilenceRecord:
    return SilenceRecord(
        id=row["id"],
        matchers=tuple(row["matchers"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        created_by=row["created_by"],
        comment=row["comment"],
        window=row["maintenance"],
    )
