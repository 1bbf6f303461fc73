"""A Bot API server, and a bot that does not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.notifiers.bot_api import BotApi


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    made = BotApi()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that does not wait for its turn, where the limits are not what is tested."""
    monkeypatch.setattr("tocsin.plugins.notifiers.telegram.bot.SPACING", 0.0)
    monkeypatch.setattr("tests.notifiers.bot_api.BotApi._limited", lambda *_: 0)
