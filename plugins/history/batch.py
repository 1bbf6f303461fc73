"""Batches of rows, in the shape of the tables they are written to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

import msgspec
from uuid_utils.compat import uuid7

from tocsin import Status

CODES = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2, Status.UNKNOWN: 3}
STATUSES = {code: status for status, code in CODES.items()}


class ResultRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of ``check_results``, with the check's names in place of its number."""

    target: str
    name: str
    at: datetime
    status: int
    latency: float | None
    message: str | None
    metrics: str | None


class ContainerRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of ``container_metrics``."""

    container_name: str
    check: str
    timestamp: datetime
    status: str
    health_status: str
    cpu_percent: float | None
    memory_bytes: int | None
    memory_percent: float | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    restart_count: int | None
    uptime_seconds: int | None


KEPT_METRICS = tuple(
    name
    for name in ContainerRow.__struct_fields__
    if name.endswith(("_percent", "_bytes", "_count"))
)
"""The container metrics that have a column of their own in ``container_metrics``."""


class EventRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``container_events``."""

    id: UUID
    at: datetime
    target: str
    source: str
    action: str
    attributes: str | None


class AuditRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``audit``."""

    id: UUID
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    outcome: str
    details: str | None


class AlertRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``system_alerts`` as of one revision; ``state`` is the complete alert as JSON."""

    id: UUID
    alert_type: str
    severity: str
    container_name: str
    message: str
    details: str | None
    created_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    notification_sent: bool
    flaps: int
    revision: int
    state: str | None


class LedgerRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``notifications`` as of one revision.

    ``state`` is the complete outbox row as JSON while the notification is queued, else None.
    """

    id: UUID
    alert_id: UUID
    channel: str
    transition: str
    decision: str
    reason: str
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    message_id: UUID | None
    answer: str
    revision: int
    state: str | None = None


class SilenceRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``silences``."""

    id: UUID
    matchers: str
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    maintenance: str | None = None


class Batch(msgspec.Struct, frozen=True):
    """Rows that are written in one transaction, exactly once, under one id (UUIDv7)."""

    id: UUID
    results: list[ResultRow] = []
    containers: list[ContainerRow] = []
    events: list[EventRow] = []
    audit: list[AuditRow] = []
    alerts: list[AlertRow] = []
    ledger: list[LedgerRow] = []
    silences: list[SilenceRow] = []

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in _LISTS)


def new_id() -> UUID:
    """Return a new UUIDv7."""
    return uuid7()


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Split a batch of two or more rows into two.

    The ids of the halves are derived from the batch's id. If the batch is split again because the
    database's answer was lost, they are the same, and a half that was written is recognised.
    """
    rows = [(name, row) for name in _LISTS for row in getattr(batch, name)]
    middle = len(rows) // 2
    first, second = (
        Batch(
            uuid5(batch.id, half),
            **{name: [row for kind, row in part if kind == name] for name in _LISTS},
        )
        for half, part in (("first", rows[:middle]), ("second", rows[middle:]))
    )
    return first, second


def without_samples(batch: Batch) -> Batch:
    """Return the batch's alerts, ledger, audit and silences; no results, metrics or events."""
    return msgspec.structs.replace(batch, results=[], containers=[], events=[])


_LISTS = ("results", "containers", "events", "audit", "alerts", "ledger", "silences")


def encode(batch: Batch) -> bytes:
    """Encode a batch for the spool."""
    return msgspec.msgpack.encode(batch)


def decode(data: bytes) -> Batch:
    """Decode a batch from the spool.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: the data are damaged.
    """
    return msgspec.msgpack.decode(data, type=Batch)
