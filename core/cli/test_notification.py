"""The command ``tocsin test-notification``: sends a test message."""

from __future__ import annotations

import click
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, pass_context

PATIENCE = 180.0
"""Seconds for the answer of all channels, each of which has its own, shorter timeout."""


@click.command("test-notification")
@click.argument("channel", required=False)
@pass_context
def test_notification(context: Context, channel: str | None) -> None:
    """Send a test message through one CHANNEL or all; show the answers."""
    body = {} if channel is None else {"channel": channel}
    client = ApiClient(context)
    with context.console.status("waiting for the providers' answers"):
        report = client.send("POST", "/api/v1/test-notification", body, PATIENCE)
    items = report["items"]
    if not items:
        raise Failure("no channel is configured; add a [channels.NAME] table to tocsin.toml")
    for item in items:
        icon, style = ("✔", "green") if item["delivered"] else ("✖", "bold red")
        line = Text.assemble((f"{icon} ", style), (item["channel"], "bold"), f": {item['answer']}")
        context.console.print(line, soft_wrap=True)
    raise SystemExit(not all(item["delivered"] for item in items))
