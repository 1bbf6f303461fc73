"""Restoring the state of an earlier run from history, if the journal is missing or damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Decision
from tocsin.core.clock import Clock
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.contracts.history_records import Unfinished
from tocsin.core.history.access import HistoryAccess
from tocsin.core.history.records import alert_of, row_of, silence_of
from tocsin.core.journal.journal import Entry, Saved
from tocsin.core.logs import get_logger
from tocsin.core.monitor import Monitor, Past
from tocsin.core.notify import Channel

log = get_logger(__name__)

ENOUGH = 2.0
"""Seconds after which history is read although it has not stored everything that it was passed."""

MOST = 20.0
"""Maximum time, in seconds, for which what is left of a damaged journal waits for history. Without
a journal, notifications wait for HistoryRuntime.start_seconds."""

AGAIN = 0.2
"""Seconds between checks of history; multiplied by five after each failed read."""

TRIES = 4
"""Failed reads after which nothing is restored."""

KEPT = timedelta(days=7)
"""Maximum age of pending notifications that are restored."""

QUEUED = Decision.QUEUED


async def restored(
    history: HistoryAccess, clock: Clock, saved: Saved, go_on: Callable[[], None]
) -> Past:
    """Return history's state of an earlier run, merged with what the journal holds of it.

    Of each alert the later revision is used, and a row that either has as delivered is delivered.
    Waits until history can be read; with a damaged journal, at most ``MOST`` seconds,
    after which its content is used alone.

    Args:
        history: history.
        clock: the time.
        saved: what could be read of a damaged journal.
        go_on: called when the wait is too long, so that notifications are sent without it.
    """

    def give_up() -> None:
        log.warning("the database does not answer; alerts do not wait for what it remembers of an "
                    "earlier run", reason=history.health().message)  # fmt: skip
        go_on()

    loop = asyncio.get_running_loop()
    patience = MOST if saved.doubtful else history.plugin.start_seconds
    late = loop.call_later(patience, give_up)
    began, failures = loop.time(), 0
    try:
        while failures < TRIES:
            state = await history.plugin.look()
            if history.is_disabled:
                break
            waited = loop.time() - began
            is_late = waited >= MOST
            # History may be readable before all queued writes are done.
            enough = is_late if saved.doubtful else waited >= ENOUGH
            if state.is_complete or (enough and state.is_readable):
                try:
                    return await _read(history, clock, saved)
                except HistoryUnavailable as error:
                    failures += 1
                    log.warning("nothing was restored from the database yet", reason=str(error))
            if is_late and saved.doubtful:
                break
            pause = AGAIN * 5**failures
            await asyncio.sleep(min(pause, AGAIN + MOST - waited) if saved.doubtful else pause)
        return _merged(saved, Unfinished(), known=history.is_disabled)
    finally:
        late.cancel()


async def _read(history: HistoryAccess, clock: Clock, saved: Saved) -> Past:
    alerts = [alert.id for alert in saved.alerts]
    rows = [row.id for row in saved.rows if row.decision is QUEUED]
    since = clock.now() - KEPT
    found = await history.ask(lambda past: past.unfinished(since, alerts, rows), Unfinished)
    return _merged(saved, found, known=True)


def _merged(saved: Saved, found: Unfinished, *, known: bool) -> Past:
    newest: dict[UUID, Alert] = {}
    for alert in (*saved.alerts, *filter(None, map(alert_of, found.alerts))):
        if alert.id not in newest or alert.revision >= newest[alert.id].revision:
            newest[alert.id] = alert
    queued = [record for record in found.notifications if record.decision == QUEUED]
    finished = {record.id for record in found.notifications if record.decision != QUEUED}
    rows = {row.id: row for row in saved.rows}
    for row in filter(None, map(row_of, queued)):
        if row.id not in rows or row.revision > rows[row.id].revision:
            rows[row.id] = row
    silences = map(silence_of, found.silences)
    here = {silence.id for silence in saved.silences}
    return Past(
        alerts=tuple(alert for alert in newest.values() if alert.open),
        ended=tuple(alert for alert in newest.values() if not alert.open),
        rows=tuple(
            sorted(
                (
                    row for row in rows.values()
                    if row.decision is not QUEUED or row.id not in finished
                ),
                key=lambda row: (row.steady, row.id),
            )
        ),
        silences=tuple(s for s in silences if s.id not in here),
        # rows that an earlier version stored without their notice
        bare=frozenset((r.alert, r.channel) for r in queued if r.state is None),
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
