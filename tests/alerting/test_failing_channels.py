"""Channels that fail or ask for patience: retries, dead letters, fallbacks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.alerting.conftest import BESIDE, CONFIG, TWO, Desk, MakeDesk
from tests.hidden import hide_only
from tocsin import NotifyError
from tocsin.core.notify.deliver import MOST_FAULTS, Failure, backoff


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
