"""The ``tocsin`` command."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import click

from tocsin.core.cli.last_resort import leave

COMMANDS = {
    "run": "Monitor everything until SIGINT (Ctrl-C) or SIGTERM; SIGHUP reloads the configuration.",
    "check": "Run checks once, now, without a running tocsin.",
    "status": "Show every target, worst first.",
    "alerts": "List the firing alerts, newest first.",
    "ack": "Acknowledge an ALERT (its id, or the end of it); only its recovery is still notified.",
    "silence": "Silence alerts for a limited time; list and end silences.",
    "maintenance": "Plan maintenance windows, once or by a schedule; list and end them.",
    "logs": "Show the last lines of a target's log, oldest first; standard error in red.",
    "replay": "Run rules on stored history and compare the resulting alerts with the actual ones.",
    "test-notification": "Send a test message through one CHANNEL or all; show the answers.",
    "plugins": "List plugins; with NAME, one plugin and its options.",
    "config": "Check and show the configuration.",
    "token": "Create, list and revoke API tokens.",
    "new-plugin": "Create a folder tocsin-NAME with a working plugin, its tests and its packaging.",
    "doctor": "Check this installation and report what is missing.",
}
"""Commands of core with their help; the module of a command is imported only when it is used."""
_ELSEWHERE = {"ack": "alerts"}
"""Commands that are in the module of another one."""


class _Group(click.Group):
    """Looks up a command among those of core first, and only then among those of plugins."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            word = name.replace("-", "_")
            module = import_module(f"tocsin.core.cli.{_ELSEWHERE.get(name, word)}")
            command: click.Command = getattr(module, word)
            return command
        found = next((c for c in self._added(ctx) if c.name == name), None)
        load = getattr(found, "loaded", None)  # of a plugin that is not imported yet
        return found if load is None else load()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        from importlib.metadata import entry_points  # imported late: other commands do without

        # Listing the commands of plugins would import them, which may take long.
        if any(
            entry.dist and entry.dist.name != "tocsin" for entry in entry_points(group="tocsin")
        ):
            formatter.write_paragraph()
            formatter.write_text("Plugins may add commands: 'tocsin plugins' lists them.")

    def _added(self, ctx: click.Context) -> list[click.Command]:
        from tocsin.core.cli.context import Context, Failure

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
@click.version_option(package_name="tocsin", prog_name="tocsin")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, no_external: bool) -> None:
    """Monitor containers, services, databases, backups and disks, and raise alerts on failures."""
    from tocsin.core.cli.context import Context  # imported late: the help does not need it

    ctx.obj = Context(config=config, external=not no_external)


def main() -> None:
    """Run the command line. A traceback is shown only if ``TOCSIN_DEBUG`` is set."""
    try:
        cli.main(prog_name="tocsin")
    except SystemExit as end:
        leave(end.code)
        raise
    except Exception as error:
        if os.environ.get("TOCSIN_DEBUG"):
            raise
        from tocsin.core.hiding import clean

        text = " ".join(clean(str(error)).split()) or type(error).__name__
        click.echo(
            f"tocsin: internal error ({type(error).__name__}: {text}); "
            "set TOCSIN_DEBUG=1 for a traceback",
            err=True,
        )
        leave(70)
        sys.exit(70)
