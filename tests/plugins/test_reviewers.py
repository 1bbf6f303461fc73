"""Reviewers of plugins: what they are asked, what their answers do, what happens if they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from attrs import field, frozen

from tests.contexts import polled
from tocsin import (
    Context,
    Probe,
    Result,
    Reviewer,
    ReviewerRuntime,
    ReviewRequest,
    Secret,
    Status,
    Target,
    hookimpl,
)
from tocsin.core.checks import reviewers as module
from tocsin.core.checks.reviewers import Reviewers
from tocsin.core.config import ConfigError, load_config, redacted
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.testing import SettableClock, check_reviewer_conformance


@frozen(kw_only=True)
class Down(Probe):
    """Always down."""

    async def check(self, target: Target) -> Result:
        return Result.down("refused")

    def network_host(self, target: Target) -> str | None:
        return "db.test"


@frozen(kw_only=True)
class Picky(Reviewer):
    """Answers what a test wants, and records what it was asked."""

    answer: str = ""
    asked: ClassVar[list[ReviewRequest]] = []
    answers: ClassVar[list[Any]] = []

    async def review(self, request: ReviewRequest) -> str | None:
        self.asked.append(request)
        answer = self.answers[0] if self.answers else self.answer or None
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            await asyncio.sleep(3600)
        return answer


def plugin(**classes: type[Reviewer]) -> Any:
    """A plugin that provides reviewers."""

    def tocsin_reviewers() -> Mapping[str, type[Reviewer]]:
        return classes

    return SimpleNamespace(tocsin_reviewers=hookimpl(tocsin_reviewers))


Load = Callable[[str], Settings]


@pytest.fixture
def manager(tocsin_manager: Callable[..., PluginManager]) -> PluginManager:
    Picky.asked.clear()
    Picky.answers.clear()
    return tocsin_manager(picky=plugin(picky=Picky))


@pytest.fixture
def load(tmp_path: Path, manager: PluginManager) -> Load:
    """Load a text as tocsin.toml."""

    def load(text: str) -> Settings:
        file = tmp_path / "tocsin.toml"
        file.write_text(text)
        return load_config(file, {}, manager)

    return load


@pytest.fixture
async def reviewers(
    manager: PluginManager, clock: SettableClock, tmp_path: Path
) -> AsyncIterator[Reviewers]:
    """Reviewers in the threads of their plugins."""
    contexts = Contexts(tmp_path, clock)
    isolation = Isolation(frozenset(), lambda *_: None, contexts, records=manager)
    made = Reviewers(isolation)
    yield made
    await made.stop()
    await isolation.stop()


async def confirmed(reviewers: Reviewers) -> Result:
    """A result that is down, after its review."""
    target, result = Target(name="db"), Result.down("refused")
    return await reviewers.confirm_down("tests", polled(Down()), target, "tcp", result)


async def test_a_reason_makes_a_result_unknown(reviewers: Reviewers, load: Load) -> None:
    """The reviewer gets target, check, result and hosts by value; its reason begins the message.
    With None the result stands."""
    await reviewers.apply(load('[reviewers.picky]\nanswer = "the switch is off"\n').reviewers)
    result = await confirmed(reviewers)
    assert result.status is Status.UNKNOWN
    assert result.message == "the switch is off, so this result is not valid: refused"
    (request,) = Picky.asked
    assert (request.target.name, request.check, request.hosts) == ("db", "tcp", ("db.test",))
    assert request.result == Result.down("refused")
    await reviewers.apply(load("").reviewers)
    assert (await confirmed(reviewers)).status is Status.DOWN


@pytest.mark.parametrize("answer", [RuntimeError("no"), 7, "", " \n", ["a"], "hang"])
async def test_a_reviewer_that_fails_changes_nothing(
    reviewers: Reviewers, load: Load, manager: PluginManager, answer: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An exception, a wrong answer or none in time: the result stands, and the plugin is reported
    as failed until its reviewer works again."""
    monkeypatch.setattr(module, "DEADLINE", 0.2)
    await reviewers.apply(load('[reviewers.picky]\nanswer = "x"\n').reviewers)
    Picky.answers.append(answer)
    assert (await confirmed(reviewers)).status is Status.DOWN
    (record,) = manager.records
    assert record.status == "failed"
    assert str(record.reason).startswith("reviewer picky ")
    Picky.answers.clear()
    assert (await confirmed(reviewers)).status is Status.UNKNOWN
    assert manager.records[0].status == "ok"


async def test_a_secret_as_reason_is_not_shown(reviewers: Reviewers, load: Load) -> None:
    """Its text is three asterisks, and long reasons are shortened to one line."""
    await reviewers.apply(load("").reviewers)
    Picky.answers.append(Secret("kQ9xLr2vTzWm4Hn8"))
    assert (await confirmed(reviewers)).message.startswith("***, so")
    Picky.answers[:] = ["a\nb " * 1000]
    message = (await confirmed(reviewers)).message
    assert message.startswith("a b a b")
    assert len(message) < 400


@frozen(kw_only=True)
class Reporting(Reviewer):
    """Reports its trouble when it is opened."""

    section: ClassVar[str | None] = "reporting"
    trouble: str = ""

    async def open(self, context: Context) -> ReviewerRuntime:
        await context.report_trouble(self.trouble or None)
        return self

    async def review(self, request: ReviewRequest) -> str | None:
        return None


async def component(reviewers: Reviewers, name: str) -> ComponentHealth:
    """The component of that name, once it is reported."""
    for _ in range(500):
        if (found := reviewers.isolation.contexts.health().get(name)) is not None:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(reviewers.isolation.contexts.health())


async def test_a_runtime_shows_its_health(
    reviewers: Reviewers, tmp_path: Path, tocsin_manager: Callable[..., PluginManager]
) -> None:
    """From the start, under the name of its plugin, and of what was opened if that has another
    name; a runtime that was closed shows nothing."""
    manager = tocsin_manager(reporting=plugin(reporting=Reporting))
    file = tmp_path / "tocsin.toml"
    file.write_text('[reporting]\ntrouble = "no line"\n')
    settings = load_config(file, {}, manager)
    await reviewers.apply(settings.reviewers)
    found = await component(reviewers, "reporting")
    assert (found.status, found.message) == (Health.DEGRADED, "no line")
    contexts = reviewers.isolation.contexts
    await contexts.of("other", "more").report_trouble(None)
    assert contexts.health()["other.more"].status is Health.OK
    runtime = reviewers._active["reporting"].runtime
    await reviewers.apply({})
    await runtime.context.report_trouble("too late")
    assert "reporting" not in contexts.health()


def test_the_table_of_a_reviewer(load: Load) -> None:
    """It sets options or switches the reviewer off; wrong names and options are named."""
    assert load("").reviewers["picky"].reviewer == Picky()
    assert load("[reviewers.picky]\nenabled = false\n").reviewers == {}
    with pytest.raises(ConfigError, match=r"reviewers\.picy: no plugin provides a reviewer"):
        load("[reviewers.picy]\n")
    with pytest.raises(ConfigError, match=r"reviewers\.picky\.wait: there is no such option"):
        load("[reviewers.picky]\nwait = 7\n")
    with pytest.raises(ConfigError, match=r"reviewers\.picky: expected a table"):
        load("[reviewers]\npicky = 7\n")


def test_a_reviewer_may_own_a_table(load: Load, manager: PluginManager) -> None:
    """Its options stand in the top-level table that its class names, also where the configuration
    is shown; nowhere else."""
    manager.add("reporting", lambda: plugin(reporting=Reporting), "tests", "0")
    settings = load('[reporting]\ntrouble = "x"\n')
    assert settings.reviewers["reporting"].reviewer == Reporting(trouble="x")
    shown = redacted(settings)
    assert shown["reporting"] == {"trouble": "x"}
    assert set(shown["reviewers"]) == {"picky"}
    with pytest.raises(ConfigError, match=r"its options belong into \[reporting\]"):
        load("[reviewers.reporting]\n")


@frozen(kw_only=True)
class Greedy(Picky):
    """Wants a table of tocsin."""

    section: ClassVar[str | None] = "channels"


@frozen(kw_only=True)
class Nameless(Picky):
    """Wants a table without a name."""

    section: ClassVar[str | None] = "A b"


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ([{"a": Greedy}], "which belongs to tocsin itself"),
        ([{"a": Nameless}], "has a class whose section is 'A b'"),
        ([{"a": Reporting, "b": Reporting}], "which belongs to another class of it"),
        ([{"a": Reporting}, {"b": Reporting}], "which belongs to plugin 'p0'"),
    ],
)
def test_a_table_has_one_owner(
    classes: list[dict[str, type[Reviewer]]], reason: str,
    tocsin_manager: Callable[..., PluginManager],
) -> None:  # fmt: skip
    """A plugin that claims the table of tocsin, of another plugin or twice is refused."""
    manager = tocsin_manager(**{f"p{n}": plugin(**each) for n, each in enumerate(classes)})
    assert reason in str(manager.records[-1].reason)


def test_the_table_of_a_plugin_that_is_not_loaded_has_no_effect(
    load: Load, manager: PluginManager
) -> None:
    """It is no error; a warning says why. Without such a plugin it is a wrong key."""
    with pytest.raises(ConfigError, match="uplik: there is no such key"):
        load("[uplik]\n")

    def broken() -> object:
        raise ImportError("no module")

    manager.add("lost", broken, "tests", "0")
    start = "[uplink] has no effect: no plugin provides it, but plugin 'lost'"
    assert [each.startswith(start) for each in load("[uplink]\n").warnings].count(True) == 1
    with pytest.raises(ConfigError, match="uplik: there is no such key"):
        load("uplik = 7\n")


@frozen(kw_only=True)
class Leaving(Reviewer):
    """Leaves a task behind."""

    tasks: list[Any] = field(factory=list)

    async def review(self, request: ReviewRequest) -> str | None:
        self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        return None


async def test_the_suite_of_reviewers() -> None:
    """One that answers passes; one that leaves tasks behind does not."""
    Picky.answers.clear()
    await check_reviewer_conformance(Picky())
    leaving = Leaving()
    with pytest.raises(AssertionError, match="review"):
        await check_reviewer_conformance(leaving)
    for task in leaving.tasks:
        task.cancel()
