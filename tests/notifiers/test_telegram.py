"""The telegram notifier against a server that keeps to the Bot API's rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve

from tests.conftest import eventually
from tests.messages.declared import renderer
from tests.notifiers.bot_api import CHAT, TOKEN, BotApi, read_html
from tocsin import ActionError, Kind, Line, LogLine, Message, NotifyError, Secret
from tocsin.core.logs import clean
from tocsin.core.templates.renderer import Renderer
from tocsin.plugins.notifiers.telegram import TelegramChannel, TelegramNotifier
from tocsin.plugins.notifiers.telegram.bot import bot_of
from tocsin.plugins.notifiers.telegram.html import LIMIT, parts, units
from tocsin.testing import check_notifier_conformance, check_refusal, message_of

ANN = 42


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    made = BotApi()
    await made.start()
    yield made
    await made.stop()


def notifier_of(api: BotApi, **options: Any) -> TelegramChannel:
    options = {"token": Secret(TOKEN), "chat_id": CHAT, "allowed_users": (ANN,), **options}
    made = TelegramNotifier(api_url=api.url, **options)
    return TelegramChannel(made, bot_of(made.api_url, made.token))


class Desk:
    """Controls that note what was asked, in the words of the audit."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []
        self.refuse: str | None = None

    def _note(self, action: str, subject: object, by: str) -> str:
        if self.refuse:
            raise ActionError(self.refuse)
        self.done.append((action, str(subject), by))
        return f"{action} by {by}"

    async def acknowledge(self, alert: UUID, by: str) -> str:
        return self._note("acknowledged", alert, by)

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        return self._note(f"silenced for {seconds:g} s", alert, by)

    async def restart(self, target: str, by: str) -> str:
        return self._note("restarted", target, by)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        self.done.append(("logs", target, str(lines)))
        return [LogLine(text=f"<line> {n} & more") for n in range(lines)]


@asynccontextmanager
async def listening(notifier: TelegramChannel, desk: Desk) -> AsyncIterator[None]:
    task = asyncio.create_task(notifier.listen(desk))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that does not wait for its turn, where the limits are not what is tested."""
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.SPACING", 0.0)
    monkeypatch.setattr("tests.notifiers.bot_api.BotApi._limited", lambda *_: 0)


async def test_the_plans_message_with_icons_and_buttons(api: BotApi) -> None:
    """Title, rule, labelled lines, suggested actions as code, and a button for each action."""
    message = evolve(message_of(), words=renderer().words(message_of()))
    receipt = await notifier_of(api).send(message)
    (sent,) = api.sent
    text = read_html(sent["text"])
    assert text.splitlines()[:3] == [
        "🚨 CRITICAL: Container down: web", "━" * 21, "📦 Container: web",
    ]  # fmt: skip
    for line in ("⏰ Time: 2026-01-15 12:00:00 UTC", "🔗 Affected: api, shop",
                 "1. Check logs: docker logs --tail 100 web"):  # fmt: skip
        assert line in text.splitlines()
    assert "<code>docker restart web</code>" in sent["text"]
    assert list(api.buttons()) == [
        "✔️ Acknowledge", "🔕 Silence 1 h", "📜 Logs", "🔄 Restart",
    ]  # fmt: skip
    assert receipt.reference == "1"
    assert api.breaches == []


async def test_without_people_who_may_press_there_are_no_buttons(api: BotApi) -> None:
    """Nobody is allowed, so nothing is offered, and updates are not asked for."""
    notifier = notifier_of(api, allowed_users=())
    async with listening(notifier, Desk()):
        await notifier.send(message_of())
        assert api.buttons() == {}
        assert "getUpdates" not in api.calls


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


async def test_a_recovery_replies_to_the_first_message(api: BotApi, unhurried: None) -> None:
    """The receipt names the message; what follows, repeats and recovery, hangs on it."""
    notifier = notifier_of(api)
    fired = await notifier.send(message_of())
    later = message_of(Kind.RESOLVED)
    later = evolve(later, notices=(evolve(later.notices[0], reply_to=fired.reference),))
    receipt = await notifier.send(later)
    assert api.sent[1]["reply_parameters"]["message_id"] == 1
    assert api.buttons(2) == {}
    assert receipt.reference == fired.reference
    assert "✅ RECOVERED" in api.sent[1]["text"]
    del api.messages[1]
    await notifier.send(evolve(later, id=message_of().id))
    assert len(api.sent) == 3  # the message replied to is gone, and it is told all the same


HOSTILE = "<b>&\"'</pre> &amp; 🚨👩‍👩‍👧 \x00\x1b[2J\u202eevil\u2066 [x](http://y) `z` "


@pytest.mark.parametrize(
    "text", [HOSTILE, "&" * 10_000, "🚨" * 10_000, "<" * 10_000, HOSTILE * 300]
)
async def test_hostile_text_arrives_readable(api: BotApi, unhurried: None, text: str) -> None:
    """Names, sentences and log lines full of markup, emoji, control and bidi characters, and ten
    thousand characters: Telegram accepts it, and what was typed is what is read."""
    message = message_of(text=text, target=text[:120])
    notice = evolve(message.notices[0], logs=(LogLine(text=text),))
    message = evolve(message, notices=(notice,))
    message = evolve(message, words=Renderer(clean=clean).words(message))
    await notifier_of(api).send(message)
    shown = read_html(api.sent[0]["text"])
    assert api.sent[0]["parse_mode"] == "HTML"
    start = " ".join(clean(text)[:40].split())
    assert start in " ".join(shown.split())
    assert not set("\x00\x1b\u202e\u2066") & set(shown)
    assert len(api.sent) == 1


async def test_each_of_a_few_alerts_has_its_buttons(api: BotApi, unhurried: None) -> None:
    """Two alerts in one message have a row of buttons each, which a press changes for its alert
    alone; what has recovered has none, nor has a message of many."""
    notifier, desk = notifier_of(api), Desk()

    def told(message: Message) -> Message:
        notices = [evolve(n, target=f"service-{i}") for i, n in enumerate(message.notices)]
        message = evolve(message, notices=tuple(notices))
        return evolve(message, words=Renderer(clean=clean).words(message))

    async with listening(notifier, desk):
        message = told(message_of(Kind.FIRED, Kind.REPEATED, Kind.RESOLVED))
        await notifier.send(message)
        rows = api.messages[1]["reply_markup"]["inline_keyboard"]
        assert [[button["text"] for button in row] for row in rows] == [
            ["✔️ service-0", "🔕 1 h", "📜", "🔄"], ["✔️ service-1", "🔕 1 h", "📜", "🔄"],
        ]  # fmt: skip
        api.press(rows[1][0]["callback_data"])
        await eventually(lambda: "editMessageText" in api.calls)
        shown = read_html(api.messages[1]["text"])
        assert "✔️ service-1: Acknowledged by Ann (Telegram 42) at " in shown
        rows = api.messages[1]["reply_markup"]["inline_keyboard"]
        assert [[button["text"] for button in row] for row in rows] == [
            ["✔️ service-0", "🔕 1 h", "📜", "🔄"], ["🔕 1 h service-1", "📜", "🔄"],
        ]  # fmt: skip
        await notifier.send(told(message_of(*[Kind.FIRED] * 6)))
        assert api.buttons() == {}
    assert [(what, about) for what, about, _ in desk.done] == [
        ("acknowledged", str(message.notices[1].alert))
    ]


async def test_five_hundred_names_all_arrive(api: BotApi, unhurried: None) -> None:
    """A storm's digest takes as many messages as it needs, and no name is missing."""
    message = message_of(*[Kind.FIRED] * 500)
    notices = [evolve(n, target=f"service-{i:03}") for i, n in enumerate(message.notices)]
    message = evolve(message, notices=tuple(notices))
    message = evolve(message, words=Renderer(clean=clean).words(message))
    await notifier_of(api).send(message)
    text = "\n".join(read_html(sent["text"]) for sent in api.sent)
    assert [n for n in range(500) if f"service-{n:03}" not in text] == []
    assert 2 <= len(api.sent) <= 4


async def test_a_retry_does_not_repeat_the_parts_that_arrived(api: BotApi, unhurried: None) -> None:
    """The third part is refused: the next attempt goes on with it."""
    message = message_of(*[Kind.FIRED] * 500)
    notices = [
        evolve(n, target=f"service-{i:03}-{'x' * 19}") for i, n in enumerate(message.notices)
    ]
    message = evolve(message, notices=tuple(notices))
    message = evolve(message, words=Renderer(clean=clean).words(message))
    notifier = notifier_of(api)
    api.fail_at = ("sendMessage", 3)
    with pytest.raises(NotifyError, match="Internal Server Error"):
        await notifier.send(message)
    assert len(api.sent) == 2
    await notifier.send(message)
    texts = [s["text"] for s in api.sent]
    assert len(texts) == len(set(texts))
    assert "service-499" in texts[-1]


async def test_the_limits_of_a_chat_are_kept(api: BotApi) -> None:
    """Several messages at once leave with a second between them: the server never says 429."""
    notifier = notifier_of(api)
    await asyncio.gather(*(notifier.send(message_of()) for _ in range(3)))
    assert len(api.sent) == 3
    assert api.breaches == []


async def test_past_twenty_a_minute_the_core_is_asked_to_wait(
    api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 21st message to a group within a minute is not sent but put off by what is left of it."""
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.SPACING", 0.0)
    monkeypatch.setattr("tests.notifiers.bot_api.BotApi._limited", lambda *_: 0)
    notifier = notifier_of(api)
    for _ in range(20):
        await notifier.send(message_of())
    with pytest.raises(NotifyError) as caught:
        await notifier.send(message_of())
    assert caught.value.retry_after is not None
    assert 15 < caught.value.retry_after <= 60
    assert len(api.sent) == 20


@pytest.mark.parametrize("seconds", [1, 34, 10_072])
async def test_after_a_429_nothing_at_all_is_called(api: BotApi, seconds: int) -> None:
    """The time asked for is handed to the core; until it is over neither this nor another channel
    of the bot calls anything."""
    notifier, other = notifier_of(api), notifier_of(api)
    await notifier.send(message_of())
    api.slow_down(seconds)
    await check_refusal(notifier.options, permanent=False, retry_after=seconds)
    calls = len(api.calls)
    for one in (notifier, other):
        with pytest.raises(NotifyError) as caught:
            await one.send(message_of())
        assert caught.value.retry_after is not None
        assert caught.value.retry_after <= seconds
    assert len(api.calls) == calls
    assert api.breaches == []


async def test_after_the_time_is_over_it_goes_on(api: BotApi, unhurried: None) -> None:
    """A 429 to the listener ends it with the time to wait, for the core to keep, over a restart
    too; who listens after that hears."""
    notifier, desk = notifier_of(api), Desk()
    api.slow_down(1)
    with pytest.raises(NotifyError) as caught:
        await notifier.listen(desk)
    assert caught.value.retry_after == 1
    await asyncio.sleep(caught.value.retry_after)
    async with listening(notifier, desk):
        await notifier.send(message_of())
        api.press(api.buttons()["✔️ Acknowledge"])
        await eventually(lambda: desk.done)
    assert api.breaches == []


async def test_refusals_are_told_in_a_sentence(api: BotApi, unhurried: None) -> None:
    """A wrong token, a chat that does not exist, one that threw the bot out: each permanent, each
    with what to do; the token is in none of them."""
    wrong = notifier_of(api, token=Secret("111111111:" + "x" * 35))
    error = await check_refusal(wrong.options, permanent=True)
    assert "check the token that BotFather gave" in str(error)
    error = await check_refusal(notifier_of(api, chat_id=-1).options, permanent=True)
    assert "chat not found" in str(error)
    api.blocked = True
    error = await check_refusal(notifier_of(api).options, permanent=True)
    assert "add it to the chat again" in str(error)


async def test_a_server_that_is_away_or_hangs_is_temporary(api: BotApi) -> None:
    """Nothing listens there; then one that never answers: both are tried again later."""
    nobody = evolve(notifier_of(api).options, api_url="http://127.0.0.1:9")
    await check_refusal(nobody, permanent=False)
    api.silent = True
    error = await check_refusal(notifier_of(api, timeout=0.2).options, permanent=False)
    assert "no answer within 0.2 s" in str(error)


async def test_a_group_that_moved_is_followed(api: BotApi, unhurried: None) -> None:
    """A group that became a supergroup has a new id, which the API tells."""
    api.moved_to = -1009999999999
    notifier = notifier_of(api)
    await notifier.send(message_of())
    await notifier.send(message_of())
    assert [sent["chat_id"] for sent in api.sent] == ["-1009999999999"] * 2


async def test_html_that_is_not_understood_goes_out_as_text(api: BotApi, unhurried: None) -> None:
    """Should Telegram ever change its mind about our HTML, the alert still arrives."""
    api.refuse_html = True
    await notifier_of(api).send(message_of())
    (sent,) = api.sent
    assert "parse_mode" not in sent
    assert "🚨 CRITICAL: Container down: web" in sent["text"]


async def test_the_conformance_suite(api: BotApi, unhurried: None, monkeypatch: Any) -> None:
    """It passes what every notifier has to."""
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.GROUP_LIMIT", (1000, 60.0))
    await check_notifier_conformance(notifier_of(api).options)
    assert api.breaches == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"token": Secret("nonsense")}, "BotFather"), ({"chat_id": "some group"}, "chat_id|number"),
        ({"api_url": "telegram"}, "http"),
    ],
)  # fmt: skip
async def test_wrong_options_are_refused(api: BotApi, options: dict[str, Any], says: str) -> None:
    """With a sentence that says what is expected, and never the token."""
    given: dict[str, Any] = {"token": Secret(TOKEN), "chat_id": CHAT, "api_url": api.url, **options}
    with pytest.raises(ValueError, match=says) as caught:
        TelegramNotifier(**given)
    assert TOKEN not in str(caught.value)


def test_parts_are_never_longer_than_a_message() -> None:
    """Whatever the lines, each part fits, and one that had to leave something out says so."""
    lines = [f"<b>{n}</b> " + "🚨" * (n % 700) for n in range(400)]
    made = parts(lines, 5)
    assert len(made) == 5
    assert all(units(part) <= LIMIT for part in made)
    assert made[-1].endswith("…")
