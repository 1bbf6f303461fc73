"""A start whose journal is gone or damaged: what the database remembers counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from attrs import evolve, frozen

from tocsin.core.alerting.memory import Memory
from tocsin.core.alerting.underway import Underway
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

MOST = 2.0
"""Seconds for which alerts wait for the database."""

MOST_OWN = 20.0
"""The same for the embedded one, which this process is about to start."""

AGAIN = 0.2
"""Seconds between two looks whether it can be read; five times as many after each failure."""

TRIES = 4
"""Failures to read it after which nothing is restored."""

KEPT = timedelta(days=7)
"""What was to be told longer ago than this is told no more."""

QUEUED = Decision.QUEUED


@frozen(kw_only=True)
class Past:
    """What goes on of an earlier run. ``ended``: alerts resolved not long ago. ``bare``: alert and
    channel of what is owed without its notice. ``known``: the database has said what it knows.
    ``found``: something of it was taken up."""

    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    bare: frozenset[tuple[UUID, str]] = frozenset()
    known: bool = False
    found: bool = False

    def entry(self) -> Entry:
        """What of it the journal has to hold, but for the alerts."""
        return Entry(silences=self.silences, rows=self.rows, restored=self.known)


async def restored(store: Store, clock: Clock, saved: Saved, go_on: Callable[[], None]) -> Past:
    """What the database remembers, together with ``saved``, which could be read of a damaged
    journal: of an alert the later revision counts, and what either has as delivered is delivered.

    It is awaited until the database can be read; ``go_on`` is called where that takes so long that
    alerts are to be told meanwhile. What could be read of a damaged journal is not kept back for
    longer than ``MOST_OWN``: then it goes on alone.
    """

    def give_up() -> None:
        log.warning("the database does not answer; alerts do not wait for what it remembers of an "
                    "earlier run", reason=store.health().message)  # fmt: skip
        go_on()

    loop = asyncio.get_running_loop()
    late = loop.call_later(MOST_OWN if store.is_own or saved.doubtful else MOST, give_up)
    began, failures = loop.time(), 0
    try:
        while store.health().status is not Health.DISABLED and failures < TRIES:
            waited = loop.time() - began
            is_late = waited >= MOST_OWN
            # Perhaps it can be read, though not all is written yet.
            enough = is_late if saved.doubtful else waited >= MOST
            if store.caught_up or (enough and store.can_be_read):
                try:
                    return await _read(store, clock, saved)
                except StoreUnavailable as error:
                    failures += 1
                    log.warning("nothing was restored from the database yet", reason=str(error))
            if is_late and saved.doubtful:
                break
            pause = AGAIN * 5**failures
            await asyncio.sleep(min(pause, AGAIN + MOST_OWN - waited) if saved.doubtful else pause)
        away = store.health().status is not Health.DISABLED
        return _merged(saved, [], Waiting(), [], known=not away)
    finally:
        late.cancel()


async def _read(store: Store, clock: Clock, saved: Saved) -> Past:
    alerts = await store.alerts.open_alerts([alert.id for alert in saved.alerts])
    waiting = await store.alerts.waiting(
        clock.now() - KEPT, [row.id for row in saved.rows if row.decision is QUEUED]
    )
    silences = await store.alerts.silences(clock.now())
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


def load(saved: Saved, engine: Engine, memory: Memory, underway: Underway) -> None:
    """Go on with a journal that is whole; of one that is not, with nothing yet."""
    engine.load(saved.alerts)
    engine.dirty.clear()
    engine.carried.kept.update(saved.carried)
    for row in saved.rows:
        memory.note(row)  # history may not have it yet; its id makes that harmless
        underway.note(row)
    for alert in saved.alerts:
        memory.keep(alert)
    memory.own = set() if saved.fresh or saved.doubtful else None


def taken_up(
    engine: Engine, memory: Memory, underway: Underway, past: Past, now: Moment
) -> tuple[Past, list[Transition]]:
    """Go on with what was left of an earlier run; returns what went on of it, and what changed.

    Results may have come before the database could be read, and begun alerts of their own. Where
    nobody was told of those, the start being still under way, the stored one takes their place, and
    in history they end. An alert that was told meanwhile goes on in place of the stored one, and
    what was still to be told of that one is told no more.
    """
    own, memory.own = memory.own or set(), None
    replaced: set[UUID] = set()
    before: dict[Key, Alert] = {}
    for alert in sorted(past.alerts, key=lambda alert: (alert.ever_told, alert.id)):
        if alert.id in own:
            continue  # history has it already
        if alert.key in before:
            memory.keep(_replaced(before[alert.key], now))
        before[alert.key] = alert
    changes: list[Transition] = []
    for key, alert in list(before.items()):
        newcomer = engine.alerts.get(key)
        if newcomer is None:
            continue
        if newcomer.ever_told:
            replaced.add(alert.id)
            memory.keep(_replaced(before.pop(key), now))
            unseen = newcomer.phase is Phase.FIRING and newcomer.acknowledged_by is None
            if unseen and alert.acknowledged_by is not None:
                changes += engine.acknowledge(newcomer, alert.acknowledged_by, alert.comment, now)
            continue
        changes += engine.judge(key, Verdict.over("it goes on as the alert of before"), now)
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
    rows = tuple(
        _superseded(row) if row.alert in replaced else row for row in past.rows if row.id not in own
    )
    for row in rows:
        memory.note(row)
        underway.note(row)
    bare = frozenset(each for each in past.bare if each[0] not in replaced | own)
    for identity, channel in bare:
        engine.owe(identity, channel)
    owed = sum(row.decision is QUEUED for row in rows) + len(bare)
    if before or owed:
        log.info("an earlier run goes on", alerts=len(before), to_be_told=owed)
    past = evolve(past, rows=rows, bare=bare, found=bool(before or owed))
    return past, changes + engine.review({key[1] for key in before}, now)


def whole_entry(
    engine: Engine,
    memory: Memory,
    quiet: Quiet,
    channels: Iterable[Channel],
    held: Saved | None,
    anchor: Anchor,
) -> Entry:
    """All that the journal has to hold, for a new one; ``held``: what was not taken up yet, None
    where there is nothing more to be taken up."""
    left = held or Saved()
    gates = {channel.settings.name: channel.shut_until for channel in channels}
    waiting = {row.id: row for channel in channels for row in channel.unfinished()}
    return Entry(
        alerts=(*left.alerts, *engine.alerts.values()),
        rows=(*left.rows, *{**waiting, **memory.rows}.values()),
        silences=tuple(quiet.silences.values()),
        gates={name: until for name, until in gates.items() if until is not None},
        anchor=anchor,
        restored=held is None,
        carried=dict(engine.carried.kept),
    )  # fmt: skip


def _superseded(row: Row) -> Row:
    if row.decision is not QUEUED:
        return row
    why = "another alert went on in its place"
    return evolve(row, decision=Decision.SUPERSEDED, reason=why, revision=row.revision + 1)


def _replaced(alert: Alert, now: Moment) -> Alert:
    return evolve(
        alert,
        phase=Phase.RESOLVED,
        resolved=now.steady,
        resolved_at=now.wall,
        resolution="another alert went on in its place",
        revision=alert.revision + 1,
    )
