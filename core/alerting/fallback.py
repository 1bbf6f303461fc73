"""Where a notice goes that its channel could not deliver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Moment
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.ids import new_id
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline import Channel


def fall_back(
    failed: ChannelSettings,
    rows: Iterable[Row],
    channels: Mapping[str, Channel],
    engine: Engine,
    underway: Callable[[UUID], frozenset[str]],
    now: Moment,
) -> list[Row]:
    """The rows for another channel: the one the configuration names, else any that works and was
    not told by itself. What came from elsewhere already goes no further."""
    name = failed.fallback or _other(failed.name, channels)
    if name is None:
        return []
    made = []
    for row in rows:
        if row.notice is None or row.notice.fallback_for is not None:
            continue
        alert = engine.find(row.alert)
        told = name in row.beside or name in underway(row.alert)
        told = told or (alert is not None and name in alert.heard)
        if failed.fallback is None and told:
            continue
        notice = evolve(row.notice, id=new_id(), fallback_for=row.channel, reply_to=None)
        made.append(
            Row(
                alert=row.alert, rule=row.rule, target=row.target, channel=name,
                transition=row.transition, at=now.wall, steady=now.steady,
                decision=Decision.QUEUED, reason=f"{row.channel} could not deliver it",
                notice=notice,
            )
        )  # fmt: skip
    return made


def _other(name: str, channels: Mapping[str, Channel]) -> str | None:
    able = [
        channel
        for channel in channels.values()
        if channel.settings.notifier is not None and channel.settings.name != name
    ]
    well = [channel for channel in able if channel.trouble is None]
    return next((channel.settings.name for channel in well or able), None)


def orphaned(rows: Iterable[Row]) -> list[Row]:
    """Rows whose channel is configured no more."""
    return [
        evolve(
            row, decision=Decision.DEAD, reason="the channel is no longer configured",
            revision=row.revision + 1,
        )
        for row in rows
    ]  # fmt: skip


def gone(name: str) -> ChannelSettings:
    """What is left to say of a channel that is configured no more."""
    return ChannelSettings(
        name=name, notifier_name="", plugin=None, notifier=None, broken=None, options={}
    )
