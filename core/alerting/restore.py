"""A start whose journal is gone or damaged: what the database remembers counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from attrs import evolve, frozen

from tocsin.core.alerting.memory import Memory
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Key, Moment, Phase, Transition
from tocsin.core.alerts.silences import Quiet, Silence
from tocsin.core.alerts.steady import Anchor
from tocsin.core.clock import Clock
from tocsin.core.journal import Entry, Saved
from tocsin.core.logs import get_logger
from tocsin.core.model import Health
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline import Channel
from tocsin.core.store import Store, StoreUnavailable
from tocsin.core.store.alerts import Waiting
from tocsin.core.verdicts import Verdict

log = get_logger(__name__)

MOST = 20.0
"""Seconds for which the database is waited for."""

KEPT = timedelta(days=7)
"""What was to be told longer ago than this is told no more."""

QUEUED = Decision.QUEUED


@frozen(kw_only=True)
class Past:
    """What goes on of an earlier run. ``ended``: alerts resolved not long ago. ``bare``: alert and
    channel of what is owed without its notice. ``known``: the database has said what it knows."""

    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    bare: frozenset[tuple[UUID, str]] = frozenset()
    known: bool = False

    def entry(self) -> Entry:
        """What of it the journal has to hold, but for the alerts."""
        return Entry(silences=self.silences, rows=self.rows, restored=self.known)


async def restored(store: Store, clock: Clock, saved: Saved = Saved()) -> Past:  # noqa: B008
    """What the database remembers, together with ``saved``, which could be read of a damaged
    journal: of an alert the later revision counts, and what either has as delivered is delivered.
    Where the database does not answer in time, ``saved`` alone."""
    try:
        async with asyncio.timeout(MOST):
            while not store.caught_up:
                if store.health().status is Health.DISABLED:
                    return _merged(saved, [], Waiting(), [], known=True)
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass  # perhaps it can be read, though not all is written yet
    try:
        async with asyncio.timeout(MOST):
            alerts = await store.alerts.open_alerts([alert.id for alert in saved.alerts])
            waiting = await store.alerts.waiting(
                clock.now() - KEPT, [row.id for row in saved.rows if row.decision is QUEUED]
            )
            silences = await store.alerts.silences(clock.now())
    except (TimeoutError, StoreUnavailable) as error:
        reason = str(error) or "it does not answer in time"
        log.warning("nothing was restored from the database", reason=reason)
        return _merged(saved, [], Waiting(), [], known=False)
    return _merged(saved, alerts, waiting, silences, known=True)


def _merged(
    saved: Saved, alerts: list[Alert], waiting: Waiting, silences: list[Silence], *, known: bool
) -> Past:
    newest: dict[UUID, Alert] = {}
    for alert in (*saved.alerts, *alerts):
        if alert.id not in newest or alert.revision >= newest[alert.id].revision:
            newest[alert.id] = alert
    rows = {row.id: row for row in saved.rows}
    for row in waiting.rows:
        if row.id not in rows or row.revision > rows[row.id].revision:
            rows[row.id] = row
    here = {silence.id for silence in saved.silences}
    return Past(
        alerts=tuple(alert for alert in newest.values() if alert.open),
        ended=tuple(alert for alert in newest.values() if not alert.open),
        rows=tuple(
            sorted(
                (
                    row for row in rows.values()
                    if row.decision is not QUEUED or row.id not in waiting.finished
                ),
                key=lambda row: (row.steady, row.id),
            )
        ),
        silences=tuple(s for s in silences if s.id not in here),
        bare=waiting.bare,
        known=known,
    )  # fmt: skip


def taken_up(
    engine: Engine, memory: Memory, past: Past, now: Moment
) -> tuple[bool, list[Transition]]:
    """Go on with what was left of an earlier run; returns whether there was anything, and what
    changed.

    Results may have come before the database could be read, and begun alerts of their own. Nobody
    was told of those, the start being still under way: the stored one takes their place, and in
    history they end.
    """
    for row in past.rows:
        memory.note(row)
    before: dict[Key, Alert] = {}
    for alert in sorted(past.alerts, key=lambda alert: (alert.ever_told, alert.id)):
        if alert.id in memory.alerts:
            continue  # this run's own: history has it already
        if alert.key in before:
            memory.keep(_replaced(before[alert.key], now))
        before[alert.key] = alert
    changes: list[Transition] = []
    for key, alert in before.items():
        newcomer = engine.alerts.get(key)
        if newcomer is None:
            continue
        changes += engine.judge(key, Verdict.clear("it goes on as the alert of before"), now)
        if key in engine.alerts:
            memory.keep(engine.alerts[key])
        if newcomer.acknowledged_by is not None and alert.acknowledged_by is None:
            before[key] = evolve(
                alert,
                acknowledged_by=newcomer.acknowledged_by,
                acknowledged_at=newcomer.acknowledged_at,
                comment=newcomer.comment,
                revision=alert.revision + 1,
            )
    engine.load(before.values())
    engine.load(alert for alert in past.ended if alert.key not in engine.alerts)
    for identity, channel in past.bare:
        engine.owe(identity, channel)
    owed = sum(row.decision is QUEUED for row in past.rows) + len(past.bare)
    if before or owed:
        log.info("an earlier run goes on", alerts=len(before), to_be_told=owed)
    return bool(before or owed), changes + engine.review({key[1] for key in before}, now)


def everything(
    engine: Engine,
    memory: Memory,
    quiet: Quiet,
    channels: Iterable[Channel],
    held: Saved,
    anchor: Anchor,
    restored: bool,
) -> Entry:
    """All that the journal has to hold, for a new one; ``held``: what was not taken up yet."""
    gates = {channel.settings.name: channel.shut_until for channel in channels}
    waiting = {row.id: row for channel in channels for row in channel.unfinished()}
    return Entry(
        alerts=(*held.alerts, *engine.alerts.values()),
        rows=(*held.rows, *{**waiting, **memory.rows}.values()),
        silences=tuple(quiet.silences.values()),
        gates={name: until for name, until in gates.items() if until is not None},
        anchor=anchor,
        restored=restored,
    )  # fmt: skip


def _replaced(alert: Alert, now: Moment) -> Alert:
    return evolve(
        alert,
        phase=Phase.RESOLVED,
        resolved=now.steady,
        resolved_at=now.wall,
        resolution="another alert went on in its place",
        revision=alert.revision + 1,
    )
