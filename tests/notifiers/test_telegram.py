"""The telegram notifier against a server that keeps to the Bot API's rules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve

from tests.conftest import eventually
from tests.messages.declared import renderer
from tests.notifiers.bot_api import CHAT, TOKEN, BotApi, read_html
from tests.notifiers.telegram_channel import Desk, listening, notifier_of
from tocsin import Kind, LogLine, Message, NotifyError, Secret
from tocsin.core.logs import clean
from tocsin.core.templates.renderer import Renderer
from tocsin.plugins.notifiers.telegram import TelegramNotifier
from tocsin.plugins.notifiers.telegram.html import LIMIT, parts, units
from tocsin.testing import check_notifier_conformance, check_refusal, message_of


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
