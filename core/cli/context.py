"""What every command shares: the console, the configuration, and how an error is told."""

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
from tocsin.core.hiding import clean, know

if TYPE_CHECKING:
    from tocsin.core.config import Settings
    from tocsin.core.plugin.manager import PluginManager


class Failure(click.ClickException):
    """A command failed; the message is one clear line. ``code`` is the exit status."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: object = None) -> None:
        """Write the line to standard error."""
        click.echo(f"tocsin: {clean(self.format_message(), lines=True, longest=64_000)}", err=True)


PIPED_WIDTH = 10_000
"""Columns where nobody looks on: what a program reads is not cut to the width of a screen."""


def _console() -> Console:
    return Console(highlight=False, width=None if is_terminal() else PIPED_WIDTH)


@define
class Context:
    """Options that stand before the command, and what is derived from them on demand."""

    config: Path | None = None
    external: bool = True
    env: Mapping[str, str] = field(factory=lambda: os.environ)
    console: Console = field(factory=_console)
    _plugins: PluginManager | None = None
    _settings: Settings | None = None

    @property
    def path(self) -> Path | None:
        """The configuration file in use, if any. Raises Failure when a named one is not there."""
        try:
            return find_config(self.config, self.env)
        except ConfigError as error:
            raise broken(error) from error

    def data_dir(self) -> Path:
        """The data directory of a running tocsin. No file has a say where the environment names
        it, and ./tocsin.toml only if it is named itself: the token would go wherever a directory
        that one happens to stand in says. Raises Failure."""
        try:
            path = None if self.env.get("TOCSIN_DATA_DIR") else self._named()
            return read_data_dir(path, self.env)
        except ConfigError as error:
            raise _unfound(error) from error

    def address(self) -> tuple[str | None, int | None]:
        """Host and port of the API as far as they are said. Raises Failure."""
        try:
            return read_address(self._named(), self.env)
        except ConfigError as error:
            raise _unfound(error) from error

    def _named(self) -> Path | None:
        return find_config(self.config, self.env, here=False)

    @property
    def hint(self) -> str:
        """What to add where ./tocsin.toml might have been meant."""
        try:
            found = find_config(self.config, self.env)
        except ConfigError:
            return ""
        if not isinstance(found, FoundFile):
            return ""
        return f"; for what ./{found} says, name it: tocsin --config ./{found} …"

    def plugins(self) -> PluginManager:
        """The plugins, loaded once. Raises Failure."""
        from tocsin.core.plugin.manager import load_plugins  # what only asks does without it

        if self._plugins is None:
            try:
                self._plugins = load_plugins(self.path, self.env, external=self.external)
            except ConfigError as error:
                raise broken(error) from error
        return self._plugins

    def settings(self) -> Settings:
        """The configuration, loaded once. Raises Failure with every problem in it."""
        from tocsin.core.config import load_config  # the same

        if self._settings is None:
            try:
                self._settings = load_config(self.path, self.env, self.plugins())
                know(self._settings.secrets)
            except ConfigError as error:
                raise broken(error) from error
        return self._settings


def broken(error: ConfigError) -> Failure:
    """Say all that is wrong with a configuration, a line each."""
    lines = [str(problem) for problem in error.problems]
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return Failure("\n".join([f"the configuration has {count}:", *(f"  {x}" for x in lines)]), 2)


def _unfound(error: ConfigError) -> Failure:
    """Say why a running tocsin cannot be found, and how to do without the file."""
    remedy = "set TOCSIN_URL and TOCSIN_TOKEN, or TOCSIN_DATA_DIR: the file is not needed then"
    lines = [*(str(problem) for problem in error.problems), remedy]
    return Failure("\n  ".join(["where tocsin runs is not known:", *lines]), 2)


pass_context = click.make_pass_decorator(Context)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()
