"""The ``tocsin`` command."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.core.cli.last_resort import leave
from tocsin.core.plugin.own_commands import COMMANDS

_ELSEWHERE = {"ack": "alerts"}
"""Commands that are in the module of another one."""

if TYPE_CHECKING:
    from tocsin.core.plugin.manager import PluginManager


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            plugins = self._plugins(ctx)
            if args[0].startswith("-") or plugins is None:
                raise
            if (why := plugins.missing(args[0])) is None:
                raise
            from tocsin.core.hiding import clean

            raise click.UsageError(f"No such command {args[0]!r}: {clean(why)}", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, EOFError):
            raise
        except Exception as error:
            name = ctx.invoked_subcommand
            plugins = None if name in COMMANDS else self._plugins(ctx)
            entry = None if plugins is None else plugins.command_entries.get(str(name))
            is_broken_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
            if entry is None or is_broken_pipe or os.environ.get("TOCSIN_DEBUG"):
                raise
            from tocsin.core.cli.context import Failure

            text = (
                f"plugin {entry.plugin} failed in its command {name!r} ({_short(error)}); {_DEBUG}"
            )
            raise Failure(text, 70) from error

    def _added(self, ctx: click.Context) -> list[click.Command]:
        plugins = self._plugins(ctx)
        return [] if plugins is None else plugins.commands

    def _plugins(self, ctx: click.Context) -> PluginManager | None:
        """Return the plugins; None if their configuration cannot be read."""
        from tocsin.core.cli.context import Context, Failure

        context = ctx.obj if isinstance(ctx.obj, Context) else Context()
        try:
            return context.plugins()
        except Failure:
            return None


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


_DEBUG = "set TOCSIN_DEBUG=1 for a traceback"


def _short(error: Exception) -> str:
    """Return the class and the message of an error, in one line without secrets."""
    from tocsin.core.hiding import clean

    text = " ".join(clean(str(error)).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"


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
        click.echo(f"tocsin: internal error ({_short(error)}); {_DEBUG}", err=True)
        leave(70)
        sys.exit(70)
