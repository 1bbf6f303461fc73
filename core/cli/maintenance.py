"""The command ``tocsin maintenance``: windows in which notifications are suppressed."""

from __future__ import annotations

from urllib.parse import quote

import click
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, pass_context
from tocsin.core.cli.silence import when
from tocsin.core.units import format_duration


@click.group()
def maintenance() -> None:
    """Plan maintenance windows, once or by a schedule; list and end them."""


@maintenance.command()
@click.argument("name")
@click.argument("matchers", nargs=-1)
@click.option("--for", "duration", metavar="DURATION", required=True, help="Length, such as 2h.")
@click.option(
    "--schedule", metavar="CRON", help="When it opens, such as '0 3 * * 0' [default: once]."
)
@click.option(
    "--timezone", metavar="ZONE", help="Time zone of the schedule, such as Europe/Berlin."
)
@click.option("--start", metavar="TIME", help="Start, such as 2026-01-15T18:00:00Z [default: now].")
@click.option("--until", metavar="TIME", help="End of the schedule [default: in a year].")
@click.option("-m", "--comment", default="", help="Reason for the maintenance.")
@pass_context
def add(
    context: Context,
    name: str,
    matchers: tuple[str, ...],
    duration: str,
    schedule: str | None,
    timezone: str | None,
    start: str | None,
    until: str | None,
    comment: str,
) -> None:
    """Plan a window NAME for the alerts that match all MATCHERS (without any: for all alerts)."""
    given = {
        "name": name, "matchers": list(matchers), "duration": duration, "schedule": schedule,
        "timezone": timezone, "starts_at": start, "until": until, "comment": comment,
    }  # fmt: skip
    body = {key: value for key, value in given.items() if value is not None}
    made = ApiClient(context).send("POST", "/api/v1/maintenance", body)
    covers = ", ".join(made["matchers"]) or "everything"
    click.echo(f"maintenance {made['name']} of {covers}: {_state(made)}")
    click.echo(f"to end it: tocsin maintenance end {made['name']}")


@maintenance.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """List the windows from the configuration and those that were created through the API."""
    items = ApiClient(context).get("/api/v1/maintenance")["items"]
    if as_json:
        context.console.print_json(data={"items": items})
        return
    if not items:
        context.console.print("No maintenance is planned.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("name", "state", "matches", "schedule", "by", "comment"):
        table.add_column(name)
    for item in items:
        schedule = f"{item['schedule']} ({item['timezone']})" if item["schedule"] else "once"
        table.add_row(
            Text(item["name"]),
            _state(item),
            Text(", ".join(item["matchers"]) or "everything"),
            f"{schedule} for {format_duration(item['duration_seconds'])}",
            Text(item["created_by"] or "tocsin.toml"),
            Text(item["comment"]),
        )
    context.console.print(table)


@maintenance.command()
@click.argument("name")
@pass_context
def end(context: Context, name: str) -> None:
    """End the window NAME and remove it; alerts that are still firing are notified."""
    ApiClient(context).send("DELETE", f"/api/v1/maintenance/{quote(name, safe='')}")
    click.echo("the maintenance has ended")


def _state(item: dict[str, str | None]) -> str:
    if item["until"] is not None:
        return f"open until {when(item['until'])}"
    if item["next_start"] is not None:
        return f"opens {when(item['next_start'])}"
    return "does not open again"
