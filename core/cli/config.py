"""The command ``tocsin config``: checks and shows the configuration."""

from __future__ import annotations

import click

from tocsin.core.cli.context import Context, pass_context
from tocsin.core.config import redacted
from tocsin.core.units import format_count


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@pass_context
def check(context: Context) -> None:
    """Report every error with its location. Exit status 2 if there is any."""
    settings = context.settings()
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    targets, checks = settings.declared()
    besides = "".join(f", {check} (automatic)" for check in settings.automatic())
    where = context.path or "no file: defaults and environment"
    found = f"{format_count(targets, 'target')}, {format_count(checks, 'check')}"
    click.echo(f"{where}: valid, {found}{besides}")


@config.command()
@pass_context
def show(context: Context) -> None:
    """Print the configuration in force as JSON, with defaults filled in and secrets hidden."""
    context.console.print_json(data=redacted(context.settings()))
