"""Commands and plugins in hosts: which start them, and which do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.installed import install

pytestmark = pytest.mark.slow

SOURCE = """
    import click
    open({marker!r}, "a").write("x")
    def even(_, attribute, value):
        if value % 2: raise ValueError("must be even")
    @frozen(kw_only=True)
    class Odd(Probe):
        size: int = field(default=2, validator=even)
        async def check(self, target): return Result.up("fine")
    @hookimpl
    def tocsin_probes(): return {{"odd": Odd}}
    @click.command()
    def greet():
        '''Greet.'''
        click.echo("hello")
    @hookimpl
    def tocsin_commands(): return [greet]
"""


class Shell:
    """Runs tocsin's commands where a third-party distribution is installed."""

    def __init__(self, site: Path, home: Path) -> None:
        self.home, self.marker = home, home / "imported"
        install(site, SOURCE.format(marker=str(self.marker)))
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home),
                    "PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
                    "TOCSIN_DATA_DIR": str(home / "data")}  # fmt: skip
        (home / "tocsin.toml").write_text(
            '[sources.docker]\nenabled = false\n[targets.web.checks.odd]\nprobe = "odd"\nsize = 3\n'
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "-c", "from tocsin.core.cli.main import main; main()", *arguments],
            env=self.env, cwd=self.home, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def imports(self) -> int:
        """Return how often the plugin was imported."""
        return len(self.marker.read_text()) if self.marker.exists() else 0


@pytest.fixture
def shell(site: Path, tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(site, home)


def test_commands_that_ask_start_no_host(shell: Shell) -> None:
    """``--help`` and what asks the running tocsin import no third-party plugin, even where nothing
    is known of it yet."""
    for command in (
        ("--help",),
        ("status",),
        ("alerts",),
        ("silence", "--help"),
        ("run", "--help"),
    ):
        shell.run(*command)
        assert shell.imports() == 0, command


def test_listing_plugins_starts_each_once(shell: Shell) -> None:
    """The first ``tocsin plugins`` starts a host; the second knows what it found."""
    listed = json.loads(shell.run("plugins", "--json").stdout)
    assert next(p for p in listed if p["name"] == "strange")["status"] == "ok"
    assert shell.imports() == 1
    again = shell.run("plugins", "strange")
    assert "odd" in again.stdout
    assert shell.imports() == 1


def test_a_command_of_a_plugin_imports_its_plugin_alone(shell: Shell) -> None:
    """It is found by what is known, and runs in the caller's process."""
    assert shell.run("greet").stdout == "hello\n"
    assert shell.imports() == 2  # for what it offers, and for the command
    assert shell.run("greet").stdout == "hello\n"
    assert shell.imports() == 3


def test_the_configuration_is_checked_by_the_plugin(shell: Shell) -> None:
    """``config check`` says what only the plugin's own code refuses, and ``check`` runs it."""
    done = shell.run("--config", "tocsin.toml", "config", "check")
    assert done.returncode != 0
    assert "targets.web.checks.odd.size: must be even" in done.stdout + done.stderr
    text = (shell.home / "tocsin.toml").read_text().replace("size = 3", "size = 4")
    (shell.home / "tocsin.toml").write_text(text)
    assert shell.run("--config", "tocsin.toml", "config", "check").returncode == 0
    done = shell.run("--config", "tocsin.toml", "check")
    assert "fine" in done.stdout
    assert done.returncode == 0
