"""Withdrawal of rows just before a message is formed. While they waited, their alert may have been
explained by another, silenced, or superseded. Each function returns the rows that are sent, and
those withdrawn with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Moment, Phase, Suppression
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.contracts.message import Kind

Sifted: TypeAlias = tuple[list[Row], list[Row]]
"""Rows that are sent, and rows that are withdrawn."""

_NEWS = (Kind.FIRED, Kind.RESOLVED)


def withdrawn(row: Row, decision: Decision, why: str) -> Row:
    """Return the row, marked as not sent, with the reason."""
    return evolve(row, decision=decision, reason=why, revision=row.revision + 1)


def inhibited(rows: list[Row], engine: Engine, now: Moment) -> Sifted:
    """Withdraw rows of alerts that the failure of another target explains."""
    return _covered(rows, engine, lambda a: engine.inhibition.over(a.key, a, now.steady))


def silenced(rows: list[Row], engine: Engine, now: Moment) -> Sifted:
    """Withdraw rows of alerts that a silence or a maintenance window covers."""
    return _covered(
        rows,
        engine,
        lambda a: engine.muting.quiet.mutes(a, engine.evaluator.target(a.target), now.wall),
    )


def _covered(
    rows: list[Row], engine: Engine, cover: Callable[[Alert], Suppression | None]
) -> Sifted:
    passed, left = [], []
    for row in rows:
        alert = engine.table.find(row.alert)
        told = row.notice is not None and row.notice.kind is Kind.RESOLVED
        # An alert that has resolved meanwhile is sent, firing and recovery; so is every recovery.
        found = None
        if alert is not None and alert.phase is Phase.FIRING and not told:
            found = cover(alert)
        if found is None:
            passed.append(row)
        else:
            left.append(withdrawn(row, Decision(found.cause.value), found.message))
    return passed, left


def superseded(rows: Iterable[Row]) -> Sifted:
    """Withdraw rows that a newer one of the same alert makes redundant.

    Of each alert, only its first firing and its newest notices (of the firing and of the end)
    remain.
    """
    noticed = [(row, row.notice) for row in rows if row.notice is not None]
    newest = {(row.alert, notice.kind is Kind.RESOLVED): row for row, notice in noticed}
    first: set[UUID] = set()
    passed, left = [], []
    for row, notice in noticed:
        last = newest[row.alert, notice.kind is Kind.RESOLVED]
        begins = notice.kind is Kind.FIRED and row.alert not in first
        if row is last or begins:
            first.add(row.alert)
            passed.append((row, notice))
        else:
            why = f"a newer notice ({last.transition}) is sent with it"
            left.append(withdrawn(row, Decision.SUPERSEDED, why))
    fired = {row.alert for row, notice in passed if notice.kind is Kind.FIRED}
    kept = []
    for row, notice in passed:
        if row.alert in fired and notice.kind not in (*_NEWS, Kind.ESCALATED):
            why = "its first notice is sent only now"
            left.append(withdrawn(row, Decision.SUPERSEDED, why))
        else:
            kept.append(row)
    return kept, left
