"""Alerts, as history has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.api.history import unavailable
from tocsin.core.api.paging import NewestQuery
from tocsin.core.api.routing import Call, Routes

routes = Routes()


@frozen(kw_only=True)
class AlertView:
    """An alert."""

    id: UUID
    alert_type: str
    severity: str
    container_name: str | None
    message: str
    details: Mapping[str, Any] | None
    created_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    notification_sent: bool


@frozen(kw_only=True)
class AlertPage:
    """Alerts, newest first."""

    items: list[AlertView]
    next: UUID | None


async def _page(call: Call, query: NewestQuery, *, active: bool) -> AlertPage:
    with unavailable():
        rows = await call.monitor.store.alerts(
            active=active, limit=query.limit, before=query.cursor
        )
    full = len(rows) == query.limit
    return AlertPage(
        items=[AlertView(**row) for row in rows],
        next=rows[-1]["id"] if full else None,
    )


@routes.get("/api/v1/alerts", errors=(503,))
async def list_alerts(call: Call, query: NewestQuery) -> AlertPage:
    """List alerts, newest first."""
    return await _page(call, query, active=False)


@routes.get("/api/v1/alerts/active", errors=(503,))
async def list_active(call: Call, query: NewestQuery) -> AlertPage:
    """List the alerts that are not resolved, newest first."""
    return await _page(call, query, active=True)
