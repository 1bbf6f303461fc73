"""Stages 2 and 3: inhibition, silences and windows, looked at once more just before a message goes
out: the root may have been found, or somebody may have spoken, while it waited."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Moment, Phase, Suppression
from tocsin.core.notices import Kind
from tocsin.core.outbox import Decision, Row

Stop = Callable[[Row, Decision, str], None]
Now = Callable[[], Moment]


def inhibit(rows: list[Row], engine: Engine, now: Now, stop: Stop) -> list[Row]:
    """Leave out what the failure of another target explains."""

    def cover(alert: Alert) -> Suppression | None:
        return engine.inhibition.over(alert.key, alert, now().steady)

    return _filter(rows, engine, cover, stop)


def silence(rows: list[Row], engine: Engine, now: Now, stop: Stop) -> list[Row]:
    """Leave out what a silence or a maintenance window covers."""

    def cover(alert: Alert) -> Suppression | None:
        return engine.quiet.over(alert, engine.target(alert.target), now().wall)

    return _filter(rows, engine, cover, stop)


def _filter(
    rows: list[Row], engine: Engine, cover: Callable[[Alert], Suppression | None], stop: Stop
) -> list[Row]:
    passed = []
    for row in rows:
        alert = engine.find(row.alert)
        told = row.notice is not None and row.notice.kind is Kind.RESOLVED
        # What has resolved meanwhile is told, both halves of it; so is every recovery.
        found = None
        if alert is not None and alert.phase is Phase.FIRING and not told:
            found = cover(alert)
        if found is None:
            passed.append(row)
        else:
            stop(row, Decision(found.cause.value), found.message)
    return passed
