"""Delivery: once, soon, never lost, never a storm; channels that fail, hang, ask for patience."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tests.conftest import eventually
from tests.hidden import hide_only
from tocsin import Event, NotifyError, Observation, Severity
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.history.access import HistoryAccess
from tocsin.core.notify import worker
from tocsin.core.notify.deliver import MOST_FAULTS, Failure, backoff
from tocsin.testing import RecordingNotifier

BESIDE = (
    CONFIG + '[channels.other]\nnotifier = "recording"\nlabel = "o"\nmin_severity = "critical"\n'
)
TWO = CONFIG + '\n[channels.other]\nnotifier = "recording"\nlabel = "other"\n'


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


async def test_a_temporary_failure_is_tried_again_with_the_same_id(desk: Desk) -> None:
    """Each retry is the same message; it arrives once; the ledger counts the attempts."""
    desk.notifier().fail("the server is busy", RuntimeError("oops"), "busy")
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(60)
    attempts = desk.notifier().attempts
    assert len(attempts) == 4
    assert len({message.id for message in attempts}) == 1
    assert desk.told() == [("fired", "web")]
    (row,) = [r for r in desk.alerting.monitor.recent.rows.values() if r.target == "web"]
    assert (row.attempts, row.decision.value) == (4, "sent")


@pytest.mark.parametrize("seconds", [1, 34, 10_072])
@pytest.mark.slow
async def test_retry_after_is_never_violated(desk: Desk, seconds: int) -> None:
    """No attempt before the time the provider asked for has passed, not for another alert either;
    the first one soon after it."""
    desk.notifier().fail(NotifyError("slow down", retry_after=seconds))
    desk.add("web")
    desk.add("api")
    desk.see("web", "down")
    await desk.wait(0.31)
    began = desk.clock.seconds
    assert len(desk.notifier().attempts) == 1
    desk.see("api", "down")
    await desk.wait(seconds - 0.5)
    assert len(desk.notifier().attempts) == 1
    await desk.wait(1)
    assert len(desk.notifier().attempts) == 2
    assert desk.clock.seconds - began >= seconds


async def test_retry_after_holds_for_tests_and_over_a_reload(desk: Desk) -> None:
    """A test message waits like any other and says so; its own refusal shuts the channel; a channel
    whose configuration changed asks no sooner."""
    desk.notifier().fail(NotifyError("slow down", retry_after=100))
    assert await desk.alerting.test("ops") == (False, "slow down")
    assert (await desk.alerting.test("ops"))[1].startswith("the provider asked for a pause")
    assert len(desk.notifier().attempts) == 1
    await desk.alerting.apply(desk.load(CONFIG + 'label = "new"\n'))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(98)
    assert desk.notifier().attempts == []
    await desk.wait(3)
    assert desk.told() == [("fired", "web")]


async def test_retry_after_holds_over_a_restart(desk: Desk) -> None:
    """What the provider asked for is in the journal: a restart does not forget it."""
    desk.notifier().fail(NotifyError("slow down", retry_after=100))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(0.4)
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(98)
    assert desk.notifier().attempts == []
    await desk.wait(3)
    assert desk.told() == [("fired", "web")]


async def test_a_permanent_failure_goes_to_the_dead_letters_and_the_fallback(
    make_desk: MakeDesk,
) -> None:
    """One attempt, no more; the named fallback tells it and says for whom; the ledger has both."""
    config = CONFIG + 'fallback = "other"\n[channels.other]\nnotifier = "recording"\n'
    desk = await make_desk(config + 'label = "o"\nmin_severity = "critical"\n')
    desk.notifier().fail(NotifyError("the chat does not exist", permanent=True))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(60)
    assert len(desk.notifier().attempts) == 1
    assert desk.told("other") == [("fired", "web")]
    assert desk.notifier("other").notices[0].fallback_for == "ops"
    assert ("fired", "ops", "dead") in desk.ledger("web")
    assert ("fired", "other", "sent") in desk.ledger("web")
    dead = next(r for r in desk.alerting.monitor.recent.rows.values() if r.decision.value == "dead")
    assert dead.reason == "the chat does not exist"


async def test_a_message_that_the_notifier_cannot_take_blocks_nobody(make_desk: MakeDesk) -> None:
    """A notifier that breaks on a message, again and again, is in no outage: after two minutes the
    message goes to the dead letters and another channel; others pass it meanwhile."""
    desk = await make_desk(BESIDE)
    desk.notifier().refused["web"] = ValueError("surrogates not allowed")
    for name in ("web", "api"):
        desk.add(name)
        desk.see(name, "down")
        await desk.wait(50)
    assert desk.told() == [("fired", "api")]
    await desk.wait(150)
    assert len(desk.notifier().attempts) == MOST_FAULTS + 1
    assert desk.told() == [("fired", "api")]
    assert [target for _, target in desk.told("other") if target != "tocsin"] == ["web"]
    assert ("fired", "ops", "dead") in desk.ledger("web")
    assert desk.alerting.channels["ops"].availability.trouble is None


async def test_a_restart_does_not_forget_what_a_message_did(make_desk: MakeDesk) -> None:
    """The faults of a message are in the journal: one that broke its notifier often enough goes to
    the dead letters after the next."""
    desk = await make_desk(BESIDE)
    desk.notifier().fail(*[ValueError("oops")] * (MOST_FAULTS - 1))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(100)
    assert len(desk.notifier().attempts) == MOST_FAULTS - 1
    await desk.restart()
    desk.notifier().fail(ValueError("oops"))
    desk.see("web", "down")
    await desk.wait(5)
    assert len(desk.notifier().attempts) == 1
    assert desk.told("other") == [("fired", "web")]
    assert ("fired", "ops", "dead") in desk.ledger("web")


@pytest.mark.slow
async def test_an_outage_that_a_notifier_lets_through_is_an_outage(desk: Desk) -> None:
    """A stranger's notifier that does not catch what the network does to it is tried for as long as
    any other; so is one that breaks only now and then."""
    errors: list[Exception | str] = [ConnectionResetError("reset by peer")] * (MOST_FAULTS + 1)
    desk.notifier().fail(*errors, *[ValueError("oops")] * (MOST_FAULTS - 1), "busy", ValueError())
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(6000)
    assert ("fired", "web") in desk.told()
    assert ("fired", "ops", "dead") not in desk.ledger("web")


async def test_what_is_held_back_does_not_hurry_what_is_collected(make_desk: MakeDesk) -> None:
    """A critical alert that is silenced at the last moment leaves nothing to send: the batch is
    collected until its end."""
    critical = '[targets.db.rules.health_check_failed]\nseverity = "critical"\n'
    desk = await make_desk(critical + CONFIG + 'batch = "5m"\n')
    desk.add("web")
    desk.add("db")
    desk.see("web", "down")
    await desk.wait(60)
    desk.see("db", "down")
    await desk.wait(0.1)
    desk.silence("target=db", desk.now, desk.now + timedelta(hours=1))
    await desk.wait(230)
    assert desk.told() == []
    assert ("fired", "ops", "silenced") in desk.ledger("db")
    await desk.wait(11)
    assert desk.told() == [("fired", "web")]
    assert not desk.notifier().delivered[0].digest


async def test_what_a_provider_repeats_shows_no_secret(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that answers with what it was sent, and a notifier that quotes it: the ledger, the
    channel's trouble and a test's answer have no secret and no control character."""
    hide_only(monkeypatch, {"t0psecret-value"})
    desk.notifier().fail(NotifyError("401: you sent t0psecret-value\x1b[2J", permanent=True))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(1)
    (row,) = [r for r in desk.alerting.monitor.recent.rows.values() if r.target == "web"]
    assert row.reason == desk.alerting.channels["ops"].availability.trouble == "401: you sent ***"
    desk.notifier().fail(NotifyError("t0psecret-value"))
    assert await desk.alerting.test("ops") == (False, "***")


@pytest.mark.slow
async def test_what_fails_for_long_is_told_elsewhere_and_still_tried(make_desk: MakeDesk) -> None:
    """After five minutes of temporary failures another channel is told; the first one goes on
    trying, and delivers when it can."""
    config = CONFIG + '[channels.other]\nnotifier = "recording"\nlabel = "o"\n'
    desk = await make_desk(config + 'min_severity = "critical"\n')
    desk.notifier().fail(*["down"] * 12)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(200)
    assert desk.told("other") == []
    await desk.wait(500)
    assert ("fired", "web") in desk.told("other")
    await desk.wait(3600)
    assert ("fired", "web") in desk.told("ops")


async def test_what_waits_behind_a_failing_message_is_told_elsewhere_too(
    make_desk: MakeDesk,
) -> None:
    """The channel goes on trying its first message; an alert that comes meanwhile, and the end of
    the first, are told elsewhere after five minutes of their own, each once."""
    desk = await make_desk(BESIDE)
    desk.notifier().fail(*["down"] * 99)
    for name in ("web", "api"):
        desk.add(name)
        desk.see(name, "down")
        await desk.wait(400)
    desk.see("web", "up")
    await desk.wait(400)
    told = [(kind, target) for kind, target in desk.told("other") if target != "tocsin"]
    assert told == [("fired", "web"), ("fired", "api"), ("resolved", "web")]


@pytest.mark.slow
async def test_who_asks_for_much_patience_does_not_keep_others_from_being_told(
    make_desk: MakeDesk,
) -> None:
    """While the provider wants to be left alone nobody asks it, and another channel is told after
    five minutes, also where a restart came between; past ``give_up_after`` it is a dead letter."""
    desk = await make_desk(BESIDE.replace('"recording"', '"recording"\ngive_up_after = "30m"', 1))
    desk.notifier().fail(NotifyError("slow down", retry_after=7200))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(100)
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(320)
    assert ("fired", "web") in desk.told("other")
    await desk.wait(1600)
    assert desk.notifier().attempts == []
    assert ("fired", "ops", "dead") in desk.ledger("web")
    assert desk.told("other").count(("fired", "web")) == 1


def test_even_days_of_patience_are_kept() -> None:
    """What the provider asks for is what it gets, up to a year."""
    assert backoff(1, Failure(message="", retry_after=3 * 86400.0)) == 3 * 86400.0
    for hardly in (0.0, 1e-9, 0.5):  # or thousands of attempts would be made in a minute
        assert backoff(5, Failure(message="", retry_after=hardly)) >= 12


async def test_the_end_is_told_once_where_another_channel_is_of_no_use(
    make_desk: MakeDesk,
) -> None:
    """Who was told of the recovery by its own channel does not hear it again in place of one that
    could not be told."""
    desk = await make_desk(TWO)
    desk.notifier().fail(NotifyError("gone", disable=True))
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(30)
    desk.see("web", "up")
    await desk.wait(30)
    told = [kind for kind, target in desk.told("other") if target == "web"]
    assert told == ["fired", "resolved"]


async def test_a_repeat_that_is_held_back_takes_nobodys_recovery(make_desk: MakeDesk) -> None:
    """A silence that comes while a repeat is being collected stops the repeat; the channel has
    heard of the firing all the same and hears of its end."""
    desk = await make_desk(CONFIG + 'batch = "5m"\n')
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(960)
    assert desk.told() == [("fired", "web")]
    desk.silence("target=web", desk.now, desk.now + timedelta(hours=5))
    await desk.wait(400)
    assert ("repeated", "ops", "silenced") in desk.ledger("web")
    desk.see("web", "up")
    await desk.wait(400)
    assert desk.told() == [("fired", "web"), ("resolved", "web")]


async def test_names_that_providers_gave_do_not_pile_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are known, so that an end answers its beginning; the oldest give way."""
    monkeypatch.setattr("tocsin.core.notify.tools.MOST_REFERENCES", 3)
    for name in ("a", "b", "c", "d", "e"):
        desk.add(name)
        desk.see(name, "down")
        await desk.wait(6)
    assert len(desk.alerting.board.tools.references) == 3
    desk.see("e", "up")
    desk.see("a", "up")
    await desk.wait(6)
    ends = {n.target: n.reply_to for n in desk.notifier().notices[-2:]}
    assert ends["e"] is not None
    assert ends["a"] is None


async def test_a_disabled_channel_is_not_tried_again(make_desk: MakeDesk) -> None:
    """A provider that says it is over is left alone until the configuration changes, or a person's
    test shows that it takes messages again."""
    desk = await make_desk(TWO)
    desk.notifier().fail(NotifyError("gone", disable=True))
    for name in ("web", "api"):
        desk.add(name)
        desk.see(name, "down")
        await desk.wait(30)
    assert len(desk.notifier().attempts) == 1
    assert [t for _, t in desk.told("other") if t != "tocsin"] == ["web", "api"]
    assert ("fired", "tocsin") in desk.told("other"), "a channel of no use is an alert"
    desk.notifier().fail(NotifyError("still gone", disable=True))
    assert await desk.alerting.test("ops") == (False, "still gone")
    assert desk.alerting.channels["ops"].availability.disabled == "still gone"
    assert await desk.alerting.test("ops") == (True, "remembered")
    desk.add("db")
    desk.see("db", "down")
    await desk.wait(30)
    assert ("fired", "db") in desk.told("ops")
    assert ("resolved", "tocsin") in desk.told("other")


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


async def test_a_reload_keeps_alerts_and_what_waits(desk: Desk) -> None:
    """A channel that changes hands its queue over; one that is taken away leaves dead letters;
    alerts go on as they are."""
    desk.notifier().fail(*["busy"] * 50)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(2)
    changed = CONFIG + 'label = "new"\n'
    await desk.alerting.apply(desk.load(changed))
    await desk.wait(5)
    assert desk.told() == [("fired", "web")]
    desk.notifier().fail(*["busy"] * 50)
    desk.see("web", "up")
    await desk.wait(2)
    await desk.alerting.apply(desk.load(re.sub(r"\[channels(.|\n)*", "", CONFIG)))
    assert ("resolved", "ops", "dead") in desk.ledger("web")


def channels(**tables: str) -> str:
    """A configuration with channels by name, and what stands in their tables."""
    base = CONFIG.partition("[channels")[0]
    made = (f'[channels.{name}]\nnotifier = "recording"\n{said}\n' for name, said in tables.items())
    return base + "".join(made)


async def reload(desk: Desk, config: str) -> None:
    """Take over another configuration while time stands still."""
    task = asyncio.ensure_future(desk.alerting.apply(desk.load(config)))
    while not task.done():
        await desk.calm()
    await task


async def test_what_failed_for_long_is_told_by_the_channel_that_takes_its_place(
    make_desk: MakeDesk,
) -> None:
    """The only channel fails for ten minutes, and another is put in its place: it tells that the
    alert fired, and then of its end."""
    desk = await make_desk(channels(b=""))
    desk.add("web")
    desk.notifier("b").fail(*["down"] * 500)
    desk.see("web")
    await desk.wait(600)
    desk.see("web", "up")
    await desk.wait(1)
    await reload(desk, channels(a=""))
    await desk.wait(60)
    told = [kind for kind, target in desk.told("a") if target == "web"]
    assert told == ["fired", "resolved"]


async def test_a_fallback_that_is_configured_while_a_channel_fails_is_told(
    make_desk: MakeDesk,
) -> None:
    """The only channel fails for ten minutes; somebody gives it a fallback, which is told."""
    critical = 'min_severity = "critical"\n'
    desk = await make_desk(channels(b=""))
    desk.add("web")
    desk.notifier("b").fail(*["down"] * 500)
    desk.see("web")
    await desk.wait(600)
    settings = desk.load(channels(b='fallback = "a"\n', a=critical))
    notifier = settings.channels["b"].notifier
    assert isinstance(notifier, RecordingNotifier)
    notifier.fail(*["down"] * 500)
    await desk.alerting.apply(settings)
    await desk.wait(1000)
    assert desk.told("a")[0] == ("fired", "web")


async def test_a_channel_that_a_reload_has_mended_takes_the_place_of_others(
    make_desk: MakeDesk,
) -> None:
    """It failed, its line was changed, and it has nothing to say yet: what another one cannot
    deliver is told by it, and not by one that is known to fail."""
    critical = 'min_severity = "critical"\n'
    desk = await make_desk(channels(c=critical, a="", b=critical))
    for name in ("web", "db"):
        desk.add(name, critical=True)
    desk.notifier("a").fail(*["down"] * 3)
    desk.see("web")
    await desk.wait(3)
    await reload(desk, channels(c=critical, a=f'label = "new"\n{critical}', b=""))
    await desk.wait(30)
    desk.notifier("c").fail(NotifyError("gone", permanent=True, disable=True))
    await desk.alerting.test("c")
    refused = NotifyError("no", permanent=True, everything=True)
    desk.notifier("b").fail(*[refused] * 100)
    desk.see("db")
    await desk.wait(30)
    assert ("fired", "db") in desk.told("a")
    assert desk.alerting.monitor.deliveries.failing == {"b", "c"}


async def test_what_two_channels_owed_is_told_once(make_desk: MakeDesk) -> None:
    """Both are configured no more after a start: the one that is left tells it once."""
    desk = await make_desk(channels(a="", b=""))
    desk.add("web")
    for name in "ab":
        desk.notifier(name).hang.set()
    desk.see("web")
    await desk.calm()
    desk.config = channels(c="")
    await desk.restart()
    await desk.wait(10)
    assert desk.told("c") == [("fired", "web")]


async def test_what_died_of_an_earlier_firing_leaves_the_present_one_to_be_told(
    desk: Desk,
) -> None:
    """It fired, recovered, and fired again within the cooldown; then its first message dies. Nobody
    was told, so that the present firing is told at once, as one."""
    desk.add("web")
    desk.notifier().fail(*["down"] * 4, NotifyError("no", permanent=True))
    desk.see("web")
    await desk.wait(2)
    desk.see("web", "up")
    await desk.wait(2)
    desk.see("web")
    await desk.wait(100)
    desk.see("web")
    await desk.wait(10)
    assert desk.told() == [("fired", "web")]


async def test_what_cannot_be_judged_is_history_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of tocsin's own in judging a result, or an event, costs neither its row of history
    nor the next result."""
    desk.add("web")
    rows: list[object] = []
    monkeypatch.setattr(HistoryAccess, "write", lambda _, item: rows.append(item))
    with monkeypatch.context() as broken:
        broken.setattr(desk.alerting.engine, "observe", lambda *_: 1 / 0)
        broken.setattr(desk.alerting.engine, "happened", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            desk.see("web")
        event = Event(target="web", source="c", action="die", at=desk.clock.now())
        with pytest.raises(ZeroDivisionError):
            desk.alerting.executor.happened(event)
    assert [type(row) for row in rows] == [Observation, Event]
    desk.see("web")
    await desk.wait(1)
    assert desk.told() == [("fired", "web")]
