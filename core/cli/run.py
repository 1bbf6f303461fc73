"""The command ``tocsin run``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import click
from attrs import evolve

from tocsin.core.app import Tocsin
from tocsin.core.cli.context import Context, Failure, pass_context
from tocsin.core.cli.last_resort import LEAVE, LastResort
from tocsin.core.config import ConfigError
from tocsin.core.config.settings import Settings
from tocsin.core.config.variables import defined_channels
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.history.plugin import place_of
from tocsin.core.logs import configure, get_logger
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.resolver import lookups
from tocsin.core.resolver.guard import guard_lookups
from tocsin.core.runtime import descriptors, gc_tuning
from tocsin.core.runtime.data_dir import StartError, data_directory
from tocsin.core.runtime.disk import is_unwritable
from tocsin.core.runtime.owned import private_files
from tocsin.core.units import format_count

log = get_logger(__name__)

STOP_DEADLINE = 20.0
"""Seconds that an orderly stop may take."""

FEW_FILES = 4096
"""Limit of open files below which a warning is logged."""


@click.command()
@click.option("--no-dashboard", is_flag=True, help="Do not start the dashboard.")
@pass_context
def run(context: Context, no_dashboard: bool) -> None:
    """Monitor everything until SIGINT (Ctrl-C) or SIGTERM; SIGHUP reloads the configuration."""
    asked: list[int] = []
    # Until it has a handler, this signal would end the process.
    signal.signal(signal.SIGHUP, lambda number, _: asked.append(number))
    with private_files(), descriptors.raised_limit(), gc_tuning.held():
        _run(context, no_dashboard, asked)


def _run(context: Context, no_dashboard: bool, asked: Collection[int]) -> None:
    """Configure the log, lock the data directory and run; ``asked`` holds early reload signals."""
    context.plugins(anew=True)
    settings = context.settings()
    try:
        configure(settings.log, sys.stderr)
    except OSError as error:
        if not is_unwritable(error):
            raise Failure(
                f"the log file {settings.log.file} cannot be written ({error.strerror or error}); "
                "set [log] file or TOCSIN_LOG_FILE to a writable place, or unset it"
            ) from error
        configure(evolve(settings.log, file=None), sys.stderr)
        log.warning(
            "the log file cannot be written; it stays off until the next start", reason=str(error)
        )
    try:
        with data_directory(settings.data_dir):
            resort = LastResort()
            try:
                _runner()(_main(context, ["dashboard"] if no_dashboard else [], resort, asked))
            finally:
                resort.call_off()
    except StartError as error:
        raise Failure(str(error)) from error


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return uvloop's ``run`` if it is installed (``pip install tocsin[fast]``), else asyncio's."""
    try:
        import uvloop  # optional
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _main(
    context: Context, without: Collection[str], resort: LastResort, asked: Collection[int]
) -> None:
    """Run until stopped.

    Args:
        context: options of the command line.
        without: names of services that are not started.
        resort: ends the process if the stop takes too long.
        asked: reload signals that arrived during the start.
    """
    settings = context.settings()
    for warning in settings.warnings:
        log.warning(warning)
    if (limit := descriptors.limit()) < FEW_FILES:
        log.warning(
            "the limit of open files is low; fewer checks run at the same time",
            limit=limit, remedy="ulimit -n, LimitNOFILE",
        )  # fmt: skip
    guard_lookups(asyncio.get_running_loop())
    lookups.LOOKUPS.delivery.keep_ready()
    monitor = Tocsin(context.path, context.env, context.plugins(), settings, without=without)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    resort.watch(signal.SIGINT, signal.SIGTERM)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(monitor))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    starting = loop.create_task(monitor.start())
    stopping = loop.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _welcome(context, monitor)
            if asked:
                reload()
            gc_tuning.settle()
            await stopping
        click.echo("stopping")
    finally:
        starting.cancel()
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError, StartError):
            await starting
        try:
            async with asyncio.timeout(STOP_DEADLINE):
                await monitor.stop()
        except TimeoutError:
            log.error("stopping took too long; the process is ended", seconds=STOP_DEADLINE)
        resort.within(
            LEAVE, 0 if stop.is_set() else 70
        )  # the end of the event loop waits for threads


def _welcome(context: Context, monitor: Tocsin) -> None:
    settings = monitor.settings
    failed = [record for record in monitor.plugins.records if record.status == "failed"]
    targets, checks = settings.declared()
    besides = "".join(f", {check} (automatic)" for check in settings.automatic())
    lines = [
        f"tocsin {monitor.version} is watching",
        f"  API      {monitor.api_url}  (health: {monitor.api_url}/health)",
        *(f"  {name:<8} {url}" for name, url in monitor.services.urls().items()),
        f"  token    {monitor.data_dir / 'admin.token'}  (for the API; the CLI finds it)",
        f"  config   {context.path or 'none: containers are discovered automatically'}",
        f"  watching {format_count(targets, 'declared target')} with "
        f"{format_count(checks, 'check')}{besides}",
        f"  history  {_history(settings)}",
        f"  channels {_channels(settings, monitor.plugins)}",
        *(f"  plugin   {record.name} failed: {record.reason}" for record in failed),
    ]
    click.echo("\n".join(lines))  # in one write: who follows the output never reads half of it


def _history(settings: Settings) -> str:
    try:
        return f"in {place_of(settings.database)}"
    except HistoryUnavailable as error:
        return f"none is kept: {error}"


def _channels(settings: Settings, plugins: PluginManager) -> str:
    """Return the names of the channels, and the variables that further ones need."""
    names = ", ".join(settings.channels) or "none: no notifications are sent"
    there = {channel.notifier_name for channel in settings.channels.values()}
    missing = [
        f"{name} (set {' and '.join(variables)})"
        for name, variables in defined_channels(plugins.notifiers).items()
        if name not in there
    ]
    return f"{names}; not configured: {', '.join(missing)}" if missing else names


async def _reload(monitor: Tocsin) -> None:
    try:
        await monitor.reload()
    except ConfigError as error:
        log.error(
            "the new configuration has errors; the current one stays in force",
            problems=[str(problem) for problem in error.problems],
        )
