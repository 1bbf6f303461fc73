"""The command ``tocsin plugins``: lists plugins with their status and options."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, pass_context

STYLE = {"ok": "green", "failed": "bold red", "disabled": "dim"}


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--live",
    is_flag=True,
    help="Query the running tocsin, which knows what failed since its start.",
)
@pass_context
def plugins(context: Context, name: str | None, as_json: bool, live: bool) -> None:
    """List plugins; with NAME, one plugin and its options. Exit status 1 if one has failed."""
    if live:
        items: list[dict[str, Any]] = ApiClient(context).get("/api/v1/plugins", limit=1000)["items"]
    else:
        import msgspec  # imported late: the running tocsin gives its answer without

        from tocsin.core.http.admin import plugin_view

        items = [msgspec.to_builtins(plugin_view(r)) for r in context.plugins().records]
    if name is not None:
        items = [item for item in items if item["name"] == name]
        if not items:
            raise Failure(f"no plugin is called {name!r}; 'tocsin plugins' lists them")
    if as_json:
        context.console.print_json(data=items)
    elif name is None:
        context.console.print(_table(items))
    else:
        context.console.print(_table(items))
        for remark in items[0]["remarks"]:
            context.console.print(Text(f"it {remark}", "yellow"))
        for provided in items[0]["provides"]:
            context.console.print()
            context.console.print(
                Text.assemble(
                    (f"{provided['kind']} {provided['name']}", "bold"), f": {provided['summary']}"
                )
            )
            if provided.get("table") is not None:
                context.console.print(Text(f"  in tocsin.toml: {provided['table']}"))
            if provided["options"]:
                context.console.print(_options(provided["options"]))
    raise SystemExit(1 if any(item["status"] == "failed" for item in items) else 0)


def _table(items: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("plugin", "kind", "from", "version", "status", "about"):
        table.add_column(column)
    for item in items:
        about = item["reason"] or "; ".join(
            [*(p["summary"] for p in item["provides"] if p["summary"]), *item["remarks"]]
        )
        table.add_row(
            Text(item["name"]),
            ", ".join(item["kinds"]),
            Text(item["distribution"] or ""),
            item["version"] or "",
            Text(item["status"], STYLE[item["status"]]),
            Text(about, "red" if item["status"] == "failed" else ""),
        )
    return table


def _options(options: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("  option", "type", "default"):
        table.add_column(column)
    for option in options:
        default = "required" if option["required"] else _default(option)
        table.add_row(f"  {option['name']}", Text(option["type"]), Text(default))
    return table


def _default(option: dict[str, Any]) -> str:
    """Return the default of an option as people write it in ``tocsin.toml``."""
    from tocsin.core.units import format_bytes, format_duration, parse_duration, parse_size

    value = option["default"]
    if isinstance(value, int | float) and option["type"].split(" | ")[0] in ("duration", "size"):
        if option["type"].startswith("duration"):
            text = format_duration(value).replace(" ", "")
            same = parse_duration(text) == value
        else:
            text = format_bytes(value, 1000 if value % 1000 == 0 else 1024).replace(".0 ", " ")
            same = parse_size(text) == value
        return repr(text) if same else f"{value:g}"
    return repr(value)
