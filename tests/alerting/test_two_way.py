"""What comes with a message, and what people do from within a channel."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.alerting.conftest import Desk, MakeDesk, TwoWay
from tests.conftest import eventually
from tocsin import ActionError, Controls, Kind, NotifyError

CONFIG = """
timezone = "Asia/Tokyo"
[rules.health_check_failed]
failures = 1
[channels.ops]
notifier = "two-way"
"""


@pytest.fixture
async def two(make_desk: MakeDesk) -> Desk:
    """A desk whose only channel hears."""
    desk = await make_desk(CONFIG)
    desk.add("web", kind="container")
    desk.add("mute", kind="container")
    desk.add("site")
    return desk


def notifier(desk: Desk) -> TwoWay:
    found = desk.notifier()
    assert isinstance(found, TwoWay)
    return found


async def controls(desk: Desk) -> Controls:
    await eventually(lambda: notifier(desk).controls)
    return notifier(desk).controls[-1]


async def test_a_message_comes_with_logs_the_system_and_words(two: Desk) -> None:
    """The last lines as many as asked for, without secrets and control characters; every target,
    worst first; words in the configured zone; whether people may restart the target."""
    two.see("site", "up")
    two.see("web", "down")
    await two.wait(1)
    (message,) = notifier(two).delivered
    (notice,) = message.notices
    assert [line.text for line in notice.logs] == [f"web {n} password=***" for n in (5, 6, 7)]
    assert notice.can_restart
    assert notice.has_logs
    assert [(s.target, s.status.value) for s in message.system] == [
        ("web", "down"), ("mute", "unknown"), ("site", "up"),
    ]  # fmt: skip
    assert message.timezone == "Asia/Tokyo"
    assert message.words.title == "WARNING: Health check failed: web"
    assert " JST" in message.words.text
    assert "🧾 Last log: web 7 password=***" in message.words.text


async def test_an_alert_goes_out_without_what_cannot_be_had(
    two: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without logs, a target that is none, logs that never come: told all the same."""
    monkeypatch.setattr("tocsin.core.notify.enrich.PATIENCE", 0.05)
    two.see("mute", "down")
    two.see("site", "down")
    await two.wait(1)
    assert all(n.logs == () for n in notifier(two).notices)
    assert {n.target: n.has_logs for n in notifier(two).notices} == {"mute": True, "site": False}
    two.hands.hang = True
    two.see("web", "down")
    await two.wait(6)
    await eventually(lambda: len(notifier(two).notices) == 3)
    assert {n.target for n in notifier(two).notices} == {"mute", "site", "web"}


async def test_a_retry_is_the_very_same_message(two: Desk) -> None:
    """What came with the first attempt comes with the next."""
    notifier(two).fail("busy")
    two.see("web", "down")
    await two.wait(5)
    first, second = notifier(two).attempts
    assert first == second


async def test_people_act_by_name_and_are_audited(two: Desk) -> None:
    """Acknowledge, silence and restart do what the API would, with the person's name and the
    channel in the audit."""
    hands = two.hands
    two.see("web", "down")
    await two.wait(1)
    able = await controls(two)
    alert = notifier(two).notices[0].alert
    assert await able.acknowledge(alert, "ann (Telegram 42)") == "acknowledged by ann (Telegram 42)"
    with pytest.raises(ActionError, match="acknowledged already, by ann"):
        await able.acknowledge(alert, "bob")
    assert await able.silence(alert, 3600, "bob") == "silenced for 1h by bob"
    (silence,) = two.alerting.quiet.silences.values()
    assert [str(m) for m in silence.matchers] == ["rule=health_check_failed", "target=web"]
    assert await able.restart("web", "ann") == "restarted by ann"
    assert hands.restarted == [("web", "ann", "channel ops")]
    with pytest.raises(ActionError, match="not allowed"):
        await able.restart("mute", "ann")
    assert len(await able.logs("web", 3)) == 3
    assert [(e.actor, e.role, e.action) for e in two.audited()] == [
        ("ann (Telegram 42)", "channel ops", "acknowledge"), ("bob", "channel ops", "silence"),
    ]  # fmt: skip


async def test_what_does_not_fire_cannot_be_acted_on(two: Desk) -> None:
    """An unknown alert, and one that is over: refused, nothing changed or audited."""
    able = await controls(two)
    two.see("web", "down")
    await two.wait(1)
    alert = notifier(two).notices[0].alert
    two.see("web", "up")
    await two.wait(10)
    for one, why in (
        (alert, "does not fire any more"),
        (uuid4(), "there is no alert with this id"),
    ):
        with pytest.raises(ActionError, match=why) as caught:
            await able.acknowledge(one, "ann")
        assert caught.value.missing is (one != alert)
        with pytest.raises(ActionError, match=why) as caught:
            await able.silence(one, 60, "ann")
        assert caught.value.missing is (one != alert)
    assert two.audited() == []
    assert not two.alerting.quiet.silences


async def test_controls_may_be_used_from_another_thread(two: Desk) -> None:
    """A stranger's notifier lives in a loop of its own: what it does happens in the core's."""
    two.see("web", "down")
    await two.wait(1)
    able = await controls(two)
    alert = notifier(two).notices[0].alert

    def elsewhere() -> str:
        return asyncio.run(able.acknowledge(alert, "ann"))

    assert await asyncio.to_thread(elsewhere) == "acknowledged by ann"


async def test_a_changed_channel_listens_anew_and_only_once(two: Desk) -> None:
    """A reload ends the old listener; a test message tells with words, too."""
    await controls(two)
    old = notifier(two)
    await two.alerting.apply(two.load(CONFIG + 'label = "new"\n'))
    await controls(two)
    assert notifier(two) is not old
    assert [len(n.controls) for n in (old, notifier(two))] == [1, 1]
    assert (await two.alerting.test("ops"))[0]
    (message,) = notifier(two).delivered
    assert message.notices[0].kind is Kind.TEST
    assert message.words.title == "TEST: This channel works"


async def test_nobody_listens_before_a_retry_after_is_over(two: Desk) -> None:
    """What the provider asked for over a restart holds for listening, too."""
    notifier(two).fail(NotifyError("slow down", retry_after=100))
    two.see("web", "down")
    await two.wait(0.4)
    await two.restart()
    await two.wait(90)
    assert notifier(two).controls == []
    await two.wait(15)
    await eventually(lambda: notifier(two).controls)


async def test_a_listener_that_is_asked_to_wait_shuts_the_channel_too(make_desk: MakeDesk) -> None:
    """The provider counts every call: after a refusal to the listener nothing is sent or asked
    until the time is over, not by a new start of tocsin either."""
    desk = await make_desk(CONFIG + "refuse = 100\n")
    desk.add("web", kind="container")
    await controls(desk)
    desk.see("web", "down")
    await desk.wait(50)
    assert (len(notifier(desk).controls), notifier(desk).attempts) == (1, [])
    desk.config = CONFIG
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(45)
    assert (notifier(desk).controls, notifier(desk).attempts) == ([], [])
    await desk.wait(10)
    await eventually(lambda: notifier(desk).controls)
    assert [kind for kind, _ in desk.told()] == ["fired"]
