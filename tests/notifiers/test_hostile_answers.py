"""What Telegram's server, or whoever stands in its place, and receivers of webhooks may answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tocsin import Kind, NotifyError, Secret, parse_retry_after
from tocsin.plugins.notifiers.telegram import TelegramChannel, TelegramNotifier
from tocsin.plugins.notifiers.telegram.bot import bot_of
from tocsin.plugins.notifiers.telegram.presses import person
from tocsin.plugins.notifiers.webhook import WebhookChannel, WebhookNotifier
from tocsin.testing import message_of

DEEP = "[" * 50_000

Answers = Callable[[str], bytes]


@asynccontextmanager
async def saying(answer: Answers, *headers: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A server whose answer depends on the last part of the path; its URL, and what was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split(b" ")[1].rpartition(b"/")[2].decode()
        asked.append(name)
        body = answer(name)
        lines = [f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def bot(url: str) -> TelegramChannel:
    made = TelegramNotifier(
        token=Secret("123456:ABC-DEF"), chat_id=1, allowed_users=(42,), api_url=url, timeout=10.0
    )
    return TelegramChannel(made, bot_of(made.api_url, made.token))


@pytest.mark.parametrize(
    "answer",
    [
        "null",
        "[]",
        "1",
        '""',
        "{}",
        DEEP,
        "9" * 5_000,
        "nothing",
        '{"ok":false}',
        "\xff",
        '{"ok":false,"description":null,"parameters":null,"error_code":null}',
        '{"ok":false,"description":{"a":' + "[" * 400 + "]" * 400 + '},"parameters":[1],'
        '"error_code":[]}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":"soon"}}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":[]}}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":NaN}}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":1e400}}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":-5}}',
        '{"ok":false,"error_code":429,"parameters":{"retry_after":' + "9" * 4_000 + "}}",
        '{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":{"a":1}}}',
    ],
)
async def test_an_answer_of_any_shape_is_a_refusal(answer: str) -> None:
    """A message that such an answer meets is not delivered, and the channel is told why; the plugin
    has not failed, and nobody waits for ever."""
    async with saying(lambda _: answer.encode("latin-1")) as (url, _):
        with pytest.raises(NotifyError) as caught:
            await bot(url).send(message_of(Kind.FIRED))
    wait = caught.value.retry_after
    assert wait is None or 0 <= wait <= 366 * 86400
    assert len(str(caught.value)) < 400


UPDATES: tuple[Any, ...] = (
    None, 1, "x", [], {}, {"update_id": None}, {"update_id": "1"}, {"update_id": 1.5},
    {"update_id": True}, {"update_id": 10**30}, {"update_id": 10, "callback_query": []},
    {"update_id": 11, "callback_query": {"id": [], "data": [], "from": [], "message": []}},
    {"update_id": 12, "callback_query": {"id": {}, "data": {}, "from": {"id": 42}, "message": 1}},
    {"update_id": 13, "callback_query": {"data": "x", "from": {"id": {}, "username": []}}},
    {"update_id": 14, "callback_query": {"message": {"message_id": "\u00b2"}, "from": {"id": 42}}},
)  # fmt: skip


async def test_updates_of_any_shape_end_no_listening(caplog: pytest.LogCaptureFixture) -> None:
    """Those that cannot be read are left out; each of the others is looked at once."""

    class Over(Exception):
        pass

    rounds = 0

    def answer(method: str) -> bytes:
        nonlocal rounds
        if method != "getUpdates":
            return b'{"ok":true,"result":true}'
        rounds += 1
        given = UPDATES if rounds == 1 else UPDATES[:5]
        return json.dumps({"ok": True, "result": given}).encode()

    async with saying(answer) as (url, asked):
        notifier = bot(url)
        with pytest.raises(NotifyError, match="invalid updates"):  # the second round
            await notifier.listen(None)  # type: ignore[arg-type]
        await notifier.close()
    assert asked.count("getUpdates") == 2
    assert notifier._bot.offset == 15
    assert not [r for r in caplog.records if "never retrieved" in r.getMessage()]


@pytest.mark.parametrize("message_id", [None, "\u00b2", [1], 1.5, "9" * 5_000, 10**40, -1, {}])
async def test_a_press_on_a_message_of_any_id_is_answered(message_id: Any) -> None:
    """Who may press and does so is answered, whatever message the button seems to be on."""
    asked: list[tuple[str, Any]] = []

    class Controls:
        async def acknowledge(self, alert: Any, by: str) -> str:
            asked.append((by, alert))
            return "acknowledged"

    sent: dict[str, Any] = {}
    async with saying(lambda _: b'{"ok":true,"result":{"message_id":[]}}') as (url, calls):
        notifier = bot(url)
        await notifier.send(message_of(Kind.FIRED))
        data = next(iter(notifier._presses._given))
        sent |= {"id": 7, "data": data, "from": {"id": 42}, "message": {"message_id": message_id}}
        await notifier._handler.handle(sent, Controls())  # type: ignore[arg-type]
    assert len(asked) == 1
    assert "answerCallbackQuery" in calls


def test_a_person_of_any_shape_has_a_name() -> None:
    """The audit names who pressed, in a few words."""
    assert person({"id": 1, "username": [1], "first_name": {}}) == "somebody (Telegram 1)"
    assert len(person({"id": 1, "username": "x" * 9_000})) < 80


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "-1", "9" * 400, "1e9", "0x10", "soon", "Mon, 99 Foo 99999 99:99:99 +9999",
     "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "\u0663", "1" * 16,
     "Mon, 1 Jan 2026 00:00:00 +999999999999999999999", ":::::", ",,,,,,,,", "a" * 8_000,
     "Mon, " + "9" * 50 + " Jan 2026 00:00:00 GMT"],
)  # fmt: skip
def test_a_retry_after_is_a_time_or_none(text: str) -> None:
    """Whatever the header says: seconds that can be waited for, or nothing."""
    began = time.thread_time()
    found = parse_retry_after(text)
    error = NotifyError("x", retry_after=found)
    assert time.thread_time() - began < 1.0
    for seconds in (found, error.retry_after):
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@pytest.mark.parametrize("asked", [math.nan, math.inf, -math.inf, -1, 10**400, 1e300])
def test_no_notifier_can_ask_for_longer_than_a_year(asked: float) -> None:
    """Third-party notifiers may hand on what they were told: nothing that cannot be waited for."""
    wait = NotifyError("x", retry_after=asked).retry_after
    assert wait is None or 0 <= wait <= 366 * 86400


@pytest.mark.parametrize("before", range(60, 130, 3))
async def test_no_secret_is_cut_before_it_is_known_for_one(before: int) -> None:
    """Of an answer its beginning is kept; a token that stands where it ends is hidden whole."""
    body = ("x" * before + " AKIAPL4NT3D094571234 redis://:a9b8c7d6e5@h/0").encode()
    async with saying(lambda _: body) as (url, _):
        receipt = await WebhookChannel(WebhookNotifier(url=Secret(url), allow_private=True)).send(
            message_of(Kind.FIRED)
        )
    assert "AKIAPL" not in receipt.answer
    assert "a9b8" not in receipt.answer


async def test_a_receiver_cannot_send_more_than_is_read() -> None:
    """A compressed answer is not unpacked, and one of any shape is what the receiver answered."""
    bomb = gzip.compress(b"a" * 200_000_000, 9)
    async with saying(lambda _: bomb, "Content-Encoding: gzip") as (url, _):
        notifier = WebhookChannel(WebhookNotifier(url=Secret(url), allow_private=True))
        began = time.thread_time()
        receipt = await notifier.send(message_of(Kind.FIRED))
        assert time.thread_time() - began < 1.0
    assert receipt.answer.startswith("answered 200")
