"""The command ``tocsin logs``."""

from __future__ import annotations

from urllib.parse import quote

import click
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, pass_context


@click.command()
@click.argument("target")
@click.option("-n", "--lines", default=100, show_default=True, help="Number of lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written (UTC).")
@pass_context
def logs(context: Context, target: str, lines: int, timestamps: bool) -> None:
    """Show the last lines of a target's log, oldest first; standard error in red."""
    path = f"/api/v1/targets/{quote(target, safe='')}/logs"
    for line in ApiClient(context).get(path, lines=lines)["items"]:
        stamp = f"{line['at']} " if timestamps and line.get("at") else ""
        style = "red" if line["stream"] == "stderr" else ""
        context.console.print(Text.assemble((stamp, "dim"), (line["text"], style)), soft_wrap=True)
