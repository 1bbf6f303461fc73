"""Handling of presses: do what a button stands for, and show in the message who did it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from attrs import define

from tocsin import ActionError, Controls, NotifyError
from tocsin.plugins.notifiers.telegram.bot import mapping_of, number_of, patiently, text_of
from tocsin.plugins.notifiers.telegram.chat import Chat, reply_to
from tocsin.plugins.notifiers.telegram.html import LIMIT, fit, log_text, parts, units
from tocsin.plugins.notifiers.telegram.presses import Action, Card, Press, Presses, person

LOG_LINES = 30
"""Number of log lines that a button shows."""

USED = "This button was used already, or is from before a restart of tocsin."

_DONE = {Action.ACKNOWLEDGE: "✔️", Action.SILENCE: "🔕", Action.RESTART: "🔄"}


@define(eq=False)
class PressHandler:
    """Handles the presses of one channel's buttons.

    Attributes:
        allowed_users: ids of the people who may use buttons.
        chat: the chat of the messages.
        presses: what the buttons stand for.
        timezone: name of the time zone of times in messages.
    """

    _allowed_users: tuple[int, ...]
    _chat: Chat
    _presses: Presses
    timezone: str = "UTC"

    async def handle(self, query: Mapping[str, Any], controls: Controls) -> None:
        """Do what a button stands for, if the person may; answer, and update the message.

        Args:
            query: the press, as Telegram reported it.
            controls: performs the actions.

        Raises:
            NotifyError: the press could not be answered.
        """
        who = mapping_of(query.get("from"))
        if who.get("id") not in self._allowed_users:
            await self._chat.answer(
                query, "You are not among the people who may do this.", loud=True
            )
            return
        press = self._presses.take(str(query.get("data")))
        if press is None:
            await self._chat.answer(query, USED, loud=True)
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
                at = datetime.now(UTC).astimezone(ZoneInfo(self.timezone))
                about = f"{offer.target}: " if len(card.offers) > 1 else ""
                note = f"{_DONE[press.action]} {about}{text} at {at:%H:%M %Z}"
                card.notes.append(f"<i>{escape(fit(note, 300))}</i>")
        try:
            await self._chat.answer(query, text, loud=failed)
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

    async def _say(
        self, html: str, message: Mapping[str, Any], keyboard: Mapping[str, Any] | None = None
    ) -> None:
        """Reply to the message whose button was pressed."""
        reply = reply_to(text_of(message.get("message_id")))
        await self._chat.send(html, reply_parameters=reply, reply_markup=keyboard)

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
        await self._chat.turn()
        notes = "\n".join(["", "", *card.notes]) if card.notes else ""
        keyboard = self._presses.keyboard(card)
        text = parts(card.lines, 1, LIMIT - units(notes))[0] + notes
        await self._chat.edit(number_of(message.get("message_id")), text, keyboard)
        self._presses.shown(card, keyboard)
