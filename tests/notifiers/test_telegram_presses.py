"""Presses of buttons on Telegram: who may, what is done, and what the message shows then."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from tests.conftest import eventually
from tests.notifiers.bot_api import BotApi, read_html
from tests.notifiers.telegram_channel import Desk, listening, notifier_of
from tocsin import Kind, Line, NotifyError
from tocsin.core.logs import clean
from tocsin.core.templates.renderer import Renderer
from tocsin.plugins.notifiers.telegram.html import LIMIT, units
from tocsin.testing import message_of


@pytest.mark.parametrize(
    ("label", "action"),
    [
        ("✔️ Acknowledge", "acknowledged"), ("🔕 Silence 1 h", "silenced for 3600 s"),
        ("🔄 Restart", "restarted"),
    ],
)  # fmt: skip
async def test_a_press_acts_once_under_the_persons_name(
    api: BotApi, unhurried: None, label: str, action: str
) -> None:
    """The action is done for the person, the message says who did what and loses the button; the
    same press again, and one with the old message's other tokens, do nothing but answer."""
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        await notifier.send(message_of())
        before = api.buttons()
        api.press(before[label], username="ann_ops")
        await eventually(lambda: "edit" in str(api.calls) and label not in api.buttons())
        assert [(what, by) for what, _, by in desk.done] == [(action, "ann_ops (Telegram 42)")]
        assert "ann_ops (Telegram 42) at " in read_html(api.messages[1]["text"])
        assert len(api.buttons()) == 3
        for data in (before[label], *before.values()):
            api.press(data)
        await eventually(lambda: len(api.answers) == 6)
        assert len(desk.done) == 1
        assert all("used already" in answer["text"] for answer in api.answers[1:])
    assert api.breaches == []


async def test_strangers_and_forged_tokens_do_nothing_but_get_an_answer(
    api: BotApi, unhurried: None
) -> None:
    """Whoever is not on the list, even in the same group, and whatever is no token of ours; the
    right person can still press afterwards."""
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        await notifier.send(message_of())
        data = api.buttons()["✔️ Acknowledge"]
        api.press(data, user=666)
        for forged in ("x", "acknowledge", data[:-1], data + "a", ""):
            api.press(forged)
        await eventually(lambda: len(api.answers) == 6)
        assert desk.done == []
        assert "not among the people" in api.answers[0]["text"]
        api.press(data)
        await eventually(lambda: len(desk.done) == 1)


async def test_a_press_after_a_restart_does_nothing_but_answer(
    api: BotApi, unhurried: None
) -> None:
    """Tokens live in memory: what an earlier run gave out is void, used or not."""
    first = notifier_of(api)
    await first.send(message_of())
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: api.answers)
    assert "before a restart" in api.answers[0]["text"]
    assert desk.done == []


async def test_logs_come_as_a_reply_and_can_be_asked_for_again(
    api: BotApi, unhurried: None
) -> None:
    """The last lines, escaped, under the message; the button is renewed."""
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        await notifier.send(message_of())
        for count in (1, 2):
            api.press(api.buttons(1)["📜 Logs"], message=1)
            await eventually(lambda n=count: api.calls.count("editMessageText") == n)
        shown = read_html(api.sent[-1]["text"])
        assert "<line> 29 & more" in shown
        assert api.sent[-1]["reply_parameters"]["message_id"] == 1
        assert desk.done == [("logs", "web", "30")] * 2


async def test_what_cannot_be_done_is_said(api: BotApi, unhurried: None) -> None:
    """The reason comes as an answer; the message stays, with fresh buttons."""
    notifier, desk = notifier_of(api), Desk()
    desk.refuse = "restarting web is not allowed"
    async with listening(notifier, desk):
        await notifier.send(message_of())
        api.press(api.buttons()["🔄 Restart"])
        await eventually(lambda: "editMessageText" in api.calls)
    assert api.answers[0]["text"] == "Not done: restarting web is not allowed"
    assert len(api.buttons()) == 4


async def test_an_answer_that_comes_too_late_spoils_nothing(api: BotApi, unhurried: None) -> None:
    """Telegram takes an answer to a press for some seconds only. What was done is shown all the
    same; what was not done is said as a reply, and offered again."""
    notifier, desk = notifier_of(api), Desk()
    api.late = True
    async with listening(notifier, desk):
        await notifier.send(message_of())
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: "✔️ Acknowledge" not in api.buttons(1))
        assert "Acknowledged by Ann (Telegram 42) at " in read_html(api.messages[1]["text"])
        desk.refuse = "<web> does not come back"
        api.press(api.buttons(1)["🔄 Restart"], message=1)
        await eventually(lambda: api.calls.count("editMessageText") == 2)
    assert read_html(api.sent[1]["text"]) == "Not done: <web> does not come back"
    assert api.sent[1]["reply_parameters"]["message_id"] == 1
    assert list(api.buttons(1)) == ["🔕 Silence 1 h", "📜 Logs", "🔄 Restart"]


async def test_a_message_that_cannot_be_edited_is_replied_to(api: BotApi, unhurried: None) -> None:
    """One that is too old, or gone: who did what is a reply, with the buttons that are left."""
    notifier, desk = notifier_of(api), Desk()
    api.frozen = True
    async with listening(notifier, desk):
        await notifier.send(message_of())
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: len(api.sent) == 2)
        assert "Acknowledged by Ann (Telegram 42) at " in read_html(api.sent[1]["text"])
        assert list(api.buttons(2)) == ["🔕 Silence 1 h", "📜 Logs", "🔄 Restart"]
        api.frozen = False
        api.press(api.buttons(2)["🔕 Silence 1 h"])
        await eventually(lambda: "Silenced for" in read_html(api.messages[2]["text"]))
    assert [what for what, _, _ in desk.done] == ["acknowledged", "silenced for 3600 s"]


async def test_logs_that_cannot_be_sent_leave_their_button(api: BotApi, unhurried: None) -> None:
    """The reply fails: the person is told so, and may press again."""
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        await notifier.send(message_of())
        api.fail_at = ("sendMessage", 2)
        api.press(api.buttons(1)["📜 Logs"], message=1)
        await eventually(lambda: "editMessageText" in api.calls)
        assert api.answers[0]["text"] == "Not done: Telegram answered: Internal Server Error"
        api.press(api.buttons(1)["📜 Logs"], message=1)
        await eventually(lambda: len(api.sent) == 2)


async def test_a_restart_that_takes_its_time_holds_up_no_other_press(
    api: BotApi, unhurried: None
) -> None:
    """While a target is restarted others are heard, and nobody is offered the restart again."""
    notifier, desk = notifier_of(api), Desk()
    over = asyncio.Event()

    async def restart(target: str, by: str) -> str:
        await over.wait()
        return f"restarted by {by}"

    desk.restart = restart  # type: ignore[method-assign]
    async with listening(notifier, desk):
        await notifier.send(message_of())
        first = api.buttons()
        api.press(first["🔄 Restart"])
        api.press(first["✔️ Acknowledge"])
        await eventually(lambda: "Acknowledged" in api.messages[1]["text"])
        assert list(api.buttons()) == ["🔕 Silence 1 h", "📜 Logs"]
        over.set()
        await eventually(lambda: "Restarted by" in api.messages[1]["text"])
        assert list(api.buttons()) == ["🔕 Silence 1 h", "📜 Logs"]


async def test_what_was_heard_is_done_though_the_listener_breaks_off(
    api: BotApi, unhurried: None
) -> None:
    """The next look for updates fails, or is refused for a while, in the midst of a restart: the
    person still gets the answer, and the message shows it."""
    notifier, desk = notifier_of(api), Desk()
    over = asyncio.Event()

    async def restart(target: str, by: str) -> str:
        await over.wait()
        return f"restarted by {by}"

    desk.restart = restart  # type: ignore[method-assign]
    await notifier.send(message_of())
    api.press(api.buttons()["🔄 Restart"])
    api.fail_at = ("getUpdates", 2)
    with pytest.raises(NotifyError):
        await notifier.listen(desk)
    over.set()
    await eventually(lambda: "Restarted by" in api.messages[1]["text"])
    assert "Restarted by" in api.answers[0]["text"]


async def test_an_edit_waits_for_the_limits_of_the_group(
    api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a storm the group has had its 20 messages: who did what is shown once it may be."""
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.SPACING", 0.0)
    monkeypatch.setattr("tests.notifiers.bot_api.BotApi._limited", lambda *_: 0)
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.PATIENCE", 0.0)
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.GROUP_LIMIT", (20, 2.0))
    notifier, desk = notifier_of(api), Desk()
    async with listening(notifier, desk):
        for _ in range(20):
            await notifier.send(message_of())
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: api.answers)
        await eventually(lambda: "Acknowledged by" in read_html(api.messages[20]["text"]))
    assert api.breaches == []


async def test_an_edit_leaves_as_much_of_the_message_as_fits(api: BotApi, unhurried: None) -> None:
    """A message that fills its 4,096 characters keeps all but the last of them beside the note."""
    notifier, desk = notifier_of(api), Desk()
    message = message_of(text="word " * 700)
    message = evolve(message, words=Renderer(clean=clean).words(message))
    sections = tuple(
        evolve(s, lines=(*s.lines, *(Line(text=f"line {n} {'x' * 90}") for n in range(20))))
        for s in message.words.sections
    )
    message = evolve(message, words=evolve(message.words, sections=sections))
    async with listening(notifier, desk):
        await notifier.send(message)
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: "editMessageText" in api.calls)
    text = api.messages[1]["text"]
    assert 3500 < units(text) <= LIMIT
    assert "Acknowledged by" in text


async def test_what_was_heard_does_not_come_again(api: BotApi, unhurried: None) -> None:
    """A listener that broke off before it could say what it had heard goes on where it was: nobody
    is told that the button which just worked was used already."""
    notifier, desk = notifier_of(api), Desk()
    await notifier.send(message_of())
    data = api.buttons()
    api.press(data["✔️ Acknowledge"])
    api.fail_at = ("getUpdates", 2)
    with pytest.raises(NotifyError, match="Internal Server Error"):
        await notifier.listen(desk)
    async with listening(notifier, desk):
        api.press("forged")
        await eventually(lambda: "used already" in str(api.answers))
    assert sum("used already" in answer["text"] for answer in api.answers) == 1


async def test_who_is_told_late_is_replied_to_where_he_was_told(
    api: BotApi, unhurried: None
) -> None:
    """A message that tells one alert again and another for the first time: what comes later about
    the second hangs on that message, not on one that does not name it."""
    notifier = notifier_of(api)
    first = await notifier.send(message_of())
    both = message_of(Kind.REPEATED, Kind.FIRED)
    known, new = both.notices
    both = evolve(both, notices=(evolve(known, reply_to=first.reference), new))
    second = await notifier.send(both)
    assert api.sent[1]["reply_parameters"]["message_id"] == 1
    assert (first.reference, second.reference) == ("1", "2")


async def test_two_channels_of_one_bot_share_its_updates(api: BotApi, unhurried: None) -> None:
    """Only one reads them; each gets the presses on its own messages."""
    one, two, desk_one, desk_two = notifier_of(api), notifier_of(api), Desk(), Desk()
    async with listening(one, desk_one), listening(two, desk_two):
        await one.send(message_of(target="first"))
        await two.send(message_of(target="second"))
        api.press(api.buttons(2)["🔄 Restart"], message=2)
        api.press(api.buttons(1)["🔄 Restart"], message=1)
        await eventually(lambda: desk_one.done and desk_two.done)
    assert (desk_one.done[0][1], desk_two.done[0][1]) == ("first", "second")
