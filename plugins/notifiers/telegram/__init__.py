"""The telegram notifier: sends messages with buttons, and handles presses of these."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from attrs import Factory, define, field, frozen

from tocsin import (
    ActionError,
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
from tocsin.plugins.notifiers.telegram.bot import (
    Bot,
    Moved,
    Unparsable,
    bot_of,
    mapping_of,
    number_of,
    patiently,
    text_of,
)
from tocsin.plugins.notifiers.telegram.html import (
    LIMIT,
    fit,
    lines_of,
    log_text,
    parts,
    plain,
    units,
)
from tocsin.plugins.notifiers.telegram.presses import (
    Action,
    Card,
    Offer,
    Press,
    Presses,
    person,
)

POLL = 50
"""Seconds for which a request for updates stays open."""

MOST_UPDATES = 100
"""Maximum number of updates in an answer; the Bot API returns no more."""

LOG_LINES = 30
MOST_PARTS = 12
"""Maximum number of messages for a digest; 12 hold more than 1,500 names."""

MOST_OFFERS = 5
"""Maximum number of alerts in a message with buttons."""

USED = "This button was used already, or is from before a restart of tocsin."

_DONE = {Action.ACKNOWLEDGE: "✔️", Action.SILENCE: "🔕", Action.RESTART: "🔄"}


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
    _timezone: str = field(init=False, default="UTC")
    _answering: set[asyncio.Task[None]] = field(init=False, factory=set)

    async def send(self, message: Message) -> Receipt:
        """Send a message; a digest may need several on Telegram. Raises NotifyError."""
        self._timezone = message.timezone
        lines = list(lines_of(message.words))
        single = message.notices[0] if len(message.notices) == 1 else None
        texts = parts(lines, 1 if single is not None else MOST_PARTS)
        card = self._card(message, lines) if len(texts) == 1 else None
        reply = next((n.reply_to for n in message.notices if n.reply_to), None)
        first: int | None = None
        for text in self._done.left(message.id, texts):
            sent = await self._send(
                text,
                reply_parameters=_reply(reply),
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

    async def _send(self, html: str, **fields: Any) -> int | None:
        """Send one message and return its id, or None if Telegram gave none."""
        try:
            return await self._try(html, "HTML", **fields)
        except Moved:
            return await self._try(html, "HTML", **fields)
        except Unparsable:
            return await self._try(plain(html), None, **fields)

    async def _try(self, text: str, mode: str | None, **fields: Any) -> int | None:
        options = self.options
        chat = self._bot.chat(str(options.chat_id))
        await self._bot.turn(chat)
        result = await self._bot.call(
            "sendMessage", options.timeout, chat_id=chat, text=text, parse_mode=mode,
            message_thread_id=options.thread_id,
            link_preview_options={"is_disabled": True}, **fields,
        )  # fmt: skip
        return number_of(mapping_of(result).get("message_id")) or None

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
            await self._pressed(query, controls)
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
            await self._answer(query, USED, loud=True)

    async def _pressed(self, query: Mapping[str, Any], controls: Controls) -> None:
        who = mapping_of(query.get("from"))
        if who.get("id") not in self.options.allowed_users:
            await self._answer(query, "You are not among the people who may do this.", loud=True)
            return
        press = self._presses.take(str(query.get("data")))
        if press is None:
            await self._answer(query, USED, loud=True)
            return
        card, offer, message = press.card, press.offer, mapping_of(query.get("message"))
        offer.begin(press.action)
        note = None
        try:
            done = await self._act(press, person(who), message, controls)
        except (ActionError, NotifyError) as error:
            offer.give_back(press.action)
            text, failed = f"Not done: {error}", True
        else:
            text, failed = done[:1].upper() + done[1:], False
            if press.action is not Action.LOGS:
                at = datetime.now(UTC).astimezone(ZoneInfo(self._timezone))
                about = f"{offer.target}: " if len(card.offers) > 1 else ""
                note = f"{_DONE[press.action]} {about}{text} at {at:%H:%M %Z}"
                card.notes.append(f"<i>{escape(fit(note, 300))}</i>")
        try:
            await self._answer(query, text, loud=failed)
        except NotifyError:  # Telegram accepts an answer only for some seconds
            if failed:
                await self._say(escape(fit(text, 300)), message)
        await self._edit(card, message, note)

    async def _act(
        self, press: Press, by: str, message: Mapping[str, Any], controls: Controls
    ) -> str:
        offer = press.offer
        match press.action:
            case Action.ACKNOWLEDGE:
                return await controls.acknowledge(offer.alert, by)
            case Action.SILENCE:
                return await controls.silence(offer.alert, 3600, by)
            case Action.RESTART:
                return await controls.restart(offer.target, by)
            case Action.LOGS:
                lines = await controls.logs(offer.target, LOG_LINES)
                await self._say(log_text(offer.target, lines), message)
                return "here are the last lines"

    async def _answer(self, query: Mapping[str, Any], text: str, *, loud: bool = False) -> None:
        await self._bot.call(
            "answerCallbackQuery", self.options.timeout, callback_query_id=text_of(query.get("id")),
            text=fit(text, 190), show_alert=loud or None,
        )  # fmt: skip

    async def _say(
        self, html: str, message: Mapping[str, Any], keyboard: Mapping[str, Any] | None = None
    ) -> None:
        """Reply to the message whose button was pressed."""
        reply = _reply(text_of(message.get("message_id")))
        await self._send(html, reply_parameters=reply, reply_markup=keyboard)

    async def _edit(self, card: Card, message: Mapping[str, Any], note: str | None) -> None:
        """Show in the message who did what, and the buttons that are left. If the message can no
        longer be edited, reply to it instead."""
        async with card.editing:  # so that the keyboard made last is also shown last
            try:
                await patiently(lambda: self._try_edit(card, message))
            except NotifyError as error:
                if note is None or not error.permanent:
                    raise
                keyboard = self._presses.keyboard(card)
                await patiently(lambda: self._say(escape(fit(note, 300)), message, keyboard))
                self._presses.shown(card, keyboard)

    async def _try_edit(self, card: Card, message: Mapping[str, Any]) -> None:
        options = self.options
        chat = self._bot.chat(str(options.chat_id))
        await self._bot.turn(chat)
        notes = "\n".join(["", "", *card.notes]) if card.notes else ""
        keyboard = self._presses.keyboard(card)
        await self._bot.call(
            "editMessageText", options.timeout, chat_id=chat,
            message_id=number_of(message.get("message_id")),
            text=parts(card.lines, 1, LIMIT - units(notes))[0] + notes, parse_mode="HTML",
            link_preview_options={"is_disabled": True}, reply_markup=keyboard,
        )  # fmt: skip
        self._presses.shown(card, keyboard)


def _reply(reference: str | None) -> Mapping[str, Any] | None:
    if not reference or not reference.isdecimal() or len(reference) > 18:
        return None
    return {"message_id": int(reference), "allow_sending_without_reply": True}


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"telegram": TelegramNotifier}
