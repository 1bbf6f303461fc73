"""The commands ``tocsin alerts`` and ``tocsin ack``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, is_terminal, pass_context
from tocsin.core.units import format_duration

LOOK = {
    "critical": ("✖", "bold red"),
    "warning": ("▲", "yellow"),
    "info": ("●", "cyan"),
}
_SENT = {"sent": "green", "queued": "cyan", "dead": "bold red"}


@click.command()
@click.argument("alert", required=False)
@click.option("--all", "everything", is_flag=True, help="Also list resolved alerts.")
@click.option("--target", help="Only alerts of this target.")
@click.option("-n", "--limit", default=50, show_default=True, help="Most alerts to list.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@pass_context
def alerts(
    context: Context,
    alert: str | None,
    everything: bool,
    target: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the firing alerts, newest first.

    With ALERT (an id, or its last characters), show that alert, and for each channel why it was
    notified or not. Exit status: 0 if no alert is firing, else 1.
    """
    client = ApiClient(context)
    if alert is not None:
        detail = client.get(f"/api/v1/alerts/{quote(find(client, alert), safe='')}")
        if as_json:
            context.console.print_json(data=detail)
        else:
            context.console.print(_one(detail))
        return
    path = "/api/v1/alerts" if everything else "/api/v1/alerts/active"
    page = client.get(path, limit=limit, target=target)
    if as_json:
        context.console.print_json(data=page)
    elif not page["items"]:
        context.console.print("No alerts." if everything else "No alert is firing.")
    else:
        context.console.print(_table(page["items"]))
    raise SystemExit(any(item["resolved_at"] is None for item in page["items"]))


def find(client: ApiClient, ending: str) -> str:
    """Return the id of the only alert whose id ends with this text.

    Raises:
        Failure: no alert or several alerts match, or the text is too short.
    """
    if len(ending) >= 32:
        return ending
    if len(ending) < 4:
        raise Failure("give at least the last four characters of the alert's id")
    items = client.get("/api/v1/alerts", limit=1000)["items"]
    found = [item["id"] for item in items if item["id"].endswith(ending.lower())]
    if len(found) != 1:
        count = "no alert" if not found else f"{len(found)} alerts"
        raise Failure(f"{count} among the last 1000 end in {ending!r}; 'tocsin alerts' lists them")
    return str(found[0])


def _since(text: str | None) -> str:
    if text is None:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    return format_duration(max(1, int(seconds)))


def _table(items: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=is_terminal())
    for name in ("", "alert", "target", "for", "state", "id"):
        table.add_column(name, no_wrap=True)
    table.add_column("message", no_wrap=True, overflow="ellipsis", ratio=1)
    for item in items:
        icon, style = LOOK[item["severity"]]
        resolved = item["resolved_at"] is not None
        if resolved:
            icon, style = "✔", "green"
        lasted = item["downtime_seconds"]
        age = format_duration(max(1, int(lasted))) if lasted else _since(item["created_at"])
        state = item["state"]
        if item["acknowledged_by"] and not resolved:
            state = f"ack {item['acknowledged_by']}"
        table.add_row(
            Text(icon, style),
            Text(item["alert_type"], style),
            Text(item["container_name"] or ""),
            age,
            Text(state, "dim" if state == "suppressed" else ""),
            Text(item["id"][-8:], "dim"),
            Text(item["message"]),
        )
    return table


def _one(detail: dict[str, Any]) -> Group:
    item = detail["alert"]
    icon, style = LOOK[item["severity"]]
    head = Text.assemble(
        (f"{icon} {item['severity']} ", style),
        (item["alert_type"], "bold"),
        " on ",
        (item["container_name"] or "", "bold"),
        f": {item['message']}",
    )
    lines = [head, Text(f"  id        {item['id']}", "dim")]
    lines.append(Text(f"  state     {item['state']}, fired {_when(item['created_at'])}"))
    if item["resolved_at"]:
        lasted = item["downtime_seconds"]
        after = f" after {format_duration(max(1, int(lasted)))}" if lasted else ""
        lines.append(Text(f"  resolved  {_when(item['resolved_at'])}{after}"))
    if item["acknowledged_by"]:
        by = f"  acked     by {item['acknowledged_by']}, {_when(item['acknowledged_at'])}"
        lines.append(Text(by))
    if item["suppressed_by"]:
        lines.append(Text(f"  muted     {item['suppressed_by']}"))
    if detail["affected"]:
        lines.append(Text(f"  affects   {', '.join(detail['affected'])}"))
    table = Table(box=None, pad_edge=False, header_style="dim", expand=is_terminal())
    for name in ("time", "change", "channel", "decision"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", ratio=1)
    for row in detail["ledger"]:
        why = row["reason"] or row["answer"]
        table.add_row(
            _when(row["created_at"]),
            row["transition"],
            Text(row["channel"]),
            Text(row["decision"], _SENT.get(row["decision"], "dim")),
            Text(why),
        )
    return Group(*lines, Text(""), table)


def _when(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


@click.command()
@click.argument("alert")
@click.option("-m", "--comment", default="", help="Comment on the acknowledgement.")
@click.option("--undo", is_flag=True, help="Withdraw the acknowledgement.")
@pass_context
def ack(context: Context, alert: str, comment: str, undo: bool) -> None:
    """Acknowledge an ALERT (its id, or the end of it); only its recovery is still notified."""
    client = ApiClient(context)
    word = "unacknowledge" if undo else "acknowledge"
    path = f"/api/v1/alerts/{quote(find(client, alert), safe='')}/{word}"
    done = client.send("POST", path, None if undo else {"comment": comment})
    what = "is no longer acknowledged" if undo else f"is acknowledged by {done['acknowledged_by']}"
    click.echo(f"{done['alert_type']} on {done['container_name']} {what}")
