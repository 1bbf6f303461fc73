"""Delivery: once, soon, never lost, never a storm; channels that fail, hang, ask for patience."""

from __future__ import annotations

import asyncio

import pytest

from tests.alerting.conftest import CONFIG, TWO, Desk, MakeDesk
from tests.conftest import eventually
from tocsin import NotifyError, Severity
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.notify import worker


async def test_an_alert_is_told_after_a_moment_and_its_end_once(desk: Desk) -> None:
    """An idle channel holds a notice for 300 ms, no longer; the recovery has the downtime."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(0.29)
    assert desk.told() == []
    await desk.wait(0.02)
    assert desk.told() == [("fired", "web")]
    await desk.wait(60)
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told() == [("fired", "web"), ("resolved", "web")]
    assert desk.notifier().notices[-1].downtime == pytest.approx(60.31, abs=0.01)
    assert desk.ledger("web") == [("fired", "ops", "sent"), ("resolved", "ops", "sent")]


@pytest.mark.slow
async def test_five_hundred_failures_within_ten_seconds_are_few_messages(
    make_desk: MakeDesk,
) -> None:
    """At most five messages on each channel, and all five hundred are named on each."""
    desk = await make_desk(TWO)
    for n in range(500):
        desk.add(f"t{n}")
    for n in range(500):
        desk.see(f"t{n}", "down")
        if n % 50 == 49:
            await desk.wait(1)
    await desk.wait(30)
    for channel in ("ops", "other"):
        notifier = desk.notifier(channel)
        assert len(notifier.delivered) <= 5
        assert {n.target for n in notifier.notices} == {f"t{n}" for n in range(500)}
        assert len(notifier.notices) == 500


@pytest.mark.slow
async def test_a_flapping_target_is_at_most_four_messages_in_an_hour(desk: Desk) -> None:
    """Down and up twice a minute for an hour, through the whole of alerting."""
    desk.add("web")
    for half in range(240):
        desk.see("web", "down" if half % 2 == 0 else "up")
        await desk.wait(15)
    assert 2 <= len(desk.notifier().delivered) <= 4
    assert ("flapping", "web") in desk.told()


async def test_past_the_rate_limit_it_is_a_digest(make_desk: MakeDesk) -> None:
    """A channel that may send twice a minute sends twice, then everything else at once, marked as
    a digest; nothing is dropped."""
    limits = 'max_messages = 2\nper = "1m"\nwindow = "1s"\n'
    desk = await make_desk(CONFIG + limits)
    for n in range(20):
        desk.add(f"t{n}")
        desk.see(f"t{n}", "down")
        await desk.wait(2)
    await desk.wait(60)
    messages = desk.notifier().delivered
    assert [len(m.notices) for m in messages] == [1, 1, 18]
    assert [m.digest for m in messages] == [False, False, True]
    assert {n.target for n in desk.notifier().notices} == {f"t{n}" for n in range(20)}


async def test_a_hanging_notifier_delays_no_other_channel(make_desk: MakeDesk) -> None:
    """One channel hangs: the other is told at its time; the one that hangs is cancelled at its
    deadline, and told when it works again."""
    desk = await make_desk(TWO.replace('label = "other"', 'label = "other"\ntimeout = "100ms"'))
    desk.notifier("other").hang.set()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(0.31)
    assert desk.told("ops") == [("fired", "web")]
    assert desk.told("other") == []
    desk.notifier("other").hang.clear()
    # The deadline of an attempt is real time.
    await eventually(lambda: desk.alerting.channels["other"].availability.trouble is not None)
    await desk.wait(5)
    assert desk.told("other") == [("fired", "web")]


async def test_a_channel_may_be_stopped_while_it_is_stopped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload takes a channel away, and tocsin ends a moment later: both stops end in order, and
    the message stays to be told."""
    monkeypatch.setattr(worker, "IN_FLIGHT", 0.2)
    desk.notifier().hang.set()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(0.31)
    channel = desk.alerting.channels["ops"]
    stops = [asyncio.create_task(channel.stop())]
    delivering = channel._task
    while not stops[0].done():
        if delivering is not None and delivering.done():
            stops.append(asyncio.create_task(channel.stop()))
        await asyncio.sleep(0)
    assert len(stops) > 1
    await asyncio.gather(*stops)
    assert len(channel.queue.rows) == 1


async def test_root_and_dependents_at_once_are_one_message(desk: Desk) -> None:
    """Dependents that fire a moment before their root are held back at the last moment, and told
    if they outlast it."""
    desk.add("db")
    desk.add("app", "db")
    desk.see("app", "down")
    await desk.wait(0.1)
    desk.see("db", "down")
    await desk.wait(5)
    assert desk.told() == [("fired", "db")]
    assert desk.notifier().notices[0].affected == ("app",)
    assert ("fired", "ops", "inhibited") in desk.ledger("app")
    desk.see("db", "up")
    await desk.wait(63)
    assert desk.told() == [("fired", "db"), ("resolved", "db"), ("fired", "app")]


@pytest.mark.slow
async def test_severities_reach_the_channels_that_want_them(make_desk: MakeDesk) -> None:
    """A channel with ``min_severity`` hears nothing below it, with a row that says so, until the
    alert escalates; a rule that names its channels means just these."""
    desk = await make_desk(
        """
        [rules.health_check_failed]
        failures = 1
        [targets.api.rules.health_check_failed]
        channels = ["loud"]
        [channels.all]
        notifier = "recording"
        [channels.loud]
        notifier = "recording"
        label = "loud"
        min_severity = "critical"
        """
    )
    desk.add("web")
    desk.add("api")
    desk.see("web", "down")
    desk.see("api", "down")
    await desk.wait(10)
    assert desk.told("all") == [("fired", "web")]
    assert desk.told("loud") == [("fired", "api")]
    assert ("fired", "loud", "severity") in desk.ledger("web")
    await desk.wait(3700)
    assert ("escalated", "web") in desk.told("loud")


async def test_without_a_channel_the_ledger_says_so(make_desk: MakeDesk) -> None:
    """An alert that nobody is configured to hear of is still an alert, with that reason."""
    desk = await make_desk("[rules.health_check_failed]\nfailures = 1\n")
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(1)
    assert desk.ledger("web") == [("fired", "-", "no-channel")]
    assert [a.target for a in desk.alerting.active()] == ["web"]


async def test_tocsin_says_once_that_it_cannot_see(desk: Desk) -> None:
    """A component in trouble for longer than the wait is one alert, on every channel, and one
    recovery; targets that are unknown are no alerts, those that fired freeze."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(1)
    desk.health = {"source.docker": ComponentHealth(status=Health.DEGRADED, message="no socket")}
    desk.see("web", "unknown")
    await desk.wait(2000)
    told = [kind for kind, rule, _ in desk.notifier().notified() if rule == "monitor_impaired"]
    assert told[0] == "fired"
    assert set(told[1:]) <= {"repeated", "escalated"}
    assert [kind for kind, target in desk.told() if target == "web"] == ["fired"], "it is frozen"
    assert "source.docker: no socket" in desk.notifier().notices[1].message
    assert desk.notifier().notices[1].severity is Severity.CRITICAL
    desk.health = {}
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told()[-2:].count(("resolved", "tocsin")) == 1
    assert ("resolved", "web") in desk.told()


async def test_a_failed_plugin_is_one_alert(desk: Desk) -> None:
    """Named, with its reason, and its recovery told."""
    desk.plugins.fail("tcp", "raised ValueError: oops")
    await desk.wait(5)
    notice = desk.notifier().notices[0]
    assert (notice.rule, notice.target) == ("plugin_failed", "plugin tcp")
    assert "oops" in notice.message
    desk.plugins.recover("tcp")
    await desk.wait(10)
    assert desk.told() == [("fired", "plugin tcp"), ("resolved", "plugin tcp")]


async def test_a_test_message_says_what_was_answered(desk: Desk) -> None:
    """Right: the provider's answer; wrong: the failure, in a sentence."""
    assert await desk.alerting.test("ops") == (True, "remembered")
    desk.notifier().fail(NotifyError("the token is wrong", permanent=True))
    assert await desk.alerting.test("ops") == (False, "the token is wrong")
    with pytest.raises(KeyError):
        await desk.alerting.test("nobody")
