"""Conformance suite for commands."""

from __future__ import annotations

import click
from click.testing import CliRunner

from tocsin.core.plugin.command_checks import is_async
from tocsin.core.plugin.own_commands import COMMANDS
from tocsin.core.shapes import is_name


def check_command_conformance(command: click.Command) -> None:
    """Check a plugin's command against its contract.

    Its name is one word that is no command of tocsin's own. It is no coroutine function, has a help
    text, which ``--help`` shows, as has each of its options; likewise the commands of a group.

    Raises:
        AssertionError: it violates the contract.
    """
    name = command.name
    one_word = is_name(name) and len(str(name).split()) == 1
    assert one_word, f"the name {name!r} is not one word"
    assert not str(name).startswith("-"), f"the name {name!r} looks like an option"
    assert name not in COMMANDS, f"'tocsin {name}' is a command of tocsin's own"
    _check_help(command, [])


def _check_help(command: click.Command, above: list[str]) -> None:
    words = [*above, str(command.name)]
    line = " ".join(["tocsin", *words])
    assert not is_async(command.callback), (
        f"'{line}' is async and would never run; write a plain def that calls asyncio.run()"
    )
    assert (command.help or "").strip(), f"'{line}' has no help; write a docstring"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"the option {parameter.opts[0]} of '{line}' has no help"
    done = CliRunner().invoke(command, ["--help"], prog_name=line)
    why = done.output or repr(done.exception)
    assert done.exit_code == 0, f"'{line} --help' ended with status {done.exit_code}: {why}"
    assert "Usage:" in done.output, f"'{line} --help' shows no usage"
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _check_help(inner, words)
