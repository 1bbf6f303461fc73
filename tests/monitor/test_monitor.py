"""The monitor: what follows from an event, without a clock, a disk or a network."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alerts.driver import SCHEDULES, START, book
from tocsin import Observation, Result, Severity, Status, Target
from tocsin.core.alerts.model import Change, Moment, Phase
from tocsin.core.alerts.outbox import Decision
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.ids import Ids, new_id
from tocsin.core.monitor import Effects, Monitor, events
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.state import CheckState
from tocsin.testing import RecordingNotifier

OPS = ChannelSettings(
    name="ops", notifier_name="webhook", plugin=None, notifier=None, broken=None, options={},
    min_severity=Severity.WARNING,
)  # fmt: skip


def at(seconds: float, event: UUID | None = None) -> Moment:
    """A moment; with the id of the event that is handled then."""
    wall = datetime.fromtimestamp(START + seconds, UTC)
    return Moment(START + seconds, wall, Ids(event))


def observed(target: str, status: str, seconds: float = 0.0) -> events.Observed:
    result = Result(status=Status(status), message=status)
    return events.Observed(
        Observation(target=target, check="c", at=at(seconds).wall, result=result)
    )


def check_of(target: str) -> CheckState:
    return CheckState(target=target, name="c", probe="tcp", interval=30)


def watching(*targets: str, others: tuple[ChannelSettings, ...] = ()) -> Monitor:
    """A monitor with the rules of the tests, a channel and others, and targets that depend on
    nothing."""
    monitor = Monitor()
    channels = {channel.name: channel for channel in (OPS, *others)}
    monitor.handle(events.Configured(book(), channels, (), 0.0), at(0))
    for name in targets:
        monitor.handle(events.TargetPut(Target(name=name)), at(0))
        monitor.handle(events.CheckPut(check_of(name)), at(0))
    return monitor


def test_a_failure_is_journaled_with_the_row_that_tells_of_it() -> None:
    """One event, one entry: the alert and its row, which goes to its channel; history and whoever
    listens are given the same."""
    monitor = watching("web")
    effects = monitor.handle(observed("web", "down"), at(1))
    assert effects.entry is not None
    (alert,) = effects.entry.alerts
    (row,) = effects.entry.rows
    assert (alert.phase, row.decision, row.channel) == (Phase.FIRING, Decision.QUEUED, "ops")
    assert effects.queued == (row,)
    assert effects.stored[1:] == (alert, row)
    assert [kind for kind, _ in effects.published] == ["result", "status", "alert", "alert"]
    assert [change.kind for change in effects.transitions] == [Change.PENDING, Change.FIRED]


def test_what_changes_nothing_is_history_alone() -> None:
    """A target that goes on being well costs nothing of the journal's; one that is not there costs
    nothing at all."""
    monitor, seen = watching("web"), observed("web", "up")
    monitor.handle(seen, at(1))
    news = Effects(stored=(seen.observation,), published=(("result", seen.observation),))
    assert monitor.handle(seen, at(2)) == news
    assert monitor.handle(observed("nobody", "down"), at(2)) == Effects()


def test_what_was_delivered_is_noted_together_with_that() -> None:
    """The rows that a channel is done with, and who has heard, are one entry; the recovery goes to
    whom it told."""
    monitor = watching("web")
    (row,) = monitor.handle(observed("web", "down"), at(1)).queued
    sent = evolve(row, decision=Decision.SENT, revision=row.revision + 1)
    effects = monitor.handle(events.RowsFinished((sent,)), at(2))
    assert effects.entry is not None
    assert effects.entry.rows == (sent,)
    assert effects.entry.alerts[0].notified_channels == {"ops"}
    (end,) = monitor.handle(observed("web", "up"), at(3)).queued
    assert (end.channel, end.transition) == ("ops", "resolved")


KINDS = st.sampled_from("up down tick ack due sent dead late gone back check".split())


@settings(max_examples=SCHEDULES, deadline=None)
@given(st.lists(st.tuples(KINDS, st.sampled_from(["web", "api"]), st.integers(0, 2000))))
def test_the_same_events_have_the_same_effects(acts: list[tuple[str, str, int]]) -> None:
    """Whatever happens, two monitors that are given the same events come to the same alerts, rows,
    messages and decisions, ids included; and no id is made twice."""
    last = evolve(OPS, name="last", notifier=RecordingNotifier(), min_severity=Severity.CRITICAL)
    one, other = (watching("web", "api", others=(last,)) for _ in range(2))
    seconds, made = 1.0, list[UUID]()
    for kind, target, pause in acts:
        seconds += pause
        if (event := _event(one, kind, target, seconds)) is None:
            continue
        identity = new_id()
        effects = one.handle(event, at(seconds, identity))
        assert other.handle(event, at(seconds, identity)) == effects
        made += [change.id for change in effects.transitions]
        made += [row.id for row in effects.queued]
        made += [effects.send.id] if effects.send is not None else []
    assert one.engine.alerts == other.engine.alerts
    assert len(made) == len(set(made))


def _event(monitor: Monitor, kind: str, target: str, seconds: float) -> MonitorEvent | None:
    if kind in ("up", "down"):
        return observed(target, kind, seconds)
    if kind == "gone":
        return events.TargetGone(target, "it was removed")
    if kind == "back":
        return events.TargetPut(Target(name=target))
    if kind == "check":
        known = target in monitor.state.targets
        return events.CheckPut(check_of(target)) if known else None
    if kind == "ack":
        alert = monitor.engine.alerts.get(("down", target))
        fires = alert is not None and alert.phase is Phase.FIRING
        return events.Acknowledged(alert.id, "ann") if alert is not None and fires else None
    rows = monitor.recent.rows.values()
    queued = tuple(r for r in rows if r.target == target and r.decision is Decision.QUEUED)
    if kind == "due":
        return events.MessageDue("ops", queued)
    if kind == "late":
        return events.RowsLate(queued)
    if kind in ("sent", "dead"):
        return events.RowsFinished(tuple(evolve(r, decision=Decision(kind)) for r in queued))
    return events.Ticked()


def test_what_nobody_was_told_of_is_news_when_it_fires_again() -> None:
    """Its only message became a dead letter: fires it again a minute later, it does not wait for a
    cooldown that nobody needs; while it goes on firing it is tried again at each cooldown, and
    escalates."""
    monitor = watching("web")
    (row,) = monitor.handle(observed("web", "down"), at(1)).queued
    dead = events.RowsFinished((evolve(row, decision=Decision.DEAD),))
    monitor.handle(dead, at(2))
    assert monitor.handle(observed("web", "up"), at(30)).queued == ()
    (again,) = monitor.handle(observed("web", "down"), at(60)).queued
    assert again.transition == "reopened"
    told = []
    for number in range(1, 5):
        monitor.handle(events.RowsFinished((evolve(again, decision=Decision.DEAD),)), at(61))
        (again,) = monitor.handle(events.Ticked(), at(60 + 900 * number)).queued
        told.append(again.transition)
    assert told == ["repeated", "repeated", "repeated", "escalated"]


@pytest.mark.parametrize("has_delivered", [False, True])
def test_what_another_channel_tells_was_told(has_delivered: bool) -> None:
    """Another channel takes the place of the one that could not deliver, whether it has told of it
    by then or not: it tells of the end as well, and within the cooldown of nothing more."""
    last = evolve(OPS, name="last", notifier=RecordingNotifier(), min_severity=Severity.CRITICAL)
    monitor = watching("web", others=(last,))
    (row,) = monitor.handle(observed("web", "degraded"), at(1)).queued
    dead = events.RowsFinished((evolve(row, decision=Decision.DEAD),))
    (instead,) = monitor.handle(dead, at(2)).queued
    assert (row.channel, instead.channel) == ("ops", "last")
    if has_delivered:
        sent = evolve(instead, decision=Decision.SENT)
        monitor.handle(events.RowsFinished((sent,)), at(3))
    (end,) = monitor.handle(observed("web", "up"), at(30)).queued
    assert (end.channel, end.transition) == ("last", "resolved")
    assert monitor.handle(observed("web", "degraded"), at(60)).queued == ()
