"""The command ``tocsin replay``: which alerts a configuration would have raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tocsin.core.cli.alerts import LOOK
from tocsin.core.cli.check import isolation_for
from tocsin.core.cli.context import Context, Failure, broken, is_terminal, pass_context
from tocsin.core.cli.history_access import history_of
from tocsin.core.config import ConfigError, load_config
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.contracts.history_records import AlertFilter, AlertRecord
from tocsin.core.hiding import clean
from tocsin.core.monitor.replay import ACTIONS, Episode, Replay
from tocsin.core.units import format_count, format_duration, parse_duration

TELL_EVERY = 10.0
"""Seconds between two progress messages if there is no terminal for a progress bar."""


@click.command()
@click.option("--since", default="24h", show_default=True, help="How far back, such as 7d.")
@click.option(
    "--with", "new", type=click.Path(path_type=Path), metavar="FILE",
    help="The configuration to try [default: the one in force]; same as --config FILE replay.",
)  # fmt: skip
@click.option("--config", "also", type=click.Path(path_type=Path), hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def replay(
    context: Context, since: str, new: Path | None, also: Path | None, as_json: bool
) -> None:
    """Run rules on stored history and compare the resulting alerts with the actual ones."""
    try:
        seconds = parse_duration(since)
    except (ValueError, OverflowError) as error:
        raise Failure(f"--since: {error}", 2) from error
    settings = context.settings()
    chosen = new or also
    if chosen is not None:
        if not chosen.is_file():
            raise Failure(f"--config: there is no file {chosen}", 2)
        try:
            settings = load_config(chosen, context.env, context.plugins())
        except ConfigError as error:
            raise broken(error) from error
    until = _now()
    begin = until - timedelta(seconds=seconds)
    run = Replay(settings)
    try:
        real = asyncio.run(_run_hosts(context, run, begin, until))
    except (HistoryUnavailable, OSError) as error:
        raise Failure(f"history cannot be read: {error}") from error
    episodes = run.finish()
    for plugin, why in run.failures.items():
        click.echo(f"plugin {plugin}: {clean(why)}; its alerts may be missing", err=True)
    if as_json:
        context.console.print_json(data=_json(episodes, real, run.results))
        return
    if not run.results:
        context.console.print(f"There is no history of the last {since}.")
        return
    context.console.print(_table(episodes))
    context.console.print(_compare(episodes, real, run.results), style="dim")


def _now() -> datetime:
    return datetime.now(UTC)


async def _run_hosts(
    context: Context, run: Replay, since: datetime, until: datetime
) -> Sequence[AlertRecord]:
    """Run the replay, and the hosts of plugins that it needs."""
    isolation = isolation_for(run.settings, context.plugins())
    watcher = asyncio.create_task(isolation.watch())
    try:
        return await _run(context, run, since, until)
    finally:
        watcher.cancel()
        await isolation.stop()


async def _run(
    context: Context, run: Replay, since: datetime, until: datetime
) -> Sequence[AlertRecord]:
    async with history_of(context) as history:
        total = (until - since).total_seconds()
        screen = Console(stderr=True)
        with Progress(
            TextColumn("replaying"), BarColumn(), TimeRemainingColumn(),
            console=screen, transient=True, disable=not screen.is_terminal,
        ) as progress:  # fmt: skip
            task = progress.add_task("replay", total=total)
            tell_at = time.monotonic() + TELL_EVERY
            async for at in run.run(history.past(since, until, ACTIONS)):
                done = (at - since).total_seconds()
                progress.update(task, completed=done)
                if not screen.is_terminal and time.monotonic() >= tell_at:
                    click.echo(f"replaying: {done / total:.0%}".replace("%", " %"), err=True)
                    tell_at = time.monotonic() + TELL_EVERY
        return await history.alerts(AlertFilter(since=since, until=until, limit=10_000))


def _table(episodes: list[Episode]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=is_terminal())
    for name in ("", "alert", "target", "fired", "lasted"):
        table.add_column(name, no_wrap=True)
    table.add_column("message", no_wrap=True, overflow="ellipsis", ratio=1)
    for episode in episodes:
        icon, style = LOOK[episode.severity.value]
        lasted = "still firing"
        if episode.resolved_at is not None:
            seconds = (episode.resolved_at - episode.fired_at).total_seconds()
            lasted = format_duration(max(1, int(seconds)))
        table.add_row(
            Text(icon, style),
            Text(episode.rule, style),
            Text(episode.target),
            f"{episode.fired_at:%Y-%m-%d %H:%M:%S} UTC",
            lasted,
            Text(episode.message),
        )
    return table


def _compare(episodes: list[Episode], real: Sequence[AlertRecord], results: int) -> str:
    fired = {(e.rule, e.target) for e in episodes}
    came = {(alert.rule, alert.target) for alert in real}
    words = [
        f"{format_count(len(episodes), 'alert')} from {format_count(results, 'result')}; "
        f"{format_count(len(real), 'alert')} actually fired."
    ]
    if more := sorted(fired - came):
        words.append("New: " + ", ".join(f"{r} on {t}" for r, t in more[:20]) + ".")
    if less := sorted(k for k in came - fired if k[0] not in ("monitor_impaired", "plugin_failed")):
        words.append("Gone: " + ", ".join(f"{r} on {t}" for r, t in less[:20]) + ".")
    return " ".join(words)


def _json(episodes: list[Episode], real: Sequence[AlertRecord], results: int) -> dict[str, Any]:
    return {
        "results": results,
        "alerts": [
            {
                "rule": e.rule,
                "target": e.target,
                "severity": e.severity.value,
                "message": e.message,
                "fired_at": e.fired_at.isoformat(),
                "resolved_at": None if e.resolved_at is None else e.resolved_at.isoformat(),
                "flaps": e.flaps,
            }
            for e in episodes
        ],
        "real": [
            {
                "rule": alert.rule,
                "target": alert.target,
                "fired_at": alert.created_at.isoformat(),
                "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
            }
            for alert in real
        ],
    }
