"""What a plugin needs that keeps history, in addition to :mod:`tocsin`."""

from __future__ import annotations

from tocsin.core.contracts.history import (
    HistoryContext,
    HistoryReader,
    HistoryRuntime,
    HistoryStore,
    HistoryUnavailable,
)
from tocsin.core.contracts.history_codec import kind_of, pack, unpack
from tocsin.core.contracts.history_records import (
    QUEUED,
    AlertCount,
    AlertFilter,
    AlertRecord,
    HistoryBatch,
    HistoryState,
    NotificationFilter,
    NotificationRecord,
    Record,
    SilenceRecord,
    Unfinished,
)
from tocsin.core.contracts.history_series import (
    Chart,
    Counts,
    Point,
    Range,
    Trend,
    TrendPoint,
    Trends,
    Uptimes,
)
from tocsin.core.contracts.model import AuditEntry, Health

__all__ = [
    "QUEUED",
    "AlertCount",
    "AlertFilter",
    "AlertRecord",
    "AuditEntry",
    "Chart",
    "Counts",
    "Health",
    "HistoryBatch",
    "HistoryContext",
    "HistoryReader",
    "HistoryRuntime",
    "HistoryState",
    "HistoryStore",
    "HistoryUnavailable",
    "NotificationFilter",
    "NotificationRecord",
    "Point",
    "Range",
    "Record",
    "SilenceRecord",
    "Trend",
    "TrendPoint",
    "Trends",
    "Unfinished",
    "Uptimes",
    "kind_of",
    "pack",
    "unpack",
]
