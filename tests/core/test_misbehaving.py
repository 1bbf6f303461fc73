"""Plugins that misbehave before anything runs: each is named as failed, and all else starts."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import frozen

import tocsin
from tests.contexts import contexts
from tests.core.test_plugin_manager import module, record
from tocsin import AlertChange, History, Result, ServiceContext, Sink, Target, Variable, Verdict
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Moment
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.app import Tocsin
from tocsin.core.auth.tokens import TokenStore
from tocsin.core.clock import SystemClock
from tocsin.core.config import ConfigError, construct, load_config
from tocsin.core.config.alerting import book_of
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import Observation
from tocsin.core.plugin import services
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation, PluginFault, describe
from tocsin.core.plugin.services import ServiceSupervisor
from tocsin.testing import RecordingNotifier

NOW = Moment(100.0, SystemClock().now())


class Mute(Exception):
    """An error that has no words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Quits(Exception):
    """An error that ends the process when it is written."""

    def __str__(self) -> str:
        raise SystemExit(4)


def raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    """A method that raises."""

    def fail(self: object, *_: object) -> Any:
        raise error()

    return fail


ERRORS = [
    lambda: RuntimeError("not today"),
    lambda: ValueError("no"),
    lambda: SystemExit(3),
    Mute,
    Quits,
]


def broken_class(kind: str, error: Callable[[], BaseException]) -> tuple[str, type]:
    """The hook, and a class of a kind whose constructor raises."""
    init = raising(error)

    @frozen(kw_only=True)
    class Watcher(tocsin.Observer):
        __attrs_post_init__ = init

        async def changed(self, change: AlertChange) -> None:
            return

    @frozen(kw_only=True)
    class Companion(tocsin.Service):
        __attrs_post_init__ = init

        async def run(self, context: ServiceContext) -> None:
            return

    @frozen(kw_only=True)
    class Fleet(tocsin.Source):
        autostart: ClassVar[str | None] = "bad"
        __attrs_post_init__ = init

        async def run(self, name: str, interval: float, sink: Sink) -> None:
            return

    @frozen(kw_only=True)
    class Look(tocsin.Probe):
        autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {"host/bad": {}}
        __attrs_post_init__ = init

        async def check(self, target: Target) -> Result:
            return Result.up()

    return {
        "observer": ("tocsin_observers", Watcher),
        "service": ("tocsin_services", Companion),
        "source": ("tocsin_sources", Fleet),
        "probe": ("tocsin_probes", Look),
    }[kind]


def plugin_of(hook: str, **classes: type) -> types.ModuleType:
    """A plugin that provides classes by names."""

    def provide() -> dict[str, type]:
        return dict(classes)

    return module(**{hook: provide})


def configured(manager: PluginManager, directory: Path, text: str = "") -> Settings:
    path = directory / "tocsin.toml"
    path.write_text(text)
    return load_config(path, {"TOCSIN_DATA_DIR": str(directory / "data")}, manager)


def _same(plugin: object) -> object:
    return plugin


def manager_with(**plugins: Any) -> PluginManager:
    made = PluginManager(PluginSettings(), discover=tuple, deadline=1)
    for name, plugin in plugins.items():
        made.add(name, partial(_same, plugin), "strange", "1.0")
    return made


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", ["observer", "service", "source", "probe"])
def test_what_nobody_configured_cannot_break_the_configuration(
    kind: str, error: Callable[[], BaseException], tmp_path: Path
) -> None:
    """A constructor that raises, of what starts by itself, is that plugin's fault with its name
    and reason; the configuration holds, and the application marks the plugin failed."""
    hook, cls = broken_class(kind, error)
    manager = manager_with(bad=plugin_of(hook, bad=cls))
    settings = configured(manager, tmp_path)
    if kind == "probe" and isinstance(error(), ValueError):  # its autostart is wrong, not its code
        assert any("the check is left out" in warning for warning in settings.warnings)
        return
    monitor = Tocsin(None, {}, manager, settings)
    found = record(monitor.plugins, "bad")
    assert found.status == "failed"
    assert {"probe": "check host/"}.get(kind, kind) in str(found.reason)
    said = describe(error(), "while it was built").removeprefix(
        "raised ValueError while it was built: "
    )
    assert said in str(found.reason)


def test_a_constructor_that_hangs_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a while, and the plugin is named."""
    monkeypatch.setattr(construct, "DEADLINE", 0.05)
    never = threading.Event()
    hook, cls = broken_class("observer", lambda: RuntimeError(str(never.wait(5))))
    manager = manager_with(bad=plugin_of(hook, bad=cls))
    settings = configured(manager, tmp_path)
    never.set()
    assert "did not return within 0.05 s" in str(settings.observers["bad"].broken)


def test_a_constructor_that_breaks_under_a_table_is_the_plugins_fault(tmp_path: Path) -> None:
    """What a person wrote is not to blame for a RuntimeError; for a ValueError, which says what to
    write instead, it is."""
    hook, cls = broken_class("observer", lambda: RuntimeError("not today"))
    manager = manager_with(bad=plugin_of(hook, bad=cls))
    settings = configured(manager, tmp_path, "[observers.bad]\n")
    assert "raised RuntimeError while it was built: not today" in str(
        settings.observers["bad"].broken
    )
    hook, cls = broken_class("observer", lambda: ValueError("write more"))
    manager = manager_with(bad=plugin_of(hook, bad=cls))
    with pytest.raises(ConfigError, match="write more"):
        configured(manager, tmp_path, "[observers.bad]\n")


def test_once_it_can_be_made_a_plugin_has_recovered(tmp_path: Path) -> None:
    """After a reload with options that it can live with, the plugin is not failed any more."""

    @frozen(kw_only=True)
    class Picky(tocsin.Observer):
        most: int = 0

        def __attrs_post_init__(self) -> None:
            if not self.most:
                raise RuntimeError("none is too few")

        async def changed(self, change: AlertChange) -> None:
            return

    manager = manager_with(picky=plugin_of("tocsin_observers", picky=Picky))
    monitor = Tocsin(None, {}, manager, configured(manager, tmp_path))
    assert record(manager, "picky").status == "failed"
    assert not manager.recover("picky")  # something else of it works
    assert record(manager, "picky").status == "failed"
    fixed = configured(manager, tmp_path, "[observers.picky]\nmost = 1\n")
    monitor.plugins.note_unbuilt(fixed.unbuilt())
    assert record(manager, "picky").status == "ok"


class Lazy(Mapping[str, Any]):
    """A table of names that raises when it is looked at."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error()

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise self.error()


class Odd(type):
    """Classes that cannot be written."""

    def __repr__(cls) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", ERRORS)
def test_a_table_of_names_that_raises_fails_its_plugin_alone(
    error: Callable[[], BaseException],
) -> None:
    """``items()`` of what a hook returns, a class that cannot be written, and a module that
    answers no attribute: that plugin failed, with the reason, and the next one loads."""
    odd = Odd("Odd", (), {})
    silent = types.ModuleType("silent")
    silent.__dir__ = lambda: (_ for _ in ()).throw(error())  # type: ignore[method-assign]
    good = plugin_of("tocsin_observers", fine=broken_class("observer", ERRORS[0])[1])
    made = manager_with(
        lazy=module(tocsin_probes=lambda: Lazy(error)),
        odd=module(tocsin_probes=lambda: {"a": odd}),
        silent=silent, good=good,
    )  # fmt: skip
    assert {item.name: item.status for item in made.records} == {
        "lazy": "failed", "odd": "failed", "silent": "failed", "good": "ok",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a\nb", "", "a/b", "x" * 200, 5])
def test_a_name_that_cannot_be_used_fails_its_plugin(name: Any) -> None:
    """What a hook provides is called by text of one line without a slash."""
    _, cls = broken_class("probe", ERRORS[0])
    made = manager_with(bad=module(tocsin_probes=lambda: {name: cls}))
    assert record(made, "bad").status == "failed"
    assert "name" in str(record(made, "bad").reason)


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        ("source", "autostart", 5), ("source", "autostart", "a/b"), ("source", "target_kind", None),
        ("probe", "by_label", "no"), ("probe", "config_only", 7),
        ("notifier", "min_severity", "critical"), ("notifier", "batch", "5m"),
        ("notifier", "log_lines", 10**9), ("notifier", "wants_system", None),
        ("notifier", "environment", "PAGER"), ("notifier", "environment", {"timeout": "PAGER"}),
        ("notifier", "environment", {"timeout": Variable("no name")}),
        ("notifier", "environment", {"timeout": Variable("PAGER", only_with="host")}),
        ("notifier", "environment", {"nonsense": Variable("PAGER")}),
        ("rule", "inhibits", "yes"), ("rule", "stands_for_down", 1),
        ("rule", "rule_state_suffices", None), ("rule", "explained_by_down", "x"),
        ("rule", "autostart", ["deep"]), ("rule", "autostart", {"deep": 5}),
        ("rule", "autostart", {"": {}}), ("rule", "autostart", {"deep": {"rule": "down"}}),
        ("rule", "autostart", Lazy(lambda: RuntimeError("not today"))),
    ],
)  # fmt: skip
def test_a_class_variable_of_the_wrong_type_fails_its_plugin(
    kind: str, variable: str, value: Any
) -> None:
    """What a class says of itself is looked at when it is loaded."""
    base: type = {"notifier": RecordingNotifier, "rule": Picky}.get(kind, object)
    if base is object:
        _, base = broken_class(kind, ERRORS[0])
    cls = frozen(kw_only=True)(type("Bad", (base,), {variable: value}))
    made = manager_with(bad=module(**{f"tocsin_{kind}s": lambda: {"bad": cls}}))
    assert record(made, "bad").status == "failed"
    assert variable in str(record(made, "bad").reason)


@frozen(kw_only=True)
class Picky(tocsin.Rule):
    """A rule that says what it is told to of itself."""

    error: ClassVar[Any] = None
    back: ClassVar[Any] = 0.0
    at: ClassVar[Any] = None

    @property
    def looks_at(self) -> tuple[str, ...] | None:
        if isinstance(self.at, BaseException):
            raise self.at
        return self.at  # type: ignore[no-any-return]

    @property
    def lookback(self) -> float:
        if isinstance(self.back, BaseException):
            raise self.back
        return self.back  # type: ignore[no-any-return]

    def applies(self, target: Target) -> bool:
        if self.error is not None:
            raise self.error
        return True

    def evaluate(self, history: History, now: datetime) -> Verdict:
        return Verdict.firing("it fires")


CONFIG = '[rules.picky]\nrule = "picky"\n'


@pytest.mark.parametrize(
    "back", [RuntimeError("no"), Mute(), "5m", float("nan"), -1.0, None, 10**400]
)
def test_a_lookback_that_is_none_makes_its_rule_blind(back: Any, tmp_path: Path) -> None:
    """A property that raises, or gives no number of seconds: the rule cannot run, the plugin is
    named, and the configuration holds."""
    cls = frozen(kw_only=True)(type("Bad", (Picky,), {"back": back}))
    manager = manager_with(bad=module(tocsin_rules=lambda: {"picky": cls}))
    settings = configured(manager, tmp_path, CONFIG)
    assert "lookback" in str(settings.rules["picky"].broken)
    assert settings.unbuilt()["bad"]


@pytest.mark.parametrize("at", [RuntimeError("no"), Mute(), "depth", ["depth"], (1,), ("a",) * 101])
def test_what_a_rule_looks_at_is_a_tuple_of_names(at: Any, tmp_path: Path) -> None:
    """A property that raises, or gives something else than at most a hundred names: the rule cannot
    run, the plugin is named, and the configuration holds."""
    cls = frozen(kw_only=True)(type("Bad", (Picky,), {"at": at}))
    manager = manager_with(bad=module(tocsin_rules=lambda: {"picky": cls}))
    settings = configured(manager, tmp_path, CONFIG)
    assert "looks_at" in str(settings.rules["picky"].broken)
    assert settings.unbuilt()["bad"]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("error", [RuntimeError("no"), Mute(), SystemExit(2)])
async def test_a_rule_that_cannot_say_whether_it_applies_is_blind_there(
    error: BaseException, inline: bool, tmp_path: Path
) -> None:
    """``applies`` that raises: the target is taken in, other rules judge it, the plugin is named.
    A stranger's is not even asked in the core's own thread."""
    cls = frozen(kw_only=True)(type("Bad", (Picky,), {"error": error}))
    manager = manager_with(bad=module(tocsin_rules=lambda: {"picky": cls, "good": Picky}))
    settings = configured(manager, tmp_path, CONFIG + '[rules.good]\nrule = "good"\n')
    blamed: list[str] = []
    engine = Engine(
        isolates=True,
        faults=RuleFaults(lambda plugin, reason: blamed.append(f"{plugin}: {reason}")),
    )
    engine.configure(book_of(settings, inline=None if inline else ()), NOW)
    engine.put(Target(name="web"), None, {"c": None}, NOW)
    seen = Observation(target="web", check="c", at=NOW.wall, result=Result.up())
    engine.observe(seen, NOW)
    if inline:
        assert list(engine.alerts) == [("good", "web")]
        assert blamed[0].startswith(
            f"bad: rule picky {describe(error, 'when it was asked whether it applies to web')}"
        )
    else:
        elsewhere = sorted(asked.rule.name for asked in engine.evaluator.asked)
        assert (elsewhere, blamed) == (["good", "picky"], [])


@pytest.mark.parametrize("said", [RuntimeError("no"), Mute(), SystemExit(2), 5, "x" * 5000, "a\nb"])
def test_an_address_that_cannot_be_had_fails_its_plugin_alone(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``url()`` of a service that raises or gives no address: the others are shown."""
    monkeypatch.setattr(services, "URL_DEADLINE", 1.0)

    @frozen(kw_only=True)
    class Here(tocsin.Service):
        async def run(self, context: ServiceContext) -> None:
            return

        def url(self) -> str | None:
            return "http://here"

    @frozen(kw_only=True)
    class Bad(Here):
        def url(self) -> str | None:
            if isinstance(said, BaseException):
                raise said
            return said  # type: ignore[no-any-return]

    blamed: list[tuple[str, str]] = []

    class Records:
        def fail(self, name: str, reason: str, *_: object) -> bool:
            blamed.append((name, reason))
            return True

        def recover(self, name: str, part: str | None = None) -> bool:
            return False

    supervisor = ServiceSupervisor(
        Isolation(frozenset(), lambda *_: None, contexts(), records=Records()),
        TokenStore(tmp_path / "tokens.db"), tmp_path, SystemClock(),
    )  # fmt: skip
    assert supervisor.addresses({"bad": ("p", Bad()), "good": ("q", Here())}) == {
        "good": "http://here"
    }
    ((plugin, reason),) = blamed
    assert plugin == "p"
    assert "url" in reason


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    "base", [tocsin.ActionError, tocsin.NotifyError, tocsin.ServiceError, Exception]
)
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3)])
async def test_an_error_that_cannot_be_read_is_a_fault(
    base: type[Exception], error: BaseException, inline: bool
) -> None:
    """Of whatever kind: the text of one that tocsin knows is not asked for anywhere else."""
    bad = type("Bad", (base,), {"__str__": raising(lambda: error)})
    guard = Isolation(frozenset({"x"} if inline else ()), lambda *_: None, contexts())

    async def fail() -> None:
        raise bad("x")

    with pytest.raises(PluginFault, match="raised (a )?Bad"):
        await guard.call("x", fail, 5)
    await guard.stop()


async def test_what_an_error_asks_for_is_looked_at() -> None:
    """A rest that is no number, set behind the constructor's back, is none; a text of megabytes
    is cut."""
    guard = Isolation(frozenset(), lambda *_: None, contexts())

    async def fail() -> None:
        error = tocsin.NotifyError("x" * 5_000_000)
        error.retry_after = float("nan")
        error.permanent = "yes"  # type: ignore[assignment]
        raise error

    with pytest.raises(tocsin.NotifyError) as caught:
        await guard.call("x", fail, 5, (tocsin.NotifyError,))
    assert (caught.value.retry_after, caught.value.permanent) == (None, True)
    assert len(str(caught.value)) < 50_000
    await guard.stop()
