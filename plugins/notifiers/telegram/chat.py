"""A chat that a bot writes to: sending, editing, and answering presses of buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define

from tocsin.plugins.notifiers.telegram.bot import (
    Bot,
    Moved,
    Unparsable,
    mapping_of,
    number_of,
    text_of,
)
from tocsin.plugins.notifiers.telegram.html import fit, plain


@define(eq=False)
class Chat:
    """A chat, group or channel.

    Attributes:
        bot: the bot.
        chat_id: id or name of the chat.
        thread_id: id of the topic to write to, or None.
        timeout: timeout of a request in seconds.
    """

    _bot: Bot
    _chat_id: str
    _thread_id: int | None
    _timeout: float

    async def send(self, html: str, **fields: Any) -> int | None:
        """Send one message.

        Args:
            html: its text.
            **fields: other parameters of the Bot API's ``sendMessage``.

        Returns:
            The id of the message, or None if Telegram gave none.

        Raises:
            NotifyError: it was not sent.
        """
        try:
            return await self._try(html, "HTML", **fields)
        except Moved:
            return await self._try(html, "HTML", **fields)
        except Unparsable:
            return await self._try(plain(html), None, **fields)

    async def _try(self, text: str, mode: str | None, **fields: Any) -> int | None:
        chat = self._bot.chat(self._chat_id)
        await self._bot.turn(chat)
        result = await self._bot.call(
            "sendMessage", self._timeout, chat_id=chat, text=text, parse_mode=mode,
            message_thread_id=self._thread_id,
            link_preview_options={"is_disabled": True}, **fields,
        )  # fmt: skip
        return number_of(mapping_of(result).get("message_id")) or None

    async def turn(self) -> None:
        """Wait until the limits allow another edit. Raises NotifyError."""
        await self._bot.turn(self._bot.chat(self._chat_id))

    async def edit(self, message_id: int, html: str, keyboard: Mapping[str, Any]) -> None:
        """Replace the text and the buttons of a message, after :meth:`turn`. Raises NotifyError."""
        chat = self._bot.chat(self._chat_id)
        await self._bot.call(
            "editMessageText", self._timeout, chat_id=chat, message_id=message_id, text=html,
            parse_mode="HTML", link_preview_options={"is_disabled": True}, reply_markup=keyboard,
        )  # fmt: skip

    async def answer(self, query: Mapping[str, Any], text: str, *, loud: bool = False) -> None:
        """Answer a press of a button.

        Args:
            query: the press, as Telegram reported it.
            text: what to show to the person who pressed.
            loud: whether the person has to confirm the text.

        Raises:
            NotifyError: Telegram did not accept the answer; it does so only for some seconds.
        """
        await self._bot.call(
            "answerCallbackQuery", self._timeout, callback_query_id=text_of(query.get("id")),
            text=fit(text, 190), show_alert=loud or None,
        )  # fmt: skip


def reply_to(reference: str | None) -> Mapping[str, Any] | None:
    """Return the parameter for a reply to a message; None if the reference is not of Telegram."""
    if not reference or not reference.isdecimal() or len(reference) > 18:
        return None
    return {"message_id": int(reference), "allow_sending_without_reply": True}
