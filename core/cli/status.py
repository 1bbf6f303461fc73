"""The command ``tocsin status``: the whole system on one page."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, is_terminal, pass_context
from tocsin.core.units import format_duration

LOOK = {
    "up": ("●", "green"),
    "degraded": ("▲", "yellow"),
    "down": ("✖", "bold red"),
    "unknown": ("?", "magenta"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the API's answers as JSON.")
@click.option("-w", "--watch", is_flag=True, help="Refresh every two seconds.")
@click.option("--all", "everything", is_flag=True, help="Also show the checks of each target.")
@pass_context
def status(context: Context, as_json: bool, watch: bool, everything: bool) -> None:
    """Show every target, worst first. Exit status: 0 up, 1 degraded, 2 down, 3 unknown."""
    client = ApiClient(context)
    if as_json:
        summary, targets, containers = _ask(client)
        answer = {"summary": summary, "targets": targets, "containers": list(containers.values())}
        context.console.print_json(data=answer)
        raise SystemExit(_exit_code(summary))
    if not watch:
        summary, targets, containers = _ask(client)
        context.console.print(_page(summary, targets, containers, everything))
        raise SystemExit(_exit_code(summary))
    with Live(console=context.console, screen=context.console.is_terminal) as live:
        while True:
            try:
                live.update(_page(*_ask(client), everything))
            except Failure as failure:
                live.update(Text(failure.format_message(), "red"))
            time.sleep(2)


def _ask(
    client: ApiClient,
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, dict[str, Any]]]:
    summary = client.get("/api/v1/status")
    containers = {item["name"]: item for item in every(client, "/api/v1/containers")}
    return summary, every(client, "/api/v1/targets"), containers


def every(client: ApiClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return all items of a paginated list."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get(path, limit=1000, cursor=cursor, **params)
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


def _exit_code(summary: dict[str, Any]) -> int:
    counts = summary["targets"]
    return next(
        (code for word, code in (("down", 2), ("unknown", 3), ("degraded", 1)) if counts[word]), 0
    )


def _page(
    summary: dict[str, Any],
    targets: list[dict[str, Any]],
    containers: dict[str, dict[str, Any]],
    everything: bool,
) -> Group:
    counts = summary["targets"]
    parts = [Text(f"{LOOK[word][0]} {counts[word]} {word}", LOOK[word][1]) for word in LOOK]
    score = summary.get("health_score")
    head = Text("   ").join([*parts, Text(f"health {score:.0f}%" if score is not None else "")])
    if not targets:
        return Group(head, Text("Nothing is watched yet: start a container, or declare a target."))
    table = Table(box=None, pad_edge=False, header_style="dim", expand=is_terminal())
    for column in ("", "target", "up for", "restarts", "cpu", "memory", "message"):
        wide = column == "message"
        table.add_column(
            column,
            justify="left" if column in ("", "target") or wide else "right",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if wide else None,
        )
    order = {"down": 0, "degraded": 1, "unknown": 2, "up": 3}
    for item in sorted(targets, key=lambda t: (order[t["status"]], t["name"])):
        _add(table, item, containers.get(item["name"], {}))
        if everything:
            for check in item.get("checks", []):
                _add_check(table, check)
    return Group(head, Text(""), table)


def _add(table: Table, item: dict[str, Any], container: dict[str, Any]) -> None:
    icon, style = LOOK[item["status"]]
    uptime, restarts = container.get("uptime_seconds"), container.get("restart_count")
    cpu, memory = container.get("cpu_percent"), container.get("memory_bytes")
    percent = container.get("memory_percent")
    name = escape(item["name"]) + (" [bold]*[/]" if item.get("critical") else "")
    table.add_row(
        Text(icon, style),
        name,
        "" if uptime is None else format_duration(uptime),
        "" if restarts is None else str(restarts),
        "" if cpu is None else f"{cpu:.1f}%",
        "" if memory is None else size(memory) + (f" {percent:.0f}%" if percent else ""),
        Text(item.get("message") or "", style if item["status"] != "up" else "dim"),
    )


def _add_check(table: Table, check: dict[str, Any]) -> None:
    icon, style = LOOK[check["status"]]
    latency = check.get("latency_seconds")
    table.add_row(
        "",
        Text(f"  {icon} {check['name']}", style),
        "", "", "",
        "" if latency is None else f"{latency * 1000:.0f} ms",
        Text(check.get("message") or "", "dim"),
    )  # fmt: skip


def size(count: float) -> str:
    """Format bytes for a narrow column, without the decimal of ``format_bytes``: ``340 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
