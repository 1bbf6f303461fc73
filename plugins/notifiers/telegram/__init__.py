"""The telegram notifier: messages with buttons, and what people press."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from attrs import Factory, field, frozen

from tocsin import (
    ActionError,
    Controls,
    Kind,
    Message,
    Notice,
    Notifier,
    NotifyError,
    Receipt,
    Secret,
    hookimpl,
    private,
)
from tocsin.plugins.notifiers._http import Progress
from tocsin.plugins.notifiers.telegram.bot import Bot, Moved, Unparsable, bot_of
from tocsin.plugins.notifiers.telegram.html import fit, lines_of, log_text, parts, plain
from tocsin.plugins.notifiers.telegram.presses import Action, Card, Press, Presses

POLL = 50
"""Seconds for which a request for updates stays open."""

LOG_LINES = 30
MOST_PARTS = 12
"""Messages that a digest may take: 12 hold more than 1,500 names."""

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
    """Send messages by a Telegram bot; people act by pressing buttons.

    Attributes:
        token: what BotFather gave.
        chat_id: the chat, group or channel to write to.
        allowed_users: ids of the people whose presses count; none: messages have no buttons.
        api_url: the Bot API's server.
        thread_id: the topic in a group that has topics.
    """

    log_lines = 1

    token: Secret = field(validator=_check_token)
    chat_id: int | str = field(validator=_check_chat)
    allowed_users: tuple[int, ...] = Factory(tuple)
    api_url: str = field(default="https://api.telegram.org", validator=_check_url)
    thread_id: int | None = None
    _presses: Presses = private(factory=Presses)
    _done: Progress = private(factory=Progress)
    _timezone: list[str] = private(factory=lambda: ["UTC"])
    _bots: list[Bot] = private(factory=list)

    @property
    def _bot(self) -> Bot:
        if not self._bots:
            self._bots.append(bot_of(self.api_url, self.token))
        return self._bots[0]

    # Out

    async def send(self, message: Message) -> Receipt:
        """Send it, in as many messages as a digest needs. Raises NotifyError."""
        self._timezone[0] = message.timezone
        lines = list(lines_of(message.words))
        single = message.notices[0] if len(message.notices) == 1 else None
        texts = parts(lines, 1 if single is not None else MOST_PARTS)
        card = None if single is None else self._card(single, lines)
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
        reference = reply or (None if first is None else str(first))
        return Receipt(answer=f"message {first} in chat {self.chat_id}", reference=reference)

    async def _send(self, html: str, **fields: Any) -> int | None:
        """One message; its id."""
        try:
            return await self._try(html, "HTML", **fields)
        except Moved:
            return await self._try(html, "HTML", **fields)
        except Unparsable:
            return await self._try(plain(html), None, **fields)

    async def _try(self, text: str, mode: str | None, **fields: Any) -> int | None:
        chat = self._bot.chat(str(self.chat_id))
        await self._bot.turn(chat)
        result = await self._bot.call(
            "sendMessage", self.timeout, chat_id=chat, text=text, parse_mode=mode,
            message_thread_id=self.thread_id, link_preview_options={"is_disabled": True}, **fields,
        )  # fmt: skip
        return result.get("message_id") if isinstance(result, Mapping) else None

    def _card(self, notice: Notice, lines: list[str]) -> Card | None:
        if not self.allowed_users or notice.kind in (Kind.RESOLVED, Kind.TEST):
            return None
        actions = [Action.ACKNOWLEDGE, Action.SILENCE]
        if notice.target_kind == "container":
            actions.append(Action.LOGS)
        if notice.can_restart:
            actions.append(Action.RESTART)
        return Card(notice.alert, notice.target, lines, actions)

    # In

    async def listen(self, controls: Controls) -> None:
        """Take in presses until cancelled. Raises NotifyError."""
        if not self.allowed_users:
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
        offset: int | None = None
        while True:
            try:
                updates = await self._bot.call(
                    "getUpdates", POLL + 10, offset=offset, timeout=POLL,
                    allowed_updates=["callback_query"],
                )  # fmt: skip
            except NotifyError as error:
                if error.retry_after is None:
                    raise
                await asyncio.sleep(error.retry_after)
                continue
            for update in updates if isinstance(updates, list) else []:
                offset = int(update["update_id"]) + 1
                if query := update.get("callback_query"):
                    with suppress(NotifyError):  # an answer that cannot be given
                        await self._heard(query)

    async def _heard(self, query: Mapping[str, Any]) -> None:
        for hear in self._bot.ears:
            if await hear(query):
                return
        text = "This button was used already, or is from before a restart of tocsin."
        await self._answer(query, text, loud=True)

    async def _pressed(self, query: Mapping[str, Any], controls: Controls) -> None:
        who = query.get("from") or {}
        if who.get("id") not in self.allowed_users:
            await self._answer(query, "You are not among the people who may do this.", loud=True)
            return
        press = self._presses.take(str(query.get("data")))
        if press is None:
            return
        message = query.get("message") or {}
        try:
            done = await self._act(press, _name(who), message, controls)
        except ActionError as error:
            await self._answer(query, f"Not done: {error}", loud=True)
            await self._edit(press.card, message)
            return
        await self._answer(query, done[:1].upper() + done[1:])
        if press.action is not Action.LOGS:
            at = datetime.now(UTC).astimezone(ZoneInfo(self._timezone[0]))
            note = f"{_DONE[press.action]} {done[:1].upper()}{done[1:]} at {at:%H:%M %Z}"
            press.card.notes.append(f"<i>{escape(fit(note, 300))}</i>")
            press.card.actions.remove(press.action)
        await self._edit(press.card, message)

    async def _act(
        self, press: Press, by: str, message: Mapping[str, Any], controls: Controls
    ) -> str:
        card = press.card
        match press.action:
            case Action.ACKNOWLEDGE:
                return await controls.acknowledge(card.alert, by)
            case Action.SILENCE:
                return await controls.silence(card.alert, 3600, by)
            case Action.RESTART:
                return await controls.restart(card.target, by)
            case Action.LOGS:
                lines = await controls.logs(card.target, LOG_LINES)
                reply = _reply(str(message.get("message_id", "")))
                await self._send(log_text(card.target, lines), reply_parameters=reply)
                return "here are the last lines"

    async def _answer(self, query: Mapping[str, Any], text: str, *, loud: bool = False) -> None:
        await self._bot.call(
            "answerCallbackQuery", self.timeout, callback_query_id=query.get("id"),
            text=fit(text, 190), show_alert=loud or None,
        )  # fmt: skip

    async def _edit(self, card: Card, message: Mapping[str, Any]) -> None:
        """Show who did what, with the buttons that are left."""
        chat = self._bot.chat(str(self.chat_id))
        await self._bot.turn(chat)
        room = ["", *card.notes] if card.notes else []
        text = parts([*card.lines[: 60 - len(room)], *room], 1)[0]
        if card.notes and card.notes[-1] not in text:
            text = parts([*card.lines[:3], *room], 1)[0]
        await self._bot.call(
            "editMessageText", self.timeout, chat_id=chat, message_id=message.get("message_id"),
            text=text, parse_mode="HTML", link_preview_options={"is_disabled": True},
            reply_markup=self._presses.keyboard(card),
        )  # fmt: skip


def _reply(reference: str | None) -> Mapping[str, Any] | None:
    if not reference or not reference.isdigit():
        return None
    return {"message_id": int(reference), "allow_sending_without_reply": True}


def _name(who: Mapping[str, Any]) -> str:
    """A person as the audit names them: what they call themselves, and what they cannot change."""
    said = str(who.get("username") or who.get("first_name") or "somebody")
    shown = "".join(c for c in said if c.isprintable())[:40]
    return f"{shown} (Telegram {who.get('id')})"


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"telegram": TelegramNotifier}
