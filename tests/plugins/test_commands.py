"""Commands of plugins: what is refused, and what people are told when one fails."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tocsin import hookimpl
from tocsin.core.cli.context import Context
from tocsin.core.cli.main import cli
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.testing import check_command_conformance


def module(*commands: object) -> types.ModuleType:
    """A plugin with these commands."""
    made = types.ModuleType("commands")

    @hookimpl
    def tocsin_commands() -> list[object]:
        return list(commands)

    vars(made).update(tocsin_commands=tocsin_commands)
    return made


def manager(**plugins: Any) -> PluginManager:
    made = PluginManager(PluginSettings(), discover=tuple)
    for name, plugin in plugins.items():
        load = plugin if isinstance(plugin, types.FunctionType) else lambda plugin=plugin: plugin
        made.add(name, load, "tests", "0")
    return made


def command(name: str, callback: Callable[..., Any] = lambda: None) -> click.Command:
    return click.Command(name, callback=callback, help="Do it.")


async def coroutine() -> None:
    """Do it."""


@click.pass_context
async def with_context(ctx: click.Context) -> None:
    """Do it."""


@functools.wraps(coroutine)
def run_properly() -> None:
    asyncio.run(coroutine())


GROUP = click.Group("queue", commands=[command("drain", coroutine)], help="Queues.")


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([command("status")],
         "provides the command 'status', which is one of tocsin's own; rename it"),
        ([command("brief"), command("brief")], "provides two commands of the name 'brief'"),
        ([command("two words")], "provides a command of the name 'two words'; use one word"),
        ([command("-x")], "provides a command of the name '-x'; use one word"),
        ([command("brief", coroutine)],
         "has the command 'brief' as async def, which would never run; write it as a plain def"),
        ([command("brief", with_context)], "has the command 'brief' as async def"),
        ([GROUP], "has the command 'queue drain' as async def"),
        ([object()], "returned <object object> from tocsin_commands, not a click command"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_called_is_refused(commands: list[object], reason: str) -> None:
    """The plugin is reported as failed, with the reason and the remedy."""
    made = manager(strange=module(*commands))
    assert made.records[0].status == "failed"
    assert reason in str(made.records[0].reason)
    assert made.commands == []


def test_two_plugins_cannot_provide_one_command() -> None:
    """The second one fails, as for all that has a name."""
    made = manager(first=module(command("brief")), second=module(command("brief")))
    assert [record.status for record in made.records] == ["ok", "failed"]
    reason = "provides the command 'brief', which plugin 'first' (tests) provides already"
    assert made.records[1].reason == reason


@pytest.mark.parametrize("callback", [coroutine, with_context])
def test_the_kit_refuses_an_async_command(callback: Callable[..., Any]) -> None:
    """Its coroutine would never run, so that the command would do nothing."""
    with pytest.raises(AssertionError, match="'tocsin brief' is async and would never run"):
        check_command_conformance(command("brief", callback))


def test_a_command_may_run_a_loop_of_its_own() -> None:
    """A plain function around a coroutine function is no coroutine function."""
    check_command_conformance(command("brief", run_properly))
    assert manager(strange=module(command("brief", run_properly))).records[0].status == "ok"


def run(plugins: PluginManager, *words: str) -> Result:
    """Call ``tocsin`` where these plugins are installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "plugins", lambda _, **__: plugins)
        return CliRunner().invoke(cli, words, prog_name="tocsin")


def boo() -> None:
    raise RuntimeError("boo")


def test_an_exception_in_a_command_names_plugin_and_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no internal error of tocsin's; the traceback is there for those who want it."""
    plugins = manager(strange=module(command("brief", boo)))
    done = run(plugins, "brief")
    assert done.exit_code == 70
    assert done.output.strip() == (
        "tocsin: plugin strange failed in its command 'brief' (RuntimeError: boo); "
        "set TOCSIN_DEBUG=1 for a traceback"
    )
    monkeypatch.setenv("TOCSIN_DEBUG", "1")
    assert isinstance(run(plugins, "brief").exception, RuntimeError)


def test_the_ends_that_click_knows_are_no_failures() -> None:
    """Exit statuses and errors for people pass unchanged."""

    def refuse() -> None:
        raise click.ClickException("the queue is locked")

    def leave() -> None:
        raise SystemExit(3)

    def abort() -> None:
        raise click.Abort

    plugins = manager(
        strange=module(command("refuse", refuse), command("leave", leave), command("abort", abort))
    )
    assert "Error: the queue is locked" in run(plugins, "refuse").output
    assert run(plugins, "leave").exit_code == 3
    assert run(plugins, "abort").output == "Aborted!\n"


def test_a_command_of_a_plugin_that_failed_says_why_there_is_none() -> None:
    """It may be the plugin of that name, or any other that failed."""

    def load() -> object:
        raise ImportError("no module named 'nowhere'")

    plugins = manager(brief=load)
    assert (
        "No such command 'brief': plugin 'brief' raised ImportError while"
        in run(plugins, "brief").output
    )
    assert (
        "No such command 'other': no plugin provides it, but plugin 'brief' raised"
        in run(plugins, "other").output
    )
    assert "No such command 'other'.\n" in run(manager(), "other").output
