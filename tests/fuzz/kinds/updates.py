"""Updates and replies: what the servers of notifiers say."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from attrs import evolve

from tests.fuzz.inputs import mutate, nasty, said, twist
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tests.fuzz.kinds.answers import answer
from tocsin import ActionError, LogLine, NotifierRuntime, NotifyError, Secret
from tocsin import Kind as Notice
from tocsin.core.hiding import clean
from tocsin.core.ids import new_id
from tocsin.core.testing.alerting import message_of
from tocsin.plugins.notifiers.email import EmailChannel, EmailNotifier
from tocsin.plugins.notifiers.email.smtp import Security
from tocsin.plugins.notifiers.telegram import TelegramChannel, TelegramNotifier
from tocsin.plugins.notifiers.telegram.bot import bot_of
from tocsin.plugins.notifiers.telegram.presses import Action, Card, Offer
from tocsin.plugins.notifiers.webhook import WebhookChannel, WebhookNotifier

TOKEN = "123456789:AAE-Ml6qLxxPqZ0Jr5ZbY2e9T8w7V6u5S4r"
USER = 42
UPDATE = {
    "update_id": 10,
    "callback_query": {
        "id": "77", "data": "PRESS",
        "from": {"id": USER, "is_bot": False, "first_name": "Ann", "username": "ann"},
        "message": {"message_id": 5, "chat": {"id": -1001234567890, "type": "group"}, "text": "x"},
    },
}  # fmt: skip
REPLIES = (
    {"ok": True, "result": {"message_id": 5}},
    {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"},
    {"ok": False, "error_code": 400, "description": "x", "parameters": {"migrate_to_chat_id": -2}},
    {"ok": False, "error_code": 403, "description": "Forbidden"},
    {"ok": False, "error_code": 500, "description": "Internal"},
)
SMTP = (
    "250 ok",
    "250-x\r\n250 STARTTLS",
    "354 go on",
    "421 bye",
    "550 no",
    "235 in",
    "220 mail ready",
)


class Answering:
    """Does what buttons ask for, or refuses."""

    async def acknowledge(self, alert: UUID, by: str) -> str:
        return f"acknowledged by {by}"

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        raise ActionError(f"refused to {by}")

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        return [LogLine(text="x")]

    async def restart(self, target: str, by: str) -> str:
        return f"restarted by {by}"


class Place:
    """Servers of all three, in this process."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.updates: deque[bytes] = deque()
        self.asked = asyncio.Event()
        self.reply = b""
        self.smtp: deque[list[str]] = deque()

    async def bot_api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A Bot API server: the next case to getUpdates, or the reply."""
        with suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].split("\r")[0] or 0)
            self.judge.out("request", (await reader.readexactly(length)).decode())
            body = json.dumps(REPLIES[0]).encode() if not self.reply else self.reply
            if "getUpdates" in head:
                while not self.updates:
                    self.asked.set()
                    await asyncio.sleep(0.001)
                body = self.updates.popleft()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async def receiver(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A receiver of webhooks."""
        with suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].split("\r")[0] or 0)
            await reader.readexactly(length)
            writer.write(self.reply)
            await writer.drain()
        writer.close()

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A mail server that says one thing after the other."""
        with suppress(OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            for line in self.smtp.popleft():
                writer.write(line.encode("utf-8", "surrogatepass") + b"\r\n")
                await writer.drain()
                async with asyncio.timeout(0.05):
                    await reader.readline()
        writer.close()


@asynccontextmanager
async def place(directory: Path, judge: Judge) -> AsyncIterator[Place]:
    made = Place(judge)
    servers = [
        await asyncio.start_server(serve, "127.0.0.1", 0)
        for serve in (made.bot_api, made.receiver, made.mail)
    ]
    bot, hook, mail = [server.sockets[0].getsockname()[1] for server in servers]
    made.api_url = f"http://127.0.0.1:{bot}"  # type: ignore[attr-defined]
    made.hook = WebhookChannel(  # type: ignore[attr-defined]
        WebhookNotifier(url=Secret(f"http://127.0.0.1:{hook}/x"), allow_private=True)
    )
    made.post = EmailChannel(  # type: ignore[attr-defined]
        EmailNotifier(host="127.0.0.1", port=mail, to=("ann@example.test",), security=Security.NONE)
    )
    yield made
    for server in servers:
        server.close()


class Updates(Kind):
    """Whatever a notifier's server says, messages are sent or refused in a sentence, and presses
    are still heard."""

    name = "updates"

    def make(self, rng: Random) -> tuple[str, Any]:
        match rng.choice(("updates", "updates", "telegram", "webhook", "mail")):
            case "updates":
                made: Any = twist(rng, twist(rng, UPDATE) if rng.random() < 0.5 else UPDATE)
                result: Any = [made] if rng.random() < 0.8 else twist(rng, [made, UPDATE])
                body = json.dumps({"ok": True, "result": result})
                return "updates", mutate(rng, body) if rng.random() < 0.1 else body
            case "telegram":
                body = json.dumps(twist(rng, rng.choice(REPLIES)))
                return "telegram", mutate(rng, body) if rng.random() < 0.2 else body
            case "webhook":
                return "webhook", answer(rng)
            case _:
                lines = [mutate(rng, rng.choice(SMTP)) for _ in range(rng.randrange(1, 9))]
                if rng.random() < 0.2:
                    lines.append(f"550 {said(rng)} {nasty(rng)}")
                return "mail", lines

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return place(directory, judge)

    async def run(self, place: Any, cases: list[tuple[int, Any]]) -> None:
        judge = place.judge
        options = TelegramNotifier(
            token=Secret(TOKEN), chat_id=USER, allowed_users=(USER,), api_url=place.api_url
        )
        telegram = TelegramChannel(options, bot_of(options.api_url, options.token))
        await self._listen(
            place, telegram, [case for _, (sort, case) in cases if sort == "updates"]
        )
        for _, (sort, case) in cases:
            if sort in ("telegram", "webhook"):
                place.reply = (
                    case if isinstance(case, bytes) else case.encode("utf-8", "surrogatepass")
                )
                notifier: NotifierRuntime = place.hook
                if sort == "telegram":
                    notifier = fresh = TelegramChannel(options, telegram._bot)
                    fresh._bot._open_at = 0.0
                    fresh._bot._sent.clear()
                await _send(judge, sort, notifier)
        place.reply = b""
        place.smtp.extend(case for _, (sort, case) in cases if sort == "mail")
        # At once: the server waits where the client does. Which script a session gets is all one.
        await asyncio.gather(*(_send(judge, "mail", place.post) for _ in tuple(place.smtp)))
        place.smtp.clear()

    async def _listen(self, place: Any, telegram: TelegramChannel, cases: list[str]) -> None:
        """Have all updates heard; whoever presses has a button."""
        telegram._bot._open_at = 0.0
        listening: asyncio.Task[None] | None = None
        for case in cases:
            if listening is None or listening.done():
                telegram._bot.offset = None
                listening = asyncio.create_task(telegram.listen(Answering()))
            telegram._bot._sent.clear()
            keyboard = telegram._presses.keyboard(
                Card(["x"], [Offer(new_id(), "web", list(Action))])
            )
            token = keyboard["inline_keyboard"][0][0]["callback_data"]
            place.updates.append(case.replace("PRESS", token).encode("utf-8", "surrogatepass"))
            while not listening.done() and place.updates:
                await asyncio.sleep(0)
            place.asked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    asked = asyncio.create_task(place.asked.wait())
                    await asyncio.wait({listening, asked}, return_when=asyncio.FIRST_COMPLETED)
                    asked.cancel()
            if listening.done() and not listening.cancelled():
                error = listening.exception()
                if error is not None and not isinstance(error, NotifyError):
                    place.judge.raised(error, "listen")
        if listening is not None:
            answering = tuple(telegram._answering)
            await asyncio.wait(answering, timeout=5) if answering else None
            for task in answering:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    place.judge.raised(error, "press")
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        place.updates.clear()


MESSAGE = message_of(Notice.FIRED)


async def _send(judge: Judge, sort: str, notifier: NotifierRuntime) -> None:
    """Send a message: it is taken, or refused in a sentence."""
    try:
        async with asyncio.timeout(10):
            receipt = await notifier.send(evolve(MESSAGE, id=new_id()))
        # Cleaned where the core takes it in, in ``pipeline.deliver``.
        judge.out("receipt", repr(evolve(receipt, answer=clean(receipt.answer))))
    except NotifyError as error:
        judge.out("refusal", clean(str(error)))
    except TimeoutError:
        judge.traceback(f"{sort}: no end within 10 s")
    except Exception as error:
        judge.raised(error, sort)
