"""Checks of the commands that a plugin adds to the ``tocsin`` command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import click

from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.own_commands import COMMANDS
from tocsin.core.shapes import is_name, show


def check_command(command: click.Command) -> None:
    """Refuse a command that cannot be called.

    Args:
        command: a command of a plugin.

    Raises:
        PluginFault: it cannot.
    """
    name = command.name
    if not is_name(name) or len(str(name).split()) != 1 or str(name).startswith("-"):
        raise PluginFault(
            f"provides a command of the name {show(name)}; use one word without '-' at its start"
        )
    if name in COMMANDS:
        raise PluginFault(f"provides the command {name!r}, which is one of tocsin's own; rename it")
    for words, part in parts_of(command):
        if is_async(part.callback):
            raise PluginFault(
                f"has the command {' '.join(words)!r} as async def, which would never run; write "
                "it as a plain def that calls asyncio.run()"
            )


def parts_of(
    command: click.Command, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and the commands of a group, each with the words that call it."""
    words = (*above, str(command.name))
    yield words, command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from parts_of(inner, words)


def is_async(callback: Callable[..., Any] | None) -> bool:
    """Return whether calling a command's function only makes a coroutine, which is never run."""
    while _is_of_click(callback) and hasattr(callback, "__wrapped__"):  # click.pass_context
        callback = callback.__wrapped__  # type: ignore[union-attr]
    return inspect.iscoroutinefunction(callback) or inspect.isasyncgenfunction(callback)


def _is_of_click(function: object) -> bool:
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return str(name).partition(".")[0] == "click"
