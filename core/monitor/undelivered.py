"""Undelivered firings of a channel, and the other channels that get them instead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Moment
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.message import Kind
from tocsin.core.monitor.underway import Underway

MOST = 20_000
"""Maximum number of episodes kept for one channel."""


@define
class Undelivered:
    """Firings that a channel could not deliver. An episode is an alert and its number of
    reopenings."""

    episodes: dict[tuple[UUID, int], None] = field(factory=dict)

    def note(self, row: Row) -> None:
        """Record the present state of a row."""
        notice = row.notice
        if notice is None:
            return
        if row.decision is Decision.SENT:
            self.episodes.pop((row.alert, notice.flaps), None)
        elif (
            row.decision is Decision.DEAD
            and notice.kind is not Kind.RESOLVED
            and row.first_notification
        ):
            self.episodes[row.alert, notice.flaps] = None
            while len(self.episodes) > MOST:
                del self.episodes[next(iter(self.episodes))]

    def ends(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows, of some in their order, that are recoveries of firings never
        delivered."""
        begun: set[UUID] = set()
        found = []
        for row in rows:
            if row.notice is None:
                continue
            if row.notice.kind is not Kind.RESOLVED:
                begun.add(row.alert)
            elif (
                row.first_notification
                and row.alert not in begun
                and (row.alert, row.notice.flaps) in self.episodes
            ):
                found.append(row)
        return found


def fallback_rows(
    rows: Iterable[Row],
    channels: Mapping[str, ChannelSettings],
    failing: Collection[str],
    engine: Engine,
    underway: Underway,
    now: Moment,
) -> dict[UUID, Row]:
    """Return rows for other channels in place of undelivered ones, by the ids of these.

    A row goes to the configured fallback of its channel, or else to any other channel that works
    and is not notified of the alert anyway. A row that is itself a fallback gets no other.

    Args:
        rows: undelivered rows, of any channels.
        channels: the channels of the configuration in force.
        failing: names of those that cannot deliver now.
        engine: the alerts, with the channels that delivered them.
        underway: the channels whose notification of an alert is still queued.
        now: the moment of the event.
    """
    made: dict[UUID, Row] = {}
    for row in rows:
        if row.notice is None or row.notice.fallback_for is not None:
            continue
        failed = channels.get(row.channel)
        named = None if failed is None else failed.fallback
        name = named or _other(row.channel, channels, failing)
        if name is None:
            continue
        alert = engine.table.find(row.alert)
        told = name in row.sibling_channels or name in underway.channels(row.alert)
        told = told or (alert is not None and name in alert.notified_channels)
        if named is None and told:
            continue
        notice = evolve(row.notice, id=now.ids.new(), fallback_for=row.channel, reply_to=None)
        made[row.id] = Row(
            id=now.ids.new(), alert=row.alert, rule=row.rule, target=row.target, channel=name,
            transition=row.transition, at=now.wall, steady=now.steady, decision=Decision.QUEUED,
            reason=f"{row.channel} could not deliver it", notice=notice,
        )  # fmt: skip
    return made


def _other(
    name: str, channels: Mapping[str, ChannelSettings], failing: Collection[str]
) -> str | None:
    able = [c.name for c in channels.values() if c.notifier is not None and c.name != name]
    well = [other for other in able if other not in failing]
    return next(iter(well or able), None)
