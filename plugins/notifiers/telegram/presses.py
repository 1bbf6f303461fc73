"""Buttons: random tokens, each of which stands for one action on one alert and works once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

MOST = 2000
"""Maximum number of tokens that are remembered; the oldest are removed first."""


class Action(StrEnum):
    """What a button does."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    LOGS = "logs"
    RESTART = "restart"


LABELS = {
    Action.ACKNOWLEDGE: "✔️ Acknowledge",
    Action.SILENCE: "🔕 Silence 1 h",
    Action.LOGS: "📜 Logs",
    Action.RESTART: "🔄 Restart",
}

SIGNS = {
    Action.ACKNOWLEDGE: "✔️",
    Action.SILENCE: "🔕 1 h",
    Action.LOGS: "📜",
    Action.RESTART: "🔄",
}
"""Labels if each of several alerts has a row; the first in a row also has the target's name."""

LONGEST_LABEL = 24


@define(eq=False)
class Offer:
    """The buttons of one alert; ``actions`` are those that are still offered."""

    alert: UUID
    target: str
    actions: list[Action]

    def begin(self, action: Action) -> None:
        """Stop offering an action that has begun, except logs."""
        if action is not Action.LOGS and action in self.actions:
            self.actions.remove(action)

    def give_back(self, action: Action) -> None:
        """Offer an action again that was not done."""
        self.actions = [a for a in Action if a is action or a in self.actions]

    def short_label(self, action: Action) -> str:
        """Return a button's text if several alerts have a row each."""
        if action is not self.actions[0]:
            return SIGNS[action]
        name, half = self.target, LONGEST_LABEL // 2
        if len(name) > LONGEST_LABEL:  # the end distinguishes replicas
            name = f"{name[: half - 1]}…{name[-half:]}"
        return f"{SIGNS[action]} {name}"


@define(eq=False)
class Card:
    """A message with buttons. ``notes`` say who did what; ``editing`` is held during an edit."""

    lines: list[str]
    offers: list[Offer]
    notes: list[str] = field(factory=list)
    editing: asyncio.Lock = field(factory=asyncio.Lock)


@frozen
class Press:
    """The meaning of a token."""

    card: Card
    offer: Offer
    action: Action


@define(eq=False)
class Presses:
    """The valid tokens, kept in memory only: after a restart of tocsin old buttons do nothing."""

    _given: dict[str, Press] = field(factory=dict)

    def keyboard(self, card: Card) -> dict[str, Any]:
        """Return a keyboard with new tokens; older ones are valid until it is :meth:`shown`."""
        several = len(card.offers) > 1
        rows = []
        for offer in card.offers:
            buttons = []
            for action in offer.actions:
                token = secrets.token_urlsafe(18)
                self._given[token] = Press(card, offer, action)
                label = offer.short_label(action) if several else LABELS[action]
                buttons.append({"text": label, "callback_data": token})
            width = len(Action) if several else 2
            rows += [buttons[at : at + width] for at in range(0, len(buttons), width)]
        while len(self._given) > MOST:
            del self._given[next(iter(self._given))]
        return {"inline_keyboard": rows}

    def shown(self, card: Card, keyboard: dict[str, Any]) -> None:
        """Invalidate the card's other tokens, since people now see this keyboard."""
        seen = {b["callback_data"] for row in keyboard["inline_keyboard"] for b in row}
        for token in [t for t, press in self._given.items() if press.card is card]:
            if token not in seen:
                del self._given[token]

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and token in self._given

    def take(self, token: str) -> Press | None:
        """Return the meaning of a token and invalidate it; None if it is no longer offered."""
        press = self._given.pop(token, None)
        return press if press is not None and press.action in press.offer.actions else None


def person(who: Mapping[str, Any]) -> str:
    """Return a person's name for the audit: the chosen name and the id, which never changes."""
    names = [who.get("username"), who.get("first_name"), "somebody"]
    said = next(name for name in names if name and isinstance(name, str))
    shown = "".join(c for c in said if c.isprintable())[:40]
    return f"{shown} (Telegram {who.get('id')})"
