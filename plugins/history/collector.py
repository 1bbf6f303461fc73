"""Collects observations and records as rows of a batch; what a plugin reported is made storable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from attrs import define, field

from tocsin import Container, Event, Observation, Status
from tocsin.history import AlertRecord, AuditEntry, NotificationRecord, Record, SilenceRecord
from tocsin.plugins.history.batch import (
    CODES,
    AlertRow,
    AuditRow,
    Batch,
    ContainerRow,
    EventRow,
    LedgerRow,
    ResultRow,
    SilenceRow,
    new_id,
)

_STATES = {  # state of the engine: state in the table; all others are "stopped"
    "running": "running",
    "paused": "paused",
    "restarting": "restarting",
}
MAX_MESSAGE = 500

# Plugins may report numbers of any size. Beyond these, sums in the database overflow or underflow,
# and one metric would make the roll-up of all checks fail.
LARGEST, SMALLEST = 1e100, 1e-100
MAX_REAL = 1e9
_BIGINT, _INTEGER = 2**63, 2**31
_DEPTH = 8


@define
class Collector:
    """Collects items as rows until they are taken as a batch."""

    _rows: Batch = field(factory=lambda: Batch(new_id()))
    _last: dict[tuple[str, str], datetime] = field(factory=dict)
    _added: int = 0

    def __len__(self) -> int:
        return self._added

    def take(self) -> Batch:
        """Return the batch collected so far and start a new one."""
        rows, self._rows, self._added = self._rows, Batch(new_id()), 0
        return rows

    def add(self, item: Record) -> None:
        """Convert an item to rows and add them."""
        if isinstance(item, Observation):
            self._add_observation(item)
        else:
            self._put(item)
        self._added += 1

    def _put(
        self, item: Event | AuditEntry | AlertRecord | NotificationRecord | SilenceRecord
    ) -> None:
        if isinstance(item, AlertRecord):
            self._rows.alerts.append(_alert(item))
        elif isinstance(item, NotificationRecord):
            self._rows.ledger.append(_ledger(item))
        elif isinstance(item, SilenceRecord):
            self._rows.silences.append(
                SilenceRow(
                    item.id, _json(list(item.matchers)) or "[]", _utc(item.starts_at),
                    _utc(item.ends_at), _text(item.created_by), _text(item.comment),
                    None if item.window is None else _json(item.window),
                )
            )  # fmt: skip
        elif isinstance(item, Event):
            self._rows.events.append(
                EventRow(
                    item.id, _utc(item.at), _text(item.target), _text(item.source),
                    _text(item.action), _json(item.attributes),
                )
            )  # fmt: skip
        else:
            self._rows.audit.append(
                AuditRow(
                    item.id, _utc(item.at), _text(item.actor), _text(item.role),
                    _text(item.action), _text(item.subject), _text(item.outcome),
                    _json(item.details),
                )
            )  # fmt: skip

    def _add_observation(self, item: Observation) -> None:
        result = item.result
        at = self._unique(item)
        facts = result.container
        target, check = _text(item.target), _text(item.check)
        self._rows.results.append(
            ResultRow(
                target,
                check,
                at,
                CODES[result.status],
                _real(result.latency),
                _text(result.message)[:MAX_MESSAGE] or None,
                None if facts is not None else _numbers(result.metrics),
            )
        )
        if facts is not None and result.status is not Status.UNKNOWN:
            self._rows.containers.append(_container(target, check, at, facts))

    def _unique(self, item: Observation) -> datetime:
        """Return the observation's time, later by microseconds if the check has a result then."""
        key = (item.target, item.check)
        at, last = _utc(item.at), self._last.get(key)
        if last is not None and last >= at and last - at < timedelta(milliseconds=100):
            at = last + timedelta(microseconds=1)
        self._last[key] = at
        return at


def _alert(item: AlertRecord) -> AlertRow:
    return AlertRow(
        item.id,
        _text(item.rule)[:50],
        _text(item.severity),
        _text(item.target),
        _text(item.message)[:MAX_MESSAGE],
        _json({**item.details, "flaps": item.flaps, "downtime_seconds": item.downtime}),
        _utc(item.created_at),
        None if item.acknowledged_at is None else _utc(item.acknowledged_at),
        None if item.acknowledged_by is None else _text(item.acknowledged_by)[:100],
        None if item.resolved_at is None else _utc(item.resolved_at),
        item.notified,
        item.flaps,
        item.revision,
        None if item.state is None else _json(item.state),
    )


def _ledger(item: NotificationRecord) -> LedgerRow:
    return LedgerRow(
        item.id,
        item.alert,
        _text(item.channel),
        _text(item.transition),
        _text(item.decision),
        _text(item.reason)[:MAX_MESSAGE],
        item.attempts,
        _utc(item.created_at),
        None if item.delivered_at is None else _utc(item.delivered_at),
        item.message_id,
        _text(item.answer)[:MAX_MESSAGE],
        item.revision,
        None if item.state is None else _json(item.state),
    )


def _container(name: str, check: str, at: datetime, facts: Container) -> ContainerRow:
    running = facts.state in ("running", "paused") and facts.started_at is not None
    uptime = (at - _utc(facts.started_at)).total_seconds() if running and facts.started_at else None
    return ContainerRow(
        name,
        check,
        at,
        _STATES.get(facts.state, "stopped"),
        _text(facts.health)[:20],
        _real(facts.cpu_percent),
        _whole(facts.memory_bytes, _BIGINT),
        _real(facts.memory_percent),
        _whole(facts.network_rx_bytes, _BIGINT),
        _whole(facts.network_tx_bytes, _BIGINT),
        _whole(facts.restart_count, _INTEGER),
        None if uptime is None else max(0, int(uptime)),
    )


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _text(text: object) -> str:
    """Remove NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot encode."""
    if type(text) is str and text.isascii() and "\0" not in text:
        return text
    return str(text).replace("\0", "").encode("utf-8", "replace").decode()


def _real(value: float | None) -> float | None:
    """Return a value for a ``real`` column; None if it is too large or not a number."""
    if value is None:
        return None
    number = float(value)
    return number if abs(number) <= MAX_REAL else None  # false for NaN, too


def _whole(value: int | None, limit: int) -> int | None:
    """Return an integer for a column with this limit; None if it does not fit."""
    return None if value is None or not -limit <= int(value) < limit else int(value)


def _numbers(metrics: Mapping[str, Any]) -> str | None:
    """Encode metrics as JSON, leaving out values that are not numbers or that overflow in sums."""
    kept = {}
    for name, value in metrics.items():
        if type(value) is float:
            number = value
        else:
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                continue
        if SMALLEST <= number <= LARGEST or -LARGEST <= number <= -SMALLEST:
            kept[_text(name)] = number
        elif -SMALLEST < number < SMALLEST:
            kept[_text(name)] = 0.0
    return msgspec.json.encode(kept).decode() if kept else None


def _json(value: Mapping[str, Any] | list[str]) -> str | None:
    """Encode a value as JSON that ``jsonb`` accepts, whatever a plugin put into it."""
    return msgspec.json.encode(_clean(value, _DEPTH)).decode() if value else None


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_BIGINT <= value < _BIGINT else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth and isinstance(value, Mapping):
        return {_text(key): _clean(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth - 1) for item in value]
    return _text(value)
