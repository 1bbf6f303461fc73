"""The command ``tocsin silence``: suppresses notifications for a limited time."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

import click
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, pass_context


@click.group()
def silence() -> None:
    """Silence alerts for a limited time; list and end silences."""


@silence.command()
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "duration", metavar="DURATION", help="Length, such as 2h.")
@click.option("--until", metavar="TIME", help="End, such as 2026-01-15T18:00:00Z.")
@click.option("-m", "--comment", default="", help="Reason for the silence.")
@pass_context
def add(
    context: Context,
    matchers: tuple[str, ...],
    duration: str | None,
    until: str | None,
    comment: str,
) -> None:
    """Silence the alerts that match all MATCHERS, such as target=web* rule!=disk_space_low."""
    if (duration is None) == (until is None):
        raise Failure(
            "give the length or the end: either --for 2h or --until 2026-01-15T18:00:00Z", 2
        )
    length = {"duration": duration} if duration is not None else {"until": until}
    body = {"matchers": list(matchers), "comment": comment, **length}
    made = ApiClient(context).send("POST", "/api/v1/silences", body)
    click.echo(f"{', '.join(made['matchers'])} is silenced until {when(made['ends_at'])}")
    click.echo(f"to end it earlier: tocsin silence end {made['id'][-8:]}")


@silence.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """List silences."""
    items = ApiClient(context).get("/api/v1/silences")["items"]
    if as_json:
        context.console.print_json(data={"items": items})
        return
    if not items:
        context.console.print("Nothing is silenced; see also 'tocsin maintenance list'.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("state", "matches", "until", "by", "id", "comment"):
        table.add_column(name)
    for item in items:
        table.add_row(
            item["state"],
            Text(", ".join(item["matchers"])),
            when(item["ends_at"]),
            Text(item["created_by"]),
            Text(item["id"][-8:], "dim"),
            Text(item["comment"]),
        )
    context.console.print(table)


@silence.command()
@click.argument("silence_id", metavar="SILENCE")
@pass_context
def end(context: Context, silence_id: str) -> None:
    """End a SILENCE (its id, or the end of it); alerts that are still firing are notified."""
    client = ApiClient(context)
    items = client.get("/api/v1/silences")["items"]
    found = [item["id"] for item in items if item["id"].endswith(silence_id.lower())]
    if len(found) != 1 or len(silence_id) < 4:
        raise Failure(
            f"no silence, or more than one, has an id that ends in {silence_id!r}; "
            "'tocsin silence list' shows them"
        )
    client.send("DELETE", f"/api/v1/silences/{quote(found[0], safe='')}")
    click.echo("the silence has ended")


def when(text: str) -> str:
    """Format a time of the API for people."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
