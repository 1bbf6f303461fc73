"""Stage 4: of several notices about one alert in a message, the newest says it all; only the first
firing and the end are both told."""

from __future__ import annotations

from uuid import UUID

from tocsin.core.notices import Kind
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline.suppress import Stop

_NEWS = (Kind.FIRED, Kind.RESOLVED)


def dedupe(rows: list[Row], stop: Stop) -> list[Row]:
    """Leave out repeats of what the same message tells anyway."""
    newest: dict[tuple[UUID, bool], Row] = {}
    for row in rows:
        notice = row.notice
        if notice is not None:
            newest[row.alert, notice.kind is Kind.RESOLVED] = row
    first: set[UUID] = set()
    passed = []
    for row in rows:
        notice = row.notice
        if notice is None:
            continue
        last = newest[row.alert, notice.kind is Kind.RESOLVED]
        begins = notice.kind is Kind.FIRED and row.alert not in first
        if row is last or begins:
            first.add(row.alert)
            passed.append(row)
        else:
            stop(row, Decision.SUPERSEDED, f"a newer notice ({last.transition}) goes out with it")
    fired = {r.alert for r in passed if r.notice is not None and r.notice.kind is Kind.FIRED}
    return [row for row in passed if not _swallowed(row, fired, stop)]


def _swallowed(row: Row, fired: set[UUID], stop: Stop) -> bool:
    """A repeat beside its own first firing."""
    notice = row.notice
    if notice is None or notice.kind in _NEWS or notice.kind is Kind.ESCALATED:
        return False
    if row.alert in fired:
        stop(row, Decision.SUPERSEDED, "its first notice goes out only now")
        return True
    return False
