"""The telegram notifier: sends messages with buttons, and handles presses of these."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from attrs import Factory, define, field, frozen

from tocsin import (
    Context,
    Controls,
    Kind,
    Message,
    Notice,
    Notifier,
    NotifierRuntime,
    NotifyError,
    Receipt,
    Secret,
    Variable,
    hookimpl,
)
from tocsin.plugins.notifiers._http import Progress
from tocsin.plugins.notifiers.telegram.bot import Bot, bot_of, mapping_of, number_of
from tocsin.plugins.notifiers.telegram.chat import Chat, reply_to
from tocsin.plugins.notifiers.telegram.html import lines_of, parts
from tocsin.plugins.notifiers.telegram.press_handler import USED, PressHandler
from tocsin.plugins.notifiers.telegram.presses import Action, Card, Offer, Presses

POLL = 50
"""Seconds for which a request for updates stays open."""

MOST_UPDATES = 100
"""Maximum number of updates in an answer; the Bot API returns no more."""

MOST_PARTS = 12
"""Maximum number of messages for a digest; 12 hold more than 1,500 names."""

MOST_OFFERS = 5
"""Maximum number of alerts in a message with buttons."""


def _check_token(_: object, __: object, token: Secret) -> None:
    number, _, rest = token.reveal().partition(":")
    if not number.isdigit() or not rest or not all(c.isalnum() or c in "_-" for c in rest):
        raise ValueError("must read 123456:ABC-DEF…, as BotFather gave it")


def _check_chat(_: object, __: object, chat: str) -> None:
    text = str(chat)
    if not (text.lstrip("-").isdigit() or (text.startswith("@") and text[1:].isidentifier())):
        raise ValueError("must be a number such as -1001234567890, or @channelname")


def _check_url(_: object, __: object, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must read https://host or http://host:port")


@frozen(kw_only=True)
class TelegramNotifier(Notifier):
    """Send messages through a Telegram bot, with buttons to act on alerts.

    Attributes:
        token: the bot's token, from BotFather.
        chat_id: the chat, group or channel to write to.
        allowed_users: ids of the people who may use buttons; none: messages have no buttons.
        api_url: URL of the Bot API server.
        thread_id: id of the topic to write to, in a group that has topics.
    """

    log_lines = 1
    environment: ClassVar[Mapping[str, Variable]] = {
        "token": Variable("TELEGRAM_BOT_TOKEN"),
        "chat_id": Variable("TELEGRAM_CHAT_ID"),
        "allowed_users": Variable("TELEGRAM_ALLOWED_USERS"),
    }

    token: Secret = field(validator=_check_token)
    chat_id: int | str = field(validator=_check_chat)
    allowed_users: tuple[int, ...] = Factory(tuple)
    api_url: str = field(default="https://api.telegram.org", validator=_check_url)
    thread_id: int | None = None

    async def open(self, context: Context) -> TelegramChannel:
        """Return what sends messages and receives presses."""
        return TelegramChannel(self, bot_of(self.api_url, self.token))


@define(eq=False)
class TelegramChannel(NotifierRuntime):
    """Sends the messages of one channel, and receives what people press.

    Attributes:
        options: its options.
    """

    options: TelegramNotifier
    _bot: Bot
    _presses: Presses = field(init=False, factory=Presses)
    _done: Progress = field(init=False, factory=Progress)
    _answering: set[asyncio.Task[None]] = field(init=False, factory=set)
    _chat: Chat = field(init=False)
    _handler: PressHandler = field(init=False)

    def __attrs_post_init__(self) -> None:
        options = self.options
        self._chat = Chat(self._bot, str(options.chat_id), options.thread_id, options.timeout)
        self._handler = PressHandler(options.allowed_users, self._chat, self._presses)

    async def send(self, message: Message) -> Receipt:
        """Send a message; a digest may need several on Telegram. Raises NotifyError."""
        self._handler.timezone = message.timezone
        lines = list(lines_of(message.words))
        single = message.notices[0] if len(message.notices) == 1 else None
        texts = parts(lines, 1 if single is not None else MOST_PARTS)
        card = self._card(message, lines) if len(texts) == 1 else None
        reply = next((n.reply_to for n in message.notices if n.reply_to), None)
        first: int | None = None
        for text in self._done.left(message.id, texts):
            sent = await self._chat.send(
                text,
                reply_parameters=reply_to(reply),
                reply_markup=None if card is None else self._presses.keyboard(card),
                disable_notification=all(n.kind is Kind.RESOLVED for n in message.notices) or None,
            )
            self._done.one(message.id)
            first = first or sent
        self._done.forget(message.id)
        reference = message.thread or (None if first is None else str(first))
        return Receipt(
            answer=f"message {first} in chat {self.options.chat_id}", reference=reference
        )

    def _card(self, message: Message, lines: list[str]) -> Card | None:
        """Return buttons for the alerts of a message; None if it has none or too many of them."""
        told = [n for n in message.notices if n.kind not in (Kind.RESOLVED, Kind.TEST)]
        offers = [self._offer(notice) for notice in {n.alert: n for n in told}.values()]
        if not self.options.allowed_users or not 1 <= len(offers) <= MOST_OFFERS:
            return None
        return Card(lines, offers)

    @staticmethod
    def _offer(notice: Notice) -> Offer:
        actions = [Action.ACKNOWLEDGE, Action.SILENCE]
        if notice.has_logs:
            actions.append(Action.LOGS)
        if notice.can_restart:
            actions.append(Action.RESTART)
        return Offer(notice.alert, notice.target, actions)

    # Receiving

    async def listen(self, controls: Controls) -> None:
        """Handle presses of buttons until cancelled. Raises NotifyError."""
        if not self.options.allowed_users:
            await asyncio.Event().wait()

        async def hear(query: Mapping[str, Any]) -> bool:
            if query.get("data") not in self._presses:
                return False
            await self._handler.handle(query, controls)
            return True

        self._bot.ears.append(hear)
        try:
            async with self._bot.listening:
                await self._poll()
        finally:
            self._bot.ears.remove(hear)

    async def _poll(self) -> None:
        try:
            while True:
                updates = await self._bot.call(
                    "getUpdates", POLL + 10, offset=self._bot.offset, timeout=POLL,
                    allowed_updates=["callback_query"],
                )  # fmt: skip
                numbered = 0
                for update in updates[:MOST_UPDATES] if isinstance(updates, list) else []:
                    number = number_of(mapping_of(update).get("update_id"))
                    if not number:
                        continue
                    numbered += 1
                    self._bot.offset = number + 1
                    if query := mapping_of(update.get("callback_query")):
                        # In a task, since a restart takes long and others may press meanwhile.
                        task = asyncio.create_task(self._heard(query))
                        self._answering.add(task)
                        task.add_done_callback(self._answering.discard)
                if updates and not numbered:  # the same answer would come again at once
                    raise NotifyError("Telegram answered with invalid updates")
        except asyncio.CancelledError:  # after other errors, presses are still handled
            await self.close()
            raise

    async def close(self) -> None:
        """Cancel the handling of presses that are not answered yet."""
        tasks = tuple(self._answering)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _heard(self, query: Mapping[str, Any]) -> None:
        with suppress(NotifyError):  # the press cannot be answered
            for hear in tuple(self._bot.ears):
                if await hear(query):
                    return
            await self._chat.answer(query, USED, loud=True)


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"telegram": TelegramNotifier}
