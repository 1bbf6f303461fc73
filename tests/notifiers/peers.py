"""The three providers at once, in a loop of their own beside a test that runs real processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.notifiers.bot_api import CHAT, TOKEN, BotApi
from tests.notifiers.mail import MailServer
from tests.notifiers.receiver import Receiver


@frozen
class Peers:
    """A Bot API, a mail server and a receiver of webhooks. ``loop`` is theirs."""

    bot: BotApi
    mail: MailServer
    hook: Receiver
    loop: asyncio.AbstractEventLoop

    def press(self, data: str) -> None:
        """Somebody presses a button."""
        self.loop.call_soon_threadsafe(lambda: self.bot.press(data, username="ann_ops"))

    @property
    def channels(self) -> str:
        """The tables of the three channels."""
        return (
            f'[channels.telegram]\ntoken = "{TOKEN}"\nchat_id = {CHAT}\nallowed_users = [42]\n'
            f'api_url = "{self.bot.url}"\n'
            f'[channels.email]\nhost = "127.0.0.1"\nport = {self.mail.port}\nsecurity = "none"\n'
            'to = ["ops@example.org"]\nsender = "tocsin@example.org"\n'
            f'[channels.hook]\nnotifier = "webhook"\nurl = "{self.hook.url}"\n'
            f'secret = "{self.hook.secret}"\nallow_private = true\n'
        )


@contextmanager
def peers(directory: Path, secret: str) -> Iterator[Peers]:
    """All three, as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Peers:
        made = Peers(BotApi(), MailServer(directory), Receiver(secret), loop)
        await made.bot.start()
        await made.mail.start()
        await made.hook.start()
        return made

    made = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        yield made
    finally:
        for stop in (made.bot.stop, made.mail.stop, made.hook.stop):
            asyncio.run_coroutine_threadsafe(stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
