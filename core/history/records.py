"""Alerts, outbox rows and silences as records of history, and back."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from attrs import evolve, fields

from tocsin.core.alerts.matchers import parse
from tocsin.core.alerts.model import Alert, cleaned_alert
from tocsin.core.alerts.outbox import Decision, Row, cleaned_row
from tocsin.core.alerts.silences import Silence, Window
from tocsin.core.alerts.stored import convert
from tocsin.core.boundary import cleaned_observation
from tocsin.core.contracts.history_records import (
    AlertRecord,
    NotificationRecord,
    Record,
    SilenceRecord,
)
from tocsin.core.contracts.model import AuditEntry, Event, Observation
from tocsin.core.hiding import clean, clean_data
from tocsin.core.logs import get_logger

log = get_logger(__name__)

Stored: TypeAlias = Observation | Event | Alert | Row | Silence | AuditEntry
"""What the core stores in history."""

R = TypeVar("R", bound=Record)

_KEPT = ("state", "window", "matchers")
"""Fields that the core itself decodes."""


def record_of(item: Stored) -> Record:
    """Return what history stores of an object."""
    if isinstance(item, Alert):
        return AlertRecord(
            id=item.id,
            rule=item.rule,
            target=item.target,
            severity=item.severity.value,
            message=item.message,
            details=item.details,
            created_at=item.fired_at or item.since_at,
            acknowledged_at=item.acknowledged_at,
            acknowledged_by=item.acknowledged_by,
            resolved_at=item.resolved_at,
            downtime=item.downtime,
            notified=item.ever_notified,
            flaps=item.flaps,
            revision=item.revision,
            state=msgspec.to_builtins(item, enc_hook=str),
        )
    if isinstance(item, Row):
        return NotificationRecord(
            id=item.id,
            alert=item.alert,
            rule=item.rule,
            target=item.target,
            channel=item.channel,
            transition=item.transition,
            decision=item.decision.value,
            reason=item.reason,
            attempts=item.attempts,
            created_at=item.at,
            delivered_at=item.delivered_at,
            message_id=item.message,
            answer=item.answer,
            revision=item.revision,
            state=msgspec.to_builtins(item, enc_hook=str)
            if item.decision is Decision.QUEUED
            else None,
        )
    if isinstance(item, Silence):
        return SilenceRecord(
            id=item.id,
            matchers=tuple(str(matcher) for matcher in item.matchers),
            starts_at=item.starts_at,
            ends_at=item.ends_at,
            created_by=item.created_by,
            comment=item.comment,
            window=None if item.window is None else msgspec.to_builtins(item.window),
        )
    return item


def cleaned(record: R) -> R:
    """Return a record, which an earlier version may have stored, without secrets."""
    if isinstance(record, Observation):
        return cast("R", cleaned_observation(record))
    changed: dict[str, Any] = {}
    for field in fields(type(record)):
        value = getattr(record, field.name)
        if isinstance(value, str):
            changed[field.name] = clean(value)
        elif isinstance(value, dict) and field.name not in _KEPT:
            changed[field.name] = clean_data(value)
    return evolve(record, **changed)


def alert_of(record: AlertRecord) -> Alert | None:
    """Return the alert of a record; None if it was stored without its state, or that is damaged."""
    alert = _whole(record.state, Alert)
    return None if alert is None else cleaned_alert(alert)


def row_of(record: NotificationRecord) -> Row | None:
    """Return the outbox row of a record; None as for :func:`alert_of`."""
    row = _whole(record.state, Row)
    return None if row is None else cleaned_row(row)


def silence_of(record: SilenceRecord) -> Silence:
    """Return the silence of a record."""
    return Silence(
        id=record.id,
        matchers=tuple(parse(text) for text in record.matchers),
        starts_at=record.starts_at,
        ends_at=record.ends_at,
        created_by=record.created_by,
        comment=record.comment,
        window=None if record.window is None else msgspec.convert(record.window, Window),
    )


def _whole(state: Any, kind: Any) -> Any:
    if state is None:
        return None
    try:
        return convert(state, kind)
    except msgspec.MsgspecError as error:
        log.warning("a record of history cannot be decoded and is ignored",
                    kind=kind.__name__, reason=str(error))  # fmt: skip
        return None
