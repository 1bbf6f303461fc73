"""A telegram channel at a server of the tests, and people who press its buttons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from tests.notifiers.bot_api import CHAT, TOKEN, BotApi
from tocsin import ActionError, LogLine, Secret
from tocsin.plugins.notifiers.telegram import TelegramChannel, TelegramNotifier
from tocsin.plugins.notifiers.telegram.bot import bot_of

ANN = 42


def notifier_of(api: BotApi, **options: Any) -> TelegramChannel:
    options = {"token": Secret(TOKEN), "chat_id": CHAT, "allowed_users": (ANN,), **options}
    made = TelegramNotifier(api_url=api.url, **options)
    return TelegramChannel(made, bot_of(made.api_url, made.token))


class Desk:
    """Controls that note what was asked, in the words of the audit."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []
        self.refuse: str | None = None

    def _note(self, action: str, subject: object, by: str) -> str:
        if self.refuse:
            raise ActionError(self.refuse)
        self.done.append((action, str(subject), by))
        return f"{action} by {by}"

    async def acknowledge(self, alert: UUID, by: str) -> str:
        return self._note("acknowledged", alert, by)

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        return self._note(f"silenced for {seconds:g} s", alert, by)

    async def restart(self, target: str, by: str) -> str:
        return self._note("restarted", target, by)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        self.done.append(("logs", target, str(lines)))
        return [LogLine(text=f"<line> {n} & more") for n in range(lines)]


@asynccontextmanager
async def listening(notifier: TelegramChannel, desk: Desk) -> AsyncIterator[None]:
    task = asyncio.create_task(notifier.listen(desk))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
