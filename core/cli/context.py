"""What all commands share: the console, the configuration, and how errors are shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import define, field
from rich.console import Console

from tocsin.core.config import ConfigError, find_config, read_address, read_data_dir
from tocsin.core.config.find import FoundFile

if TYPE_CHECKING:
    from tocsin.core.config import Settings
    from tocsin.core.plugin.manager import PluginManager


class Failure(click.ClickException):
    """A command failed.

    Args:
        message: what is wrong and how to correct it.
        code: exit code.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: object = None) -> None:
        """Write the message to standard error."""
        from tocsin.core.hiding import clean  # imported late: most commands do not fail

        click.echo(f"tocsin: {clean(self.format_message(), lines=True, longest=64_000)}", err=True)


PIPED_WIDTH = 10_000
"""Width in columns if the output is no terminal, so that the reading program gets whole lines."""


def _console() -> Console:
    return Console(highlight=False, width=None if is_terminal() else PIPED_WIDTH)


@define
class Context:
    """The options before the command, and what is derived from them on demand."""

    config: Path | None = None
    external: bool = True
    env: Mapping[str, str] = field(factory=lambda: os.environ)
    console: Console = field(factory=_console)
    _plugins: PluginManager | None = None
    _settings: Settings | None = None

    @property
    def path(self) -> Path | None:
        """Return the configuration file in use, or None.

        Raises:
            Failure: the named file does not exist, or the one found may be another user's.
        """
        try:
            return find_config(self.config, self.env)
        except ConfigError as error:
            raise broken(error) from error

    def data_dir(self) -> Path:
        """Return the data directory of a running tocsin.

        ``TOCSIN_DATA_DIR`` takes precedence over any file. ./tocsin.toml counts only if it is named
        explicitly: otherwise the token could be sent to an address that a file in any current
        directory gives.

        Raises:
            Failure: the data directory cannot be determined.
        """
        try:
            path = None if self.env.get("TOCSIN_DATA_DIR") else self._named()
            return read_data_dir(path, self.env)
        except ConfigError as error:
            raise _unfound(error) from error

    def address(self) -> tuple[str | None, int | None]:
        """Return host and port of the API as far as they are configured.

        Raises:
            Failure: they cannot be determined.
        """
        try:
            return read_address(self._named(), self.env)
        except ConfigError as error:
            raise _unfound(error) from error

    def _named(self) -> Path | None:
        return find_config(self.config, self.env, here=False)

    @property
    def hint(self) -> str:
        """Return a hint for error messages if ./tocsin.toml, which was not named, has another data
        directory; such a file is used for everything but to find the running tocsin."""
        try:
            found = find_config(self.config, self.env)
            if not isinstance(found, FoundFile):
                return ""
            other = read_data_dir(found, self.env)
            if other == read_data_dir(self._named(), self.env):
                return ""
        except ConfigError:
            return ""
        return f"; ./{found} names {other}: to use that, write tocsin --config ./{found} …"

    def plugins(self, *, anew: bool = False) -> PluginManager:
        """Return the plugins, which are loaded once.

        Args:
            anew: whether to start the processes of third-party plugins of which is known what they
                offer.

        Raises:
            Failure: the configuration of plugins cannot be read.
        """
        # imported late: many commands do not need it
        from tocsin.core.plugin.manager import load_plugins

        if self._plugins is None:
            try:
                self._plugins = load_plugins(self.path, self.env, external=self.external, anew=anew)
            except ConfigError as error:
                raise broken(error) from error
        return self._plugins

    def settings(self) -> Settings:
        """Return the configuration, which is loaded once.

        Raises:
            Failure: it has errors; the message lists them all.
        """
        from tocsin.core.config import load_config  # imported late, too
        from tocsin.core.hiding import know

        if self._settings is None:
            try:
                self._settings = load_config(self.path, self.env, self.plugins())
                know(self._settings.secrets)
            except ConfigError as error:
                raise broken(error) from error
        return self._settings


def broken(error: ConfigError) -> Failure:
    """Return a Failure that lists all errors of a configuration, one per line."""
    lines = [str(problem) for problem in error.problems]
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return Failure("\n".join([f"the configuration has {count}:", *(f"  {x}" for x in lines)]), 2)


def _unfound(error: ConfigError) -> Failure:
    """Return a Failure that says why no running tocsin can be found, and what to set instead."""
    remedy = "set TOCSIN_URL and TOCSIN_TOKEN, or TOCSIN_DATA_DIR: the file is not needed then"
    lines = [*(str(problem) for problem in error.problems), remedy]
    return Failure("\n  ".join(["the running tocsin cannot be found:", *lines]), 2)


pass_context = click.make_pass_decorator(Context)


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()
