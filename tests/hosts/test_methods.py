"""The methods of plugins' classes: those that cannot be called as their contract says are refused
when the plugin is loaded, by one mechanism for all kinds."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import tocsin
from tests.hosts.conftest import Core
from tocsin import DoctorCheck, Role, Routes, history, hookimpl
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.shapes import fit_opened

Manager = Callable[..., PluginManager]


async def coroutine(*_: Any, **__: Any) -> Any:
    """Any method that has to be async."""


def plain(*_: Any, **__: Any) -> Any:
    """Any method that must not be."""


KINDS: dict[str, tuple[type, dict[str, Any], str]] = {
    "probes": (tocsin.Probe, {"check": coroutine}, "async def check(self, target)"),
    "probes ": (tocsin.PushProbe, {"judge": plain}, "def judge(self, target, last, silence)"),
    "rules": (tocsin.Rule, {"evaluate": plain}, "def evaluate(self, history, now)"),
    "sources": (tocsin.Source, {"run": coroutine}, "async def run(self, name, interval, sink)"),
    "notifiers": (tocsin.Notifier, {"send": coroutine}, "async def send(self, message)"),
    "services": (tocsin.Service, {"run": coroutine}, "async def run(self, context)"),
    "observers": (tocsin.Observer, {"changed": coroutine}, "async def changed(self, change)"),
    "reviewers": (tocsin.Reviewer, {"review": coroutine}, "async def review(self, request)"),
    "histories": (
        history.HistoryStore,
        {"open": coroutine, "place": plain, "open_reader": coroutine},
        "async def open(self, context)",
    ),
}
"""By hook: the contract, what a class has to define, and how the first of these is defined."""


def loaded(manager: Manager, kind: str, **members: Any) -> tuple[str, str]:
    """Load a plugin with a class of these members; return its status and reason."""
    base, needed, _ = KINDS[kind]
    made = attrs.make_class("Mine", {}, bases=(base,), frozen=True, kw_only=True)
    for name, member in (needed | members).items():
        setattr(made, name, member)
    made.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
    module = types.ModuleType("mine")
    hook = f"tocsin_{kind.strip()}"

    def provide() -> dict[str, type]:
        return {"mine": made}

    provide.__name__ = hook
    setattr(module, hook, hookimpl(provide))
    (record,) = manager(mine=module).records
    return record.status, str(record.reason)


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_that_is_wrongly_async_or_not_is_refused(
    tocsin_manager: Manager, kind: str
) -> None:
    """The reason says how to define it."""
    _, needed, definition = KINDS[kind]
    name, right = next(iter(needed.items()))
    assert loaded(tocsin_manager, kind) == ("ok", "None")
    wrong, words = (plain, "is not async") if right is coroutine else (coroutine, "is async")
    assert loaded(tocsin_manager, kind, **{name: wrong}) == (
        "failed", f"has a class Mine whose {name} {words}; define it as {definition}",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_with_too_few_parameters_is_refused(tocsin_manager: Manager, kind: str) -> None:
    """So is one with a parameter that nobody gives, and what is no method."""
    _, needed, definition = KINDS[kind]
    name, right = next(iter(needed.items()))
    few: Any = lambda self: None  # noqa: E731 - as short as it can be
    many: Any = lambda self, a, b, c, d, e, f: None  # noqa: E731
    if right is coroutine:

        async def few(self: Any) -> None: ...

        async def many(self: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> None: ...

    for wrong, words in (
        (few, "takes (self)"), (many, "takes (self, a, b, c, d, e, f)"), (3, "is no method"),
    ):  # fmt: skip
        assert loaded(tocsin_manager, kind, **{name: wrong}) == (
            "failed", f"has a class Mine whose {name} {words}; define it as {definition}",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "wrong", "definition"),
    [
        ("probes", "network_host", coroutine, "def network_host(self, target)"),
        ("probes", "open", plain, "async def open(self, context)"),
        ("rules", "applies", coroutine, "def applies(self, target)"),
        ("notifiers", "listen", plain, "async def listen(self, controls)"),
        ("sources", "logs", plain, "async def logs(self, target, lines)"),
        ("services", "url", coroutine, "def url(self)"),
        ("histories", "open_reader", plain, "async def open_reader(self, context, hold)"),
    ],
)
def test_the_methods_that_need_not_be_defined_count_as_well(
    tocsin_manager: Manager, kind: str, name: str, wrong: Any, definition: str
) -> None:
    """If a class defines them."""
    status, reason = loaded(tocsin_manager, kind, **{name: wrong})
    assert status == "failed"
    assert f"whose {name} is" in reason
    assert reason.endswith(f"define it as {definition}")


def test_an_option_cannot_have_the_name_of_a_method(tocsin_manager: Manager) -> None:
    """It would hide the method."""

    @attrs.frozen(kw_only=True)
    class Site(tocsin.Service):
        url: str = ""  # type: ignore[assignment]

        async def run(self, context: tocsin.ServiceContext) -> None: ...

    module = types.ModuleType("site")

    @hookimpl
    def tocsin_services() -> dict[str, type]:
        return {"site": Site}

    vars(module).update(tocsin_services=tocsin_services)
    (record,) = tocsin_manager(site=module).records
    assert "has a class Site whose url is no method" in str(record.reason)


def test_decorated_and_static_methods_are_seen_through(tocsin_manager: Manager) -> None:
    """What a decorator wraps decides, and a method may be static."""

    async def check(self: Any, target: Any) -> Any: ...

    @functools.wraps(check)
    def wrapper(*args: Any) -> Any:
        return check(*args)

    @staticmethod  # type: ignore[misc]
    async def static(target: Any) -> Any: ...

    @classmethod  # type: ignore[misc]
    async def of_class(cls: Any, target: Any) -> Any: ...

    for good in (wrapper, static, of_class, functools.partialmethod(check)):
        assert loaded(tocsin_manager, "probes", check=good) == ("ok", "None")


def test_the_handlers_of_routes_and_doctor_checks_are_named() -> None:
    """By their names, not by where they are in memory."""

    def take() -> None: ...

    async def alone(context: Any) -> Any: ...

    with pytest.raises(ValueError, match=r"^the handler take is not async; define it with async"):
        Routes().get("items", role=Role.VIEWER)(take)  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"^the handler take is not async; define it with async"):
        DoctorCheck(name="x", handler=take)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"define it as async def alone\(context, installation\)"):
        DoctorCheck(name="x", handler=alone)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("contract", "runtime"),
    [
        (tocsin.Probe, "a ProbeRuntime"),
        (tocsin.Source, "a SourceRuntime"),
        (tocsin.Notifier, "a NotifierRuntime"),
        (tocsin.Observer, "an ObserverRuntime"),
        (tocsin.Reviewer, "a ReviewerRuntime"),
        (history.HistoryStore, "a HistoryRuntime"),
    ],
)
def test_open_has_to_return_a_runtime(contract: type, runtime: str) -> None:
    """For every kind that has it."""
    options = type("Mine", (contract,), {"__abstractmethods__": frozenset()})
    options.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
    with pytest.raises(PluginFault, match=f"^returned str from open, not {runtime}$"):
        fit_opened(object.__new__(options), "runtime")


SOURCE = """
    class Sync(NotifierRuntime):
        def send(self, message): pass
    @frozen(kw_only=True)
    class Note(Notifier):
        what: str = ""
        async def open(self, context): return Sync() if self.what else "runtime"
    @hookimpl
    def tocsin_notifiers(): return {"note": Note}
"""


@pytest.mark.parametrize("inline", [[], ["strange"]])
@pytest.mark.parametrize(
    ("what", "clause"),
    [
        ("", "returned str from open, not a NotifierRuntime"),
        ("sync", "has a class Sync whose send is not async; define it as async def send(self, "
         "message)"),
    ],
)  # fmt: skip
async def test_an_open_that_returns_something_else_is_a_fault(
    core: Core, inline: list[str], what: str, clause: str
) -> None:
    """Where the plugin runs makes no difference."""
    core.load(SOURCE, inline=inline)
    options = core.make("notifier", "note", what=what)
    from tocsin.core.plugin.runtimes import Runtime

    runtime: Runtime[Any] = Runtime(options, core.context())
    with pytest.raises(PluginFault) as caught:
        await core.isolation.call("strange", runtime.get, 5)
    assert str(caught.value) == clause
