"""The status of all targets, for messages that show the whole system."""

from __future__ import annotations

from tocsin.core.contracts.message import TargetStatus
from tocsin.core.contracts.model import Status
from tocsin.core.hiding import clean
from tocsin.core.state import LiveState

_ORDER = {Status.DOWN: 0, Status.DEGRADED: 1, Status.UNKNOWN: 2, Status.UP: 3}


def target_statuses(state: LiveState) -> tuple[TargetStatus, ...]:
    """Return every target's status: worst first, critical targets before others, then by name."""
    found = [
        TargetStatus(
            target=one.target.name, kind=one.target.kind, status=one.status,
            message=clean(one.message),
            critical=one.target.critical, since=one.since,
        )
        for one in state
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda s: (_ORDER[s.status], not s.critical, s.target)))
