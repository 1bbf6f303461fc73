"""Conformance suite for histories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import cast

from attrs import evolve, field, frozen

from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.history import HistoryRuntime, HistoryStore
from tocsin.core.contracts.history_records import (
    QUEUED,
    AlertFilter,
    AlertRecord,
    HistoryBatch,
    NotificationFilter,
    NotificationRecord,
    Record,
    SilenceRecord,
)
from tocsin.core.contracts.model import AuditEntry, Event, Health, Observation, Result
from tocsin.core.ids import new_id
from tocsin.core.plugin.runtimes import Opens
from tocsin.core.testing.conformance import check_class, check_no_tasks_left, check_secrets_hidden
from tocsin.core.testing.context import RecordingContext, opened
from tocsin.core.testing.history_answers import with_checked_answers

PATIENCE = 10.0
"""Seconds within which what was written has to be readable."""

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DECISIONS = ("sent", QUEUED, "silenced", "sent")
STATE = {"phase": "firing", "since": 12.5, "details": {"names": ["a", "b"], "none": None}}


@frozen(kw_only=True)
class _Sample:
    """An hour of history, ending at ``now``."""

    now: datetime
    results: list[Observation] = field(init=False)
    events: list[Event] = field(init=False)
    entries: list[AuditEntry] = field(init=False)
    alerts: list[AlertRecord] = field(init=False)
    notifications: list[NotificationRecord] = field(init=False)
    silence: SilenceRecord = field(init=False)

    @results.default
    def _results(self) -> list[Observation]:
        facts = Container(id="c", image="i", state="running", reason=Reason.RUNNING)
        found: list[Observation] = []
        for number in range(60):
            at = self.now - HOUR + number * MINUTE
            web = Result.down("no answer") if number >= 45 else Result.up("ok", latency=0.25)
            web = evolve(web, metrics={"queue_length": float(number)})
            db = Result.up("running", container=evolve(facts, cpu_percent=float(number)))
            found += [
                Observation(target="web", check="http", at=at, result=web),
                Observation(target="db", check="docker", at=at, result=db),
            ]
        return found

    @events.default
    def _events(self) -> list[Event]:
        return [
            Event(target="db", source="docker", action=action, at=self.now - (9 - number) * MINUTE)
            for number, action in enumerate(("die", "oom", "start"))
        ]

    @entries.default
    def _entries(self) -> list[AuditEntry]:
        return [
            AuditEntry(actor="ann", role="admin", action="restart", subject=name, at=self.now)
            for name in ("one", "two", "three")
        ]

    @alerts.default
    def _alerts(self) -> list[AlertRecord]:
        return [
            AlertRecord(
                id=new_id(), rule="down", target=f"t{number}", severity="critical",
                message="no answer", created_at=self.now - (30 - number) * MINUTE, revision=3,
                resolved_at=self.now if number == 0 else None, notified=True, state=STATE,
            )
            for number in range(4)
        ]  # fmt: skip

    @notifications.default
    def _notifications(self) -> list[NotificationRecord]:
        return [
            NotificationRecord(
                id=new_id(), alert=alert.id, rule=alert.rule, target=alert.target, channel="ops",
                transition="fired", decision=decision, created_at=alert.created_at, revision=2,
                state=STATE if decision == QUEUED else None,
            )
            for alert, decision in zip(self.alerts, DECISIONS, strict=True)
        ]  # fmt: skip

    @silence.default
    def _silence(self) -> SilenceRecord:
        return SilenceRecord(
            id=new_id(), matchers=("target=web",), starts_at=self.now - HOUR,
            ends_at=self.now + HOUR, created_by="ann", window={"name": "weekly", "duration": 60.0},
        )  # fmt: skip

    def batches(self) -> list[HistoryBatch]:
        """Return everything in two batches; the second has outdated revisions, too."""
        first: tuple[Record, ...] = (*self.results, *self.events, *self.entries)
        second: tuple[Record, ...] = (
            *self.alerts,
            *self.notifications,
            self.silence,
            *(evolve(alert, revision=1, message="outdated") for alert in self.alerts),
            *(evolve(each, revision=1, decision=QUEUED) for each in self.notifications),
        )
        return [HistoryBatch(id=new_id(), records=part) for part in (first, second)]


async def check_history_conformance(history: HistoryStore) -> None:
    """Check a history against its contract. It has to be empty before.

    It has to take batches, answer every query from them, keep what the core needs to continue an
    alert unchanged, let no outdated revision replace a newer one, show no secrets, and leave no
    tasks behind after it was closed.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(history))
    check_secrets_hidden(history)
    assert history.place(), "place() is empty"
    before = asyncio.all_tasks()
    context = RecordingContext()
    runtime = await opened(cast("Opens[HistoryRuntime]", history), context)
    assert isinstance(runtime, HistoryRuntime), "open() returned no HistoryRuntime"
    runtime = with_checked_answers(runtime)
    sample = _Sample(now=context.clock.now())
    for batch in sample.batches():
        async with asyncio.timeout(PATIENCE):
            await runtime.write(batch)
    await _written(runtime, sample)
    await _check_alerts(runtime, sample)
    await _check_lists(runtime, sample)
    await _check_figures(runtime, sample)
    await _check_past(runtime, sample)
    await runtime.close()
    await context.close()
    await check_no_tasks_left(before, "close()")


async def _written(runtime: HistoryRuntime, sample: _Sample) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not (await runtime.state()).is_complete or (  # noqa: ASYNC110
                await runtime.alert(sample.alerts[-1].id) is None
            ):
                await asyncio.sleep(0.01)
    except TimeoutError:
        text = f"what was written cannot be read after {PATIENCE:g} s"
        raise AssertionError(text) from None
    state = await runtime.state()
    assert state.status is Health.OK, f"its state is {state.status}: {state.message}"
    assert state.is_readable, "its state is complete and not readable"


async def _check_alerts(runtime: HistoryRuntime, sample: _Sample) -> None:
    newest = sample.alerts[::-1]
    found = await runtime.alerts(AlertFilter())
    assert [a.id for a in found] == [a.id for a in newest], "alerts are not newest first"
    assert {a.message for a in found} == {"no answer"}, "an outdated revision replaced a newer one"
    page = await runtime.alerts(AlertFilter(limit=2))
    before = (page[-1].created_at, page[-1].id)
    rest = await runtime.alerts(AlertFilter(before=before))
    assert [a.id for a in (*page, *rest)] == [a.id for a in newest], "pages of alerts do not join"
    for wanted, expected in (
        (AlertFilter(active=False), newest[-1:]),
        (AlertFilter(active=True, without={newest[0].id}), newest[1:-1]),
        (AlertFilter(target="t1", rule="down", severity="critical"), [sample.alerts[1]]),
        (AlertFilter(since=newest[1].created_at, until=newest[0].created_at), [newest[1]]),
    ):
        ids = [a.id for a in await runtime.alerts(wanted)]
        assert ids == [a.id for a in expected], f"alerts() does not fit {wanted}"
    assert await runtime.alert(new_id()) is None, "alert() finds an alert that there is not"
    counts = await runtime.alert_counts(sample.now - HOUR, sample.now)
    assert sum(each.count for each in counts) == len(newest), "alert_counts() counts wrongly"

    decisions = await runtime.notifications(NotificationFilter())
    expected_ids = [each.id for each in sample.notifications[::-1]]
    assert [each.id for each in decisions] == expected_ids, "notifications are not newest first"
    assert [each.decision for each in decisions] == ["sent", "silenced", QUEUED, "sent"]
    one = await runtime.notifications(
        NotificationFilter(alert=sample.alerts[0].id, channel="ops", decision="sent")
    )
    assert [(each.rule, each.target) for each in one] == [("down", "t0")]
    page2 = await runtime.notifications(NotificationFilter(before=expected_ids[1], limit=1))
    assert [each.id for each in page2] == expected_ids[2:3], "pages of notifications do not join"

    left = await runtime.unfinished(sample.now - HOUR, [sample.alerts[0].id], [expected_ids[0]])
    assert {a.id for a in left.alerts} == {a.id for a in sample.alerts}, "an alert is missing"
    assert all(a.state == STATE for a in left.alerts), "the state of an alert was changed"
    assert {each.id: each.state for each in left.notifications} == {
        expected_ids[0]: None, sample.notifications[1].id: STATE,
    }, "unfinished() returns other notifications"  # fmt: skip
    assert left.silences == (sample.silence,), "a silence was changed"


async def _check_lists(runtime: HistoryRuntime, sample: _Sample) -> None:
    now = sample.now
    events = await runtime.events("db", now - HOUR, now, 2, None)
    more = await runtime.events(None, now - HOUR, now, 5, events[-1].id)
    assert [e.action for e in (*events, *more)] == ["start", "oom", "die"]
    entries = await runtime.audit(2, None)
    rest = await runtime.audit(5, entries[-1].id)
    assert [entry.subject for entry in (*entries, *rest)] == ["three", "two", "one"]
    web = [seen for seen in sample.results if seen.target == "web"]
    found = await runtime.results("web", "http", web[10].at, web[50].at, 3)
    assert [(o.at, o.result.status) for o in found] == [
        (o.at, o.result.status) for o in web[49:46:-1]
    ], "results() does not return the newest of the range"
    assert await runtime.results("web", "none", now - HOUR, now, 3) == []


async def _check_figures(runtime: HistoryRuntime, sample: _Sample) -> None:
    since, until = sample.now - HOUR, sample.now
    chart = await runtime.chart("web", "http", since, until, 20)
    assert sum(point.up for point in chart.points) == 45, "chart() counts wrongly"
    assert sum(point.down for point in chart.points) == 15, "chart() counts wrongly"
    assert max(point.metrics["queue_length"].max for point in chart.points) == 59
    own = await runtime.chart("db", None, since, until, 20)
    assert max(point.metrics["cpu_percent"].max for point in own.points) == 59
    checks = [("web", "http"), ("db", "docker"), ("none", "none")]
    uptimes = await runtime.uptimes(checks, since, until, 10)
    assert uptimes.counts.keys() == {"web", "db"}, "uptimes() has other targets"
    assert sum(counts[2] for counts in uptimes.counts["web"]) == 15
    shares = await runtime.availability([(*check, 60.0) for check in checks], since, until)
    assert shares.keys() == {"web", "db"}, "availability() has other targets"
    share = shares["web"]
    assert share is not None, "availability() does not know a target with results"
    assert abs(share - 0.75) < 0.05, f"availability() says {share}, not 0.75"
    trends = await runtime.trends(checks, "cpu_percent", since, until, top=3, points=10)
    assert [(trend.target, trend.max) for trend in trends.items] == [("db", 59)]


async def _check_past(runtime: HistoryRuntime, sample: _Sample) -> None:
    since, until = sample.now - HOUR, sample.now
    last = await runtime.recent(["db"], since, until, 2)
    assert [(type(item), item.at) for item in last] == [
        *((Event, event.at) for event in sample.events[-2:]),
        *((Observation, seen.at) for seen in sample.results[-3::2]),
    ], "recent() does not return the newest in order of time"
    parts: AsyncIterator[Sequence[Observation | Event]] = runtime.past(since, until, ["die"])
    past = [item async for part in parts for item in part]
    assert [item.at for item in past] == sorted(item.at for item in past), "past() is not in order"
    assert len(past) == len(sample.results) + 1, "past() has not every result and chosen event"
