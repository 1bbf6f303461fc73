"""Buttons: opaque tokens that stand for one action on one alert, each good for one press."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

MOST = 2000
"""Tokens that are remembered; the oldest go first."""


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


@define(eq=False)
class Card:
    """A message with buttons. ``notes`` say who did what; ``actions`` are still to be had."""

    alert: UUID
    target: str
    lines: list[str]
    actions: list[Action]
    notes: list[str] = field(factory=list)


@frozen
class Press:
    """What a token stands for."""

    card: Card
    action: Action


@define(eq=False)
class Presses:
    """The tokens given out, in memory alone: a press after a restart of tocsin does nothing."""

    _given: dict[str, Press] = field(factory=dict)

    def keyboard(self, card: Card) -> dict[str, Any]:
        """A fresh inline keyboard; tokens given out for the card before are void."""
        for token in [t for t, press in self._given.items() if press.card is card]:
            del self._given[token]
        buttons = []
        for action in card.actions:
            token = secrets.token_urlsafe(18)
            self._given[token] = Press(card, action)
            buttons.append({"text": LABELS[action], "callback_data": token})
        while len(self._given) > MOST:
            del self._given[next(iter(self._given))]
        return {"inline_keyboard": [buttons[at : at + 2] for at in range(0, len(buttons), 2)]}

    def __contains__(self, token: object) -> bool:
        return token in self._given

    def take(self, token: str) -> Press | None:
        """What a token stands for, once."""
        return self._given.pop(token, None)
