"""A Telegram bot: calls of the Bot API within its limits, which are one message per second in a
chat, 20 per minute in a group, and the delays that ``retry_after`` asks for
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
"""Maximum number of messages to a group, and the period in seconds."""

PATIENCE = 15.0
"""Longest delay of a message here, in seconds; the core handles longer ones (``retry_after``)."""


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
    """Held by the listener that reads the updates; only one may do so."""
    ears: list[Callable[[Mapping[str, Any]], Awaitable[bool]]] = field(factory=list)
    """Handlers of presses, one per channel; each returns whether the press belonged to it."""

    async def call(self, method: str, limit: float, /, **fields: Any) -> Any:
        """Call a method of the Bot API and return its result.

        Args:
            method: name of the method.
            limit: timeout in seconds.
            **fields: parameters of the method; those that are None are left out.

        Raises:
            NotifyError: the call failed, or Telegram accepts none yet. The text never contains the
                token.
        """
        self._check_open()
        body = json.dumps({k: v for k, v in fields.items() if v is not None}).encode()
        status, _, raw = await post(
            f"{self.api_url.rstrip('/')}/bot{self.token.reveal()}/{method}",
            body,
            {"Content-Type": "application/json"},
            timeout=limit,
            allow_private=True,  # users may run their own Bot API server
        )
        try:
            answer = json.loads(raw)
            ok = bool(answer["ok"])
        except (ValueError, KeyError, TypeError, RecursionError):
            what = "with an invalid body; check api_url" if status == 200 else f"{status}"
            permanent = status not in (200, 408, 429) and status < 500
            raise NotifyError(f"Telegram answered {what}", permanent=permanent) from None
        if ok:
            return answer.get("result")
        raise self._refusal(answer, str(fields.get("chat_id", "")))

    def _check_open(self) -> None:
        wait = self._open_at - time.monotonic()
        if wait > 0:
            raise NotifyError(f"Telegram accepts no requests for {wait:.0f} s", retry_after=wait)

    def _refusal(self, answer: Mapping[str, Any], chat: str) -> NotifyError:
        code = answer.get("error_code")
        said = " ".join(text_of(answer.get("description")).split())
        said = clean_text(said.replace(self.token.reveal(), "***"), longest=240)
        more = mapping_of(answer.get("parameters"))
        if code == 429:
            asked = more.get("retry_after")
            error = NotifyError(
                f"Telegram answered: {said}",
                retry_after=asked if isinstance(asked, int | float) else 30,
            )
            self._open_at = time.monotonic() + (error.retry_after or 0.0)
            return error
        if chat and (moved := text_of(more.get("migrate_to_chat_id"))):
            self._moved[chat] = moved
            return Moved(f"the group's id is now {self._moved[chat]}; set chat_id to it")
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
                f"the bot may not write to chat {chat} ({said}); add it to the chat again",
                permanent=True,
                everything=True,
            )
        if isinstance(code, int) and 400 <= code < 500:
            kind = Unparsable if "parse entities" in said else NotifyError
            # A channel writes to one chat, so that an error of the chat applies to every message.
            of_chat = any(word in said.lower() for word in ("chat", "topic", "thread", "peer"))
            return kind(f"Telegram answered: {said}", permanent=True, everything=of_chat)
        return NotifyError(f"Telegram answered: {said or code}")

    def chat(self, chat: str) -> str:
        """Return a chat's current id: a group that becomes a supergroup gets a new one."""
        return self._moved.get(chat, chat)

    async def turn(self, chat: str) -> None:
        """Wait until the limits allow another message to a chat.

        Raises:
            NotifyError: that takes longer than PATIENCE; ``retry_after`` is the delay.
        """
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
    """Return a part of an answer that should be an object; an empty one if it is not."""
    return value if isinstance(value, dict) else {}


def number_of(value: Any) -> int:
    """Return a whole number of an answer; 0 for anything else."""
    return value if type(value) is int and abs(value) < 2**63 else 0


def text_of(value: Any) -> str:
    """Return a text or whole number of an answer as text; "" for anything else."""
    return value if isinstance(value, str) else str(number_of(value) or "")


class Moved(NotifyError):
    """The chat has a new id."""


class Unparsable(NotifyError):
    """Telegram could not parse the HTML."""


_BOTS: WeakValueDictionary[tuple[str, str], Bot] = WeakValueDictionary()
"""The bots of this process, by server and token. They are shared because Telegram's limits apply to
the token. A bot is removed with the last channel that uses it."""


def bot_of(api_url: str, token: Secret) -> Bot:
    """Return the bot of a token; all callers get the same one."""
    key = (api_url.rstrip("/"), token.reveal())
    bot = _BOTS.get(key)
    if bot is None:
        bot = _BOTS[key] = Bot(key[0], token)
    return bot


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until Telegram's limits allow it; return its result. Raises NotifyError."""
    while True:
        try:
            return await call()
        except NotifyError as error:
            if error.retry_after is None:
                raise
            await asyncio.sleep(error.retry_after)
