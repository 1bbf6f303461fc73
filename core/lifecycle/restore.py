"""Restoring the state of an earlier run from the database, if the journal is missing or damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Decision
from tocsin.core.alerts.silences import Silence
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import Health
from tocsin.core.journal.journal import Entry, Saved
from tocsin.core.logs import get_logger
from tocsin.core.monitor import Monitor, Past
from tocsin.core.notify import Channel
from tocsin.core.store import Store, StoreUnavailable
from tocsin.core.store.alerts import Waiting

log = get_logger(__name__)

MOST = 2.0
"""Maximum time, in seconds, for which notifications wait for the database."""

MOST_OWN = 20.0
"""The same for the embedded database, which this process has to start first."""

AGAIN = 0.2
"""Seconds between checks of the database; multiplied by five after each failed read."""

TRIES = 4
"""Failed reads after which nothing is restored."""

KEPT = timedelta(days=7)
"""Maximum age of pending notifications that are restored."""

QUEUED = Decision.QUEUED


async def restored(store: Store, clock: Clock, saved: Saved, go_on: Callable[[], None]) -> Past:
    """Return the database's state of an earlier run, merged with what the journal holds of it.

    Of each alert the later revision is used, and a row that either has as delivered is delivered.
    Waits until the database can be read; with a damaged journal, at most ``MOST_OWN`` seconds,
    after which its content is used alone.

    Args:
        store: the database.
        clock: the time.
        saved: what could be read of a damaged journal.
        go_on: called when the wait is too long, so that notifications are sent without it.
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
            # The database may be readable before all queued writes are done.
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


def whole_entry(
    monitor: Monitor,
    channels: Iterable[Channel],
    held: Saved | None,
    anchor: Anchor,
) -> Entry:
    """Return the complete content for a new journal.

    ``held``: what the old journal held and was not restored yet; None if there is nothing.
    """
    left = held or Saved()
    rests = {channel.settings.name: channel.record.retry_after_until for channel in channels}
    waiting = {row.id: row for channel in channels for row in channel.queue.rows}
    return Entry(
        alerts=(*left.alerts, *monitor.engine.alerts.values()),
        rows=(*left.rows, *{**monitor.recent.rows, **waiting}.values()),
        silences=tuple(monitor.quiet.silences.values()),
        retry_after_until={name: until for name, until in rests.items() if until is not None},
        anchor=anchor,
        restored=held is None,
        rule_states=dict(monitor.engine.evaluator.rule_states.kept),
        beats=dict(monitor.state.beats),
    )  # fmt: skip
