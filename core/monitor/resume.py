"""Recovery after a restart: from an intact journal, or from what the database has."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Key, Moment, Phase, Transition
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.alerts.outcomes import record_deferral
from tocsin.core.contracts.rule import Verdict
from tocsin.core.journal.file import Saved
from tocsin.core.logs import get_logger
from tocsin.core.monitor.deliveries import Deliveries
from tocsin.core.monitor.past import Past
from tocsin.core.monitor.recent_alerts import RecentAlerts

log = get_logger(__name__)

QUEUED = Decision.QUEUED


def load(saved: Saved, engine: Engine, recent: RecentAlerts, deliveries: Deliveries) -> None:
    """Load the state that was read from the journal.

    ``saved`` has no alerts and no rows if the journal was damaged; :func:`taken_up` adds them.
    """
    engine.table.load(saved.alerts)
    engine.table.dirty.clear()
    engine.evaluator.rule_states.kept.update(saved.rule_states)
    for row in saved.rows:
        recent.note(row)  # history may lack it; storing it again by its id is harmless
        deliveries.note(row)
    for alert in saved.alerts:
        recent.keep(alert)
    recent.own = set() if saved.fresh or saved.doubtful else None


def taken_up(
    engine: Engine, recent: RecentAlerts, deliveries: Deliveries, past: Past, now: Moment
) -> tuple[Past, list[Transition]]:
    """Restore the state of an earlier run after the database could be read.

    Results may have arrived earlier and created new alerts. If no channel has delivered such an
    alert, the stored one replaces it, and the new one ends in history. If one has, the new alert
    stays, the stored one ends, and its pending notifications are superseded.

    Args:
        engine: the alerts of this run.
        recent: the newest alerts and rows.
        deliveries: the outbox.
        past: the state of the earlier run.
        now: the moment of the event.

    Returns:
        What was restored, and the changes of alerts.
    """
    own, recent.own = recent.own or set(), None
    replaced: set[UUID] = set()
    before: dict[Key, Alert] = {}
    for alert in sorted(past.alerts, key=lambda alert: (alert.ever_notified, alert.id)):
        if alert.id in own:
            continue  # history has it already
        if alert.key in before:
            recent.keep(_replaced(before[alert.key], now))
        before[alert.key] = alert
    changes: list[Transition] = []
    for key, alert in list(before.items()):
        newcomer = engine.alerts.get(key)
        if newcomer is None:
            continue
        if newcomer.ever_notified:
            replaced.add(alert.id)
            recent.keep(_replaced(before.pop(key), now))
            unseen = newcomer.phase is Phase.FIRING and newcomer.acknowledged_by is None
            if unseen and alert.acknowledged_by is not None:
                by, comment = alert.acknowledged_by, alert.comment
                changes.append(engine.table.acknowledge(newcomer, by, comment, now))
            continue
        changes += engine.judge(key, Verdict.over("the alert of the earlier run continues"), now)
        if key in engine.alerts:
            recent.keep(engine.alerts[key])
        if newcomer.acknowledged_by is not None and alert.acknowledged_by is None:
            before[key] = evolve(
                alert,
                acknowledged_by=newcomer.acknowledged_by,
                acknowledged_at=newcomer.acknowledged_at,
                comment=newcomer.comment,
                revision=alert.revision + 1,
            )
    engine.table.load(before.values())
    engine.table.load(alert for alert in past.ended if alert.key not in engine.alerts)
    rows = tuple(
        _superseded(row) if row.alert in replaced else row for row in past.rows if row.id not in own
    )
    for row in rows:
        recent.note(row)
        deliveries.note(row)
    bare = frozenset(each for each in past.bare if each[0] not in replaced | own)
    for identity, channel in bare:
        engine.table.revise(identity, partial(record_deferral, channel=channel, underway=()))
    owed = sum(row.decision is QUEUED for row in rows) + len(bare)
    if before or owed:
        log.info("the state of an earlier run was restored", alerts=len(before), to_be_told=owed)
    past = evolve(past, rows=rows, bare=bare, found=bool(before or owed))
    return past, changes + engine.review({key[1] for key in before}, now)


def _superseded(row: Row) -> Row:
    if row.decision is not QUEUED:
        return row
    why = "another alert continues in its place"
    return evolve(row, decision=Decision.SUPERSEDED, reason=why, revision=row.revision + 1)


def _replaced(alert: Alert, now: Moment) -> Alert:
    return evolve(
        alert,
        phase=Phase.RESOLVED,
        resolved=now.steady,
        resolved_at=now.wall,
        resolution="another alert continues in its place",
        revision=alert.revision + 1,
    )
