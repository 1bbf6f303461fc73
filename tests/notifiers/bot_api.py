"""A stand-in for Telegram that keeps to what the Bot API documents (https://core.telegram.org/bots/api)
and notes every breach of its rules."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any

from aiohttp import web

TOKEN = "123456789:AAE-Ml6qLxxPqZ0Jr5ZbY2e9T8w7V6u5S4r"
CHAT = -1001234567890
TAGS = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote", "tg-spoiler"}


class Reader(HTMLParser):
    """Telegram's HTML: known tags, all closed in order, known entities; the text they leave."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in TAGS:
            raise ValueError(f"Unsupported start tag {tag!r}")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"Unexpected end tag {tag!r}")

    def handle_data(self, data: str) -> None:
        if "<" in data:
            raise ValueError("Unclosed start tag")
        self.text += data

    def handle_entityref(self, name: str) -> None:
        known = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
        self.text += known.get(name, f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.text += chr(int(name[1:], 16) if name[:1] in "xX" else int(name))

    def handle_comment(self, data: str) -> None:
        raise ValueError("Unsupported start tag")

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    handle_pi = unknown_decl = handle_comment


def read_html(text: str) -> str:
    """The text without markup. Raises ValueError for what Telegram would refuse."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    if reader.open:
        raise ValueError(f"Can't find end tag corresponding to start tag {reader.open[-1]!r}")
    return reader.text


class BotApi:
    """The server. ``messages`` by id as they are now; ``breaches`` of the rules; ``answers`` to
    presses; ``texts`` all that was sent, in order."""

    def __init__(self) -> None:
        self.messages: dict[int, dict[str, Any]] = {}
        self.sent: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.breaches: list[str] = []
        self.calls: list[str] = []
        self.url = ""
        self.blocked = False
        self.silent = False
        self.moved_to: int | None = None
        self.refuse_html = False
        self.late = False
        self.frozen = False
        self.fail_at = ("", 0)
        self._retry: list[float] = []
        self._closed_until = 0.0
        self._times: dict[str, deque[float]] = {}
        self._updates: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self.polling = 0
        self._next = 100
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/bot{token}/{method}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._news.set()
        if self._runner is not None:
            await self._runner.cleanup()

    # What a test does

    def slow_down(self, seconds: float) -> None:
        """Answer the next call with 429; what comes before the time is over is a breach."""
        self._retry.append(seconds)

    def press(self, data: str, user: int = 42, message: int | None = None, **who: Any) -> None:
        """Somebody presses a button."""
        self._next += 1
        self._updates.append(
            {
                "update_id": self._next,
                "callback_query": {
                    "id": str(self._next),
                    "from": {"id": user, "is_bot": False, "first_name": "Ann", **who},
                    "message": {
                        "message_id": message or max(self.messages, default=0),
                        "chat": {"id": CHAT},
                    },
                    "data": data,
                },
            }
        )
        self._news.set()

    def buttons(self, message: int | None = None) -> dict[str, str]:
        """The data of a message's buttons by what stands on them."""
        shown = self.messages[max(self.messages) if message is None else message]
        rows = (shown.get("reply_markup") or {}).get("inline_keyboard", [])
        return {b["text"]: b["callback_data"] for row in rows for b in row}

    # The API

    async def _handle(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        fields = await request.json()
        now = time.monotonic()
        if now < self._closed_until:
            left = self._closed_until - now
            self.breaches.append(f"{method} {left:.2f} s before retry_after ended")
        self.calls.append(method)
        if self.silent:
            await asyncio.sleep(3600)
        if request.match_info["token"] != TOKEN:
            return _no(401, "Unauthorized")
        if self._retry:
            seconds = self._retry.pop(0)
            self._closed_until = now + seconds
            return _no(429, f"Too Many Requests: retry after {seconds:g}", retry_after=seconds)
        if self.fail_at == (method, self.calls.count(method)):
            return _no(500, "Internal Server Error")
        name = re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", method)
        handle: Callable[[dict[str, Any]], Awaitable[web.Response]] = getattr(self, f"_{name}")
        return await handle(fields)

    async def _send_message(self, fields: dict[str, Any]) -> web.Response:
        chat = str(fields["chat_id"])
        if self.blocked:
            return _no(403, "Forbidden: bot was kicked from the supergroup chat")
        if self.moved_to is not None and chat != str(self.moved_to):
            return _no(
                400, "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.moved_to,
            )  # fmt: skip
        if chat not in (str(CHAT), str(self.moved_to)):
            return _no(400, "Bad Request: chat not found")
        if (refusal := self._text(fields)) is not None:
            return refusal
        if wait := self._limited(chat):
            self.breaches.append("more messages than the chat's limit")
            return _no(429, f"Too Many Requests: retry after {wait:g}", retry_after=wait)
        reply = (fields.get("reply_parameters") or {}).get("message_id")
        may_miss = (fields.get("reply_parameters") or {}).get("allow_sending_without_reply")
        if reply and reply not in self.messages and not may_miss:
            return _no(400, "Bad Request: message to be replied not found")
        identity = max(self.messages, default=0) + 1
        self.messages[identity] = {**fields, "message_id": identity}
        self.sent.append(self.messages[identity])
        return _ok({"message_id": identity, "chat": {"id": int(chat)}})

    async def _edit_message_text(self, fields: dict[str, Any]) -> web.Response:
        if self.frozen:
            return _no(400, "Bad Request: message can't be edited")
        old = self.messages.get(fields.get("message_id", 0))
        if old is None:
            return _no(400, "Bad Request: message to edit not found")
        if (refusal := self._text(fields)) is not None:
            return refusal
        if old["text"] == fields["text"] and old.get("reply_markup") == fields.get("reply_markup"):
            return _no(400, "Bad Request: message is not modified")
        self.messages[fields["message_id"]] = {**old, **fields}
        return _ok({"message_id": fields["message_id"]})

    async def _answer_callback_query(self, fields: dict[str, Any]) -> web.Response:
        if self.late:
            return _no(400, "Bad Request: query is too old and response timeout expired")
        if len(fields.get("text", "")) > 200:
            return _no(400, "Bad Request: MESSAGE_TOO_LONG")
        self.answers.append(fields)
        return _ok(True)

    async def _get_updates(self, fields: dict[str, Any]) -> web.Response:
        if self.polling:
            return _no(409, "Conflict: terminated by other getUpdates request")
        self.polling += 1
        try:
            offset = fields.get("offset") or 0
            self._updates = [u for u in self._updates if u["update_id"] >= offset]
            if not self._updates:
                self._news.clear()
                try:
                    async with asyncio.timeout(min(fields.get("timeout", 0), 5)):
                        await self._news.wait()
                except TimeoutError:
                    pass
            return _ok(list(self._updates))
        finally:
            self.polling -= 1

    def _text(self, fields: dict[str, Any]) -> web.Response | None:
        text = fields.get("text", "")
        if fields.get("parse_mode") == "HTML":
            try:
                if self.refuse_html:
                    raise ValueError("told to refuse")
                text = read_html(text)
            except ValueError as error:
                return _no(400, f"Bad Request: can't parse entities: {error}")
        if not text.strip():
            return _no(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            return _no(400, "Bad Request: message is too long")
        for row in (fields.get("reply_markup") or {}).get("inline_keyboard", []):
            if any(not 1 <= len(b["callback_data"].encode()) <= 64 for b in row):
                return _no(400, "Bad Request: BUTTON_DATA_INVALID")
        return None

    def _limited(self, chat: str) -> float:
        times = self._times.setdefault(chat, deque(maxlen=20))
        now = time.monotonic()
        if times and now - times[-1] < 0.98:
            return 1
        if chat.startswith("-") and len(times) == 20 and now - times[0] < 60:
            return 60 - (now - times[0])
        times.append(now)
        return 0


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _no(code: int, text: str, **parameters: Any) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": text}
    if parameters:
        body["parameters"] = parameters
    return web.json_response(body, status=code)
