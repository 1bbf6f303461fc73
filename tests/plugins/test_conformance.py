"""The conformance suites give plugins what tocsin gives them, and find what violates contracts."""

from __future__ import annotations

import asyncio
import stat
import sys
from typing import ClassVar

import click
import pytest
from attrs import field, frozen

from tests.running import free_port
from tocsin import (
    Action,
    ActionError,
    CheckError,
    Context,
    LogLine,
    Message,
    Notifier,
    NotifyError,
    Probe,
    Receipt,
    Result,
    Secret,
    Service,
    ServiceContext,
    ServiceError,
    Sink,
    Source,
    Status,
    Target,
)
from tocsin import dashboard as dashboard_module
from tocsin.dashboard import DashboardService
from tocsin.testing import (
    RecordingContext,
    check_command_conformance,
    check_notifier_conformance,
    check_probe_conformance,
    check_refusal,
    check_service_conformance,
    check_source_conformance,
)


@frozen(kw_only=True)
class Steady(Service):
    """Run until cancelled."""

    password: Secret = field(default=Secret("hunter2-hunter2"))

    async def run(self, context: ServiceContext) -> None:
        await asyncio.Event().wait()


async def test_a_service_that_runs_until_it_is_cancelled_conforms() -> None:
    """It is run twice, and no error is returned."""
    assert await check_service_conformance(Steady(), seconds=0.01) is None


async def test_a_service_that_says_why_it_cannot_run_conforms() -> None:
    """The error is returned, for further checks."""

    class Refuses(Steady):
        """Say why."""

        async def run(self, context: ServiceContext) -> None:
            raise ServiceError("port 1 is in use; choose another one")

    error = await check_service_conformance(Refuses())
    assert str(error) == "port 1 is in use; choose another one"


async def test_a_service_gets_what_it_gets_from_the_core(
    tocsin_service_context: ServiceContext,
) -> None:
    """The token is in a private file; the fixture is the suite's own context."""
    context = tocsin_service_context
    assert context.token_file.read_text() == "tests"
    assert stat.S_IMODE(context.token_file.stat().st_mode) == 0o600
    assert context.token_file.parent == context.directory
    assert await check_service_conformance(Steady(), context, seconds=0.01) is None


class Ends(Steady):
    """Return at once."""

    async def run(self, context: ServiceContext) -> None:
        return


class Raises(Steady):
    """Raise what is no sentence."""

    async def run(self, context: ServiceContext) -> None:
        raise KeyError("port")


class Silent(Steady):
    """Raise an error without words."""

    async def run(self, context: ServiceContext) -> None:
        raise ServiceError("")


class Tells(Steady):
    """Show a secret in the error."""

    async def run(self, context: ServiceContext) -> None:
        raise ServiceError(f"the password {self.password.reveal()} is wrong")


class Complains(Steady):
    """Raise when it is cancelled."""

    async def run(self, context: ServiceContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the port is gone")


class Cancelled(Steady):
    """End as if it had been cancelled."""

    async def run(self, context: ServiceContext) -> None:
        raise asyncio.CancelledError


class Leaves(Steady):
    """Leave a task behind."""

    async def run(self, context: ServiceContext) -> None:
        TASKS.append(asyncio.ensure_future(asyncio.sleep(60)))
        await asyncio.Event().wait()


class Spawns(Steady):
    """Leave a process behind."""

    async def run(self, context: ServiceContext) -> None:
        command = (sys.executable, "-c", "import time; time.sleep(60)")
        PROCESSES.append(await asyncio.create_subprocess_exec(*command))
        await asyncio.Event().wait()


class Once(Steady):
    """Cannot be started again."""

    async def run(self, context: ServiceContext) -> None:
        marker = context.directory / "started"
        if marker.exists():
            raise RuntimeError("started before")
        marker.touch()
        await asyncio.Event().wait()


class Lines(Steady):
    """Have a URL of two lines."""

    def url(self) -> str:
        return "http://127.0.0.1:1/\nsecond"


class Shows(Steady):
    """Show a secret in the URL."""

    def url(self) -> str:
        return f"http://:{self.password.reveal()}@127.0.0.1:1/"


class Undocumented(Steady):
    async def run(self, context: ServiceContext) -> None:
        await asyncio.Event().wait()


Undocumented.__doc__ = ""
TASKS: list[asyncio.Future[None]] = []
PROCESSES: list[asyncio.subprocess.Process] = []


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Ends, "ended by itself"),
        (Raises, r"raised KeyError\('port'\), not a ServiceError"),
        (Silent, "not one line of text"),
        (Tells, "the error shows a secret"),
        (Complains, "when it was cancelled"),
        (Cancelled, "cancelled itself"),
        (Leaves, "left tasks behind"),
        (Spawns, "left processes behind"),
        (Once, "RuntimeError.*not a ServiceError"),
        (Lines, "not one line of text"),
        (Shows, "shows a secret"),
        (Undocumented, "no docstring"),
    ],
)
async def test_each_violation_of_a_service_is_named(cls: type[Service], words: str) -> None:
    """The message says what the service did."""
    with pytest.raises(AssertionError, match=words):
        await check_service_conformance(cls(), seconds=0.05 if cls is not Spawns else 1)
    for task in TASKS:
        task.cancel()
    for process in PROCESSES:
        process.kill()
        await process.wait()
    TASKS.clear()
    PROCESSES.clear()


async def test_a_service_that_ignores_its_cancellation_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The suite waits as long as tocsin does, and no longer."""
    monkeypatch.setattr("tocsin.core.testing.service.STOP_PATIENCE", 0.05)
    may_end = asyncio.Event()

    class Stubborn(Steady):
        """Ignore the cancellation."""

        async def run(self, context: ServiceContext) -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    continue

    with pytest.raises(AssertionError, match="ignored its cancellation"):
        await check_service_conformance(Stubborn(), seconds=0.01)
    may_end.set()


async def test_the_dashboard_conforms_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which packages to install, and has no URL."""
    monkeypatch.setattr(dashboard_module, "NEEDED", ("tocsin_no_such_package",))
    error = await check_service_conformance(DashboardService())
    assert error is not None
    assert error.permanent


@pytest.mark.slow
async def test_the_dashboard_conforms() -> None:
    """Its child process ends with it."""
    assert await check_service_conformance(DashboardService(port=free_port()), seconds=3) is None


@click.group()
def good() -> None:
    """Do something."""


@good.command()
@click.argument("name")
@click.option("--loud", is_flag=True, help="Shout.")
def inner(name: str, loud: bool) -> None:
    """Do it."""


def test_a_documented_command_conforms() -> None:
    """So does a group of commands."""
    check_command_conformance(good)


class Broken(click.Command):
    """A command whose help cannot be shown."""

    def get_help(self, ctx: click.Context) -> str:
        raise RuntimeError("asked for help")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (click.Command(None, help="Help."), "the name None is not one word"),
        (click.Command("two words", help="Help."), "'two words' is not one word"),
        (click.Command("--loud", help="Help."), "looks like an option"),
        (click.Command("status", help="Help."), "'tocsin status' is a command of tocsin's own"),
        (click.Command("mine"), "'tocsin mine' has no help"),
        (
            click.Command("mine", help="Help.", params=[click.Option(["--loud"])]),
            "the option --loud of 'tocsin mine' has no help",
        ),
        (Broken("mine", help="Help."), "--help' ended with status 1: .*asked for help"),
        (
            click.Group("mine", help="Help.", commands=[click.Command("inner")]),
            "'tocsin mine inner' has no help",
        ),
        (click.Command("mine", help="Help.", add_help_option=False), "ended with status 2"),
    ],
)  # fmt: skip
def test_each_violation_of_a_command_is_named(command: click.Command, words: str) -> None:
    """The message says what the command lacks."""
    with pytest.raises(AssertionError, match=words):
        check_command_conformance(command)


@frozen(kw_only=True)
class Keyed(Probe):
    """Need a secret of the environment."""

    blind: bool = False

    async def open(self, context: Context) -> Probe:
        if await context.secret("KEY") is None:
            raise CheckError("KEY is not set; set it in tocsin's environment")
        return self

    async def check(self, target: Target) -> Result:
        if self.blind:
            raise CheckError("the clock is not set; start ntpd")
        return Result.up("the key fits")


async def test_a_probe_may_say_why_it_cannot_tell() -> None:
    """``CheckError`` from ``open`` or ``check`` is an unknown result; a context has secrets."""
    context = RecordingContext(secrets={"KEY": "s3cret"})
    missing = await check_probe_conformance(Keyed())
    assert (missing.status, missing.message) == (
        Status.UNKNOWN,
        "KEY is not set; set it in tocsin's environment",
    )
    blind = await check_probe_conformance(Keyed(blind=True), context=context)
    assert (blind.status, blind.message) == (
        Status.UNKNOWN,
        "the clock is not set; start ntpd",
    )
    assert (await check_probe_conformance(Keyed(), context=context)).status is Status.UP


@frozen(kw_only=True)
class Pager(Notifier):
    """Need a secret of the environment."""

    refuses: bool = False

    async def open(self, context: Context) -> Notifier:
        assert await context.secret("KEY") is not None
        await context.storage.put("opened", True)
        return self

    async def send(self, message: Message) -> Receipt:
        if self.refuses:
            raise NotifyError("unknown pager", permanent=True)
        return Receipt(answer="beeped")


async def test_the_suites_of_notifiers_take_a_context() -> None:
    """Both of them."""
    context = RecordingContext(secrets={"KEY": "s3cret"})
    assert await check_notifier_conformance(Pager(), context)
    assert await check_refusal(Pager(refuses=True), permanent=True, context=context)
    assert await context.storage.keys() == ["opened"]


async def test_a_probe_names_hosts_as_text() -> None:
    """One, several in a tuple, or None; anything else would be ignored without a word."""

    @frozen(kw_only=True)
    class Goes(Keyed):
        """Say where it goes."""

        hosts: object = None

        def network_host(self, target: Target) -> str | tuple[str, ...] | None:
            return self.hosts  # type: ignore[return-value]

    for hosts in (None, "db", (), ("db", "192.0.2.1")):
        await check_probe_conformance(Goes(hosts=hosts))
    for wrong in (7, ["db"], ("db", None)):
        with pytest.raises(AssertionError, match="network_host"):
            await check_probe_conformance(Goes(hosts=wrong))


@frozen(kw_only=True)
class Fleet(Source):
    """Watch one ship."""

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        sink.discovered(Target(name="anna", kind="ship"))
        sink.synced(["anna"])
        await asyncio.Event().wait()

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        if target != "anna":
            raise ActionError(f"{target} is not here", missing=True)
        return [LogLine(text="land in sight")]


async def test_a_source_does_what_it_declares() -> None:
    """What its methods or ``actions`` promise, its runtime has, and answers in the right types."""
    assert list((await check_source_conformance(Fleet())).targets) == ["anna"]

    class Silent(Fleet):
        """Forgets to declare what it can do."""

        actions: ClassVar[tuple[Action, ...] | None] = ()

    class Boasts(Fleet):
        """Declares what it cannot do."""

        actions: ClassVar[tuple[Action, ...] | None] = ("logs", "inspect")

    class Wrong(Fleet):
        """Returns text in place of lines."""

        async def logs(self, target: str, lines: int) -> list[LogLine]:
            return "land in sight"  # type: ignore[return-value]

    with pytest.raises(AssertionError, match=r"Silent defines logs\(\); correct Silent.actions"):
        await check_source_conformance(Silent())
    with pytest.raises(AssertionError, match=r"does not define inspect\(\)"):
        await check_source_conformance(Boasts())
    with pytest.raises(AssertionError, match="Wrong returned str from logs, not a list"):
        await check_source_conformance(Wrong())
