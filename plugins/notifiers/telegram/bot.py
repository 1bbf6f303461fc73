"""One bot: calls of the Bot API, and its limits: a message a second in a chat, 20 a minute in a
group, and whatever ``retry_after`` says
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from attrs import define, field

from tocsin import NotifyError, Secret, clean_text
from tocsin.plugins.notifiers._http import post

T = TypeVar("T")

SPACING = 1.05
"""Seconds between two messages to a chat."""

GROUP_LIMIT = (20, 60.0)
"""Messages to a group, and seconds in which."""

PATIENCE = 15.0
"""Seconds for which a message waits for its turn here; longer waits are the core's."""


@define(eq=False)
class Bot:
    """One token at one server. Channels with the same token share it, and so its limits."""

    api_url: str
    token: Secret
    _open_at: float = 0.0
    _sent: dict[str, deque[float]] = field(factory=dict)
    _moved: dict[str, str] = field(factory=dict)
    offset: int | None = None
    """Id of the next update to ask for; kept for the next listener, so that none comes twice."""
    listening: asyncio.Lock = field(factory=asyncio.Lock)
    """Only one may read the updates of a bot."""
    ears: list[Callable[[Mapping[str, Any]], Awaitable[bool]]] = field(factory=list)
    """Listeners: each handles a press that is its own, and returns whether it was."""

    async def call(self, method: str, limit: float, /, **fields: Any) -> Any:
        """Call a method and wait ``limit`` seconds at most; its result.

        Raises:
            NotifyError: it failed, or must not be tried yet. The text never holds the token.
        """
        self._check_open()
        body = json.dumps({k: v for k, v in fields.items() if v is not None}).encode()
        status, _, raw = await post(
            f"{self.api_url.rstrip('/')}/bot{self.token.reveal()}/{method}",
            body,
            {"Content-Type": "application/json"},
            timeout=limit,
            allow_private=True,  # a Bot API server of one's own
        )
        try:
            answer = json.loads(raw)
            ok = bool(answer["ok"])
        except (ValueError, KeyError, TypeError, RecursionError):
            what = "what is no Bot API answer" if status == 200 else f"{status}"
            permanent = status not in (200, 408, 429) and status < 500
            raise NotifyError(f"Telegram answered {what}", permanent=permanent) from None
        if ok:
            return answer.get("result")
        raise self._refusal(answer, str(fields.get("chat_id", "")))

    def _check_open(self) -> None:
        wait = self._open_at - time.monotonic()
        if wait > 0:
            raise NotifyError(f"Telegram wants to be left alone for {wait:.0f} s", retry_after=wait)

    def _refusal(self, answer: Mapping[str, Any], chat: str) -> NotifyError:
        code = answer.get("error_code")
        said = " ".join(text_of(answer.get("description")).split())
        said = clean_text(said.replace(self.token.reveal(), "***"), longest=240)
        more = mapping_of(answer.get("parameters"))
        if code == 429:
            asked = more.get("retry_after")
            error = NotifyError(
                f"Telegram said: {said}",
                retry_after=asked if isinstance(asked, int | float) else 30,
            )
            self._open_at = time.monotonic() + (error.retry_after or 0.0)
            return error
        if chat and (moved := text_of(more.get("migrate_to_chat_id"))):
            self._moved[chat] = moved
            return Moved(f"the group is now {self._moved[chat]}; write that as chat_id")
        if code in (401, 404):
            return NotifyError(
                f"Telegram does not know this bot ({said}); check the token that BotFather gave",
                permanent=True,
                everything=True,
            )
        if code == 409:
            return NotifyError(
                f"another program reads this bot's updates ({said}); give each tocsin its own bot"
            )
        if code == 403:
            return NotifyError(
                f"the bot may not write to chat {chat} ({said}); let it in again",
                permanent=True,
                everything=True,
            )
        if isinstance(code, int) and 400 <= code < 500:
            kind = Unparsable if "parse entities" in said else NotifyError
            # One chat is written to: what is wrong with it is wrong for every message.
            of_chat = any(word in said.lower() for word in ("chat", "topic", "thread", "peer"))
            return kind(f"Telegram said: {said}", permanent=True, everything=of_chat)
        return NotifyError(f"Telegram said: {said or code}")

    def chat(self, chat: str) -> str:
        """A chat's id as it is now: a group that has grown has a new one."""
        return self._moved.get(chat, chat)

    async def turn(self, chat: str) -> None:
        """Wait until the limits let another message into a chat. Raises NotifyError, with the
        time to wait, where that is long."""
        self._check_open()
        sent = self._sent.setdefault(chat, deque(maxlen=GROUP_LIMIT[0]))
        now = time.monotonic()
        free = sent[-1] + SPACING if sent else now
        if chat.startswith(("-", "@")) and len(sent) == GROUP_LIMIT[0]:
            free = max(free, sent[0] + GROUP_LIMIT[1])
        wait = free - now
        if wait > PATIENCE:
            raise NotifyError("the chat has had 20 messages within a minute", retry_after=wait)
        sent.append(max(free, now))
        if wait > 0:
            await asyncio.sleep(wait)


def mapping_of(value: Any) -> Mapping[str, Any]:
    """A part of an answer that should be an object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def number_of(value: Any) -> int:
    """A whole number of an answer; 0 for all else."""
    return value if type(value) is int and abs(value) < 2**63 else 0


def text_of(value: Any) -> str:
    """A text or whole number of an answer, as text; "" for all else."""
    return value if isinstance(value, str) else str(number_of(value) or "")


class Moved(NotifyError):
    """The chat has another id now."""


class Unparsable(NotifyError):
    """Telegram could not read the HTML."""


_BOTS: WeakValueDictionary[tuple[str, str], Bot] = WeakValueDictionary()
"""One for the process, since Telegram's limits belong to the token and channels with the same token
do not know each other. A bot goes with the last channel that has it."""


def bot_of(api_url: str, token: Secret) -> Bot:
    """The bot of a token; the same one for all that ask."""
    key = (api_url.rstrip("/"), token.reveal())
    bot = _BOTS.get(key)
    if bot is None:
        bot = _BOTS[key] = Bot(key[0], token)
    return bot


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """What a call gives, as soon as Telegram's limits let it through. Raises NotifyError."""
    while True:
        try:
            return await call()
        except NotifyError as error:
            if error.retry_after is None:
                raise
            await asyncio.sleep(error.retry_after)
