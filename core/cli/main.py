"""The ``tocsin`` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tocsin.core.cli.alerts import ack, alerts
from tocsin.core.cli.check import check
from tocsin.core.cli.config import config
from tocsin.core.cli.context import Context, Failure
from tocsin.core.cli.doctor import doctor
from tocsin.core.cli.last_resort import leave
from tocsin.core.cli.logs import logs
from tocsin.core.cli.maintenance import maintenance
from tocsin.core.cli.new_plugin import new_plugin
from tocsin.core.cli.plugins import plugins
from tocsin.core.cli.replay import replay
from tocsin.core.cli.run import run
from tocsin.core.cli.silence import silence
from tocsin.core.cli.status import status
from tocsin.core.cli.test_notification import test_notification
from tocsin.core.cli.token import token
from tocsin.core.hiding import clean
from tocsin.core.plugin_manager import tocsin_version

COMMANDS = (
    run, check, status, alerts, ack, silence, maintenance, logs, replay, test_notification,
    plugins, config, token, new_plugin, doctor,
)  # fmt: skip


class _Group(click.Group):
    """Our commands; then, only for a name that is none of ours, those that plugins add."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        ours = super().get_command(ctx, name)
        if ours is not None:
            return ours
        return next((c for c in self._added(ctx) if c.name == name), None)

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = [str(c.name) for c in self._added(ctx)]
        return [str(c.name) for c in COMMANDS] + sorted({*added} - {*self.commands})

    def _added(self, ctx: click.Context) -> list[click.Command]:
        context = ctx.obj if isinstance(ctx.obj, Context) else Context()
        try:
            return context.plugins().commands
        except Failure:
            return []


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file [default: $TOCSIN_CONFIG, ./tocsin.toml, /etc/tocsin/tocsin.toml].",
)
@click.option("--no-external", is_flag=True, help="Load only the plugins that come with tocsin.")
@click.version_option(tocsin_version(), prog_name="tocsin")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, no_external: bool) -> None:
    """Watch containers, services, databases, backups and disks, and ring when one fails."""
    ctx.obj = Context(config=config, external=not no_external)


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line. A traceback is shown only with ``TOCSIN_DEBUG`` set."""
    try:
        cli.main(prog_name="tocsin")
    except SystemExit as end:
        leave(end.code)
        raise
    except Exception as error:
        if os.environ.get("TOCSIN_DEBUG"):
            raise
        text = " ".join(clean(str(error)).split()) or type(error).__name__
        click.echo(
            f"tocsin: a fault in tocsin itself ({type(error).__name__}: {text}); "
            "set TOCSIN_DEBUG=1 for the details",
            err=True,
        )
        leave(70)
        sys.exit(70)
