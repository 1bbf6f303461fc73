"""Prints each file that is opened and each module that is imported between an alert and its
channels, in a process in which nothing was sent before.

    python -m tests.messages.opened DIRECTORY
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.contexts import contexts
from tocsin import LogLine, NotifyError, Severity, Status, TargetStatus
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.message import Kind, Message, Notice
from tocsin.core.ids import new_id
from tocsin.core.notify import Enricher
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.templates.renderer import Renderer

CONFIG = """
timezone = "Europe/Berlin"
[channels.mail]
notifier = "email"
host = "localhost"
port = {port}
to = ["ann@example.org"]
[channels.chat]
notifier = "telegram"
token = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
chat_id = 5
api_url = "http://localhost:{port}"
[channels.hook]
notifier = "webhook"
url = "http://localhost:{port}/"
allow_private = true
[channels.safe]
notifier = "webhook"
url = "https://localhost:{port}/"
allow_private = true
"""
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ok":true,"result":1}'


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take whatever comes: HTTP, or mail from who waits for a greeting."""
    try:
        first = await asyncio.wait_for(reader.read(1), 0.5)
    except TimeoutError:
        writer.write(b"220 here\r\n")
        is_data = False
        while line := await reader.readline():
            if is_data and line != b".\r\n":
                continue
            is_data = line.upper().startswith(b"DATA")
            writer.write(b"354 go on\r\n" if is_data else b"250 yes\r\n")
    else:
        if first == b"P":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
            await reader.read()
    writer.close()


def message(channel: str, *kinds: Kind) -> Message:
    """What there is to tell."""
    now = datetime.now(UTC)
    notices = tuple(
        Notice(
            id=new_id(), alert=new_id(), kind=kind, rule="container_down", target="wéb",
            severity=Severity.CRITICAL, message="down", at=now, since=now, downtime=5.0,
            target_kind="container",
        )
        for kind in kinds
    )  # fmt: skip
    return Message(id=new_id(), channel=channel, notices=notices, created_at=now)


async def send_all(settings: Settings) -> None:
    """Send by every channel."""
    enrich = Enricher(
        Renderer(settings.messages.templates, declared=settings.messages.declared),
        settings.timezone,
    )
    row = TargetStatus(target="é", kind="container", status=Status.DOWN, since=datetime.now(UTC))
    enrich.target_statuses = lambda: (row,)

    async def logs(_: str, __: int) -> list[LogLine]:
        return [LogLine(text="a line ü", at=datetime.now(UTC))]

    enrich.logs = logs
    enrich.actions = lambda _: ("logs",)
    # Whom a name belongs to is looked up in files each time.
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)
    sys.addaudithook(_report)
    for name, channel in settings.channels.items():
        assert channel.notifier is not None
        runtime = await channel.notifier.open(contexts().of(channel.plugin or "", name))
        for kinds in ([Kind.FIRED], [Kind.RESOLVED], [Kind.FIRED, Kind.RESOLVED]):
            enriched = await enrich(message(name, *kinds), channel.notifier)
            try:
                receipt = await runtime.send(enriched)
                sys.stdout.write(f"sent {receipt.answer}\n")
            except NotifyError as error:
                sys.stdout.write(f"not sent: {error}\n")


def _report(event: str, args: tuple[Any, ...]) -> None:
    if event == "import" or (event == "open" and isinstance(args[0], str | bytes)):
        sys.stdout.write(f"{event} {args[0]!s}\n")


async def main(directory: Path) -> None:
    """Load a configuration, then send."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    plugins = PluginManager(PluginSettings())
    plugins.load()
    config = directory / "tocsin.toml"
    config.write_text(CONFIG.format(port=server.sockets[0].getsockname()[1]))
    await send_all(load_config(config, {"TOCSIN_DATA_DIR": str(directory)}, plugins))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
