"""Finding plugins, and what becomes of bad ones."""

from __future__ import annotations

import types
from collections import defaultdict
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

import pytest
from attrs import frozen

import tocsin
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.catalog import PluginRecord
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.options import options_of
from tocsin.core.plugin.provided import provided_by
from tocsin.core.plugin.summaries import summary_of


@frozen(kw_only=True)
class Dns(tocsin.Probe):
    """Resolve a name."""

    host: str
    records: list[str] = ["A"]  # noqa: RUF008 - as an author might write it
    secret: tocsin.Secret | None = None
    grace: tocsin.Seconds = 5.0

    async def check(self, target: tocsin.Target) -> tocsin.Result:
        return tocsin.Result.up()


def module(**members: Any) -> types.ModuleType:
    made = types.ModuleType("plugin")
    for name, member in members.items():
        setattr(made, name, tocsin.hookimpl(member) if callable(member) else member)
    return made


def good(name: str = "dns", cls: Any = Dns) -> types.ModuleType:
    def tocsin_probes() -> Any:
        return {name: cls}

    return module(tocsin_probes=tocsin_probes)


def manager(settings: PluginSettings | None = None, **plugins: Any) -> PluginManager:
    made = PluginManager(settings or PluginSettings(), discover=tuple, deadline=1)
    for name, plugin in plugins.items():
        load = plugin if callable(plugin) else lambda plugin=plugin: plugin
        made.add(name, load, "strange", "1.0")
    return made


def record(made: PluginManager, name: str) -> PluginRecord:
    return next(item for item in made.records if item.name == name)


def test_a_good_plugin_is_listed_with_what_it_provides() -> None:
    """Name, kind, distribution, version, status and class of a plugin are on record."""
    made = manager(dns=good())
    found = record(made, "dns")
    assert (found.status, found.kinds, found.distribution, found.version) == (
        "ok", ("probe",), "strange", "1.0",
    )  # fmt: skip
    assert made.probes["dns"].cls is Dns


def test_our_own_plugins_are_found_through_entry_points() -> None:
    """The built-ins come through the same entry-point group as strangers, and all load."""
    made = PluginManager(PluginSettings())
    made.load()
    ours = {r.name: r.status for r in made.records if r.distribution == "tocsin"}
    assert ours == dict.fromkeys(
        (
            "backup-script",
            "dashboard",
            "diagnostics",
            "disk",
            "docker-health",
            "down",
            "email",
            "heartbeat",
            "history",
            "http",
            "postgres-query",
            "prometheus",
            "restart-loop",
            "tcp",
            "telegram",
            "thresholds",
            "uplink",
            "webhook",
        ),
        "ok",
    )


def broken_import() -> Any:
    raise ImportError("No module named 'nowhere'")


def exits() -> Any:
    raise SystemExit(1)


def hangs() -> Any:
    import time

    time.sleep(3)


def raising() -> types.ModuleType:
    def tocsin_probes() -> Any:
        raise RuntimeError("not today")

    return module(tocsin_probes=tocsin_probes)


def unknown_argument() -> types.ModuleType:
    def tocsin_probes(surprise: object) -> Any:
        return {}

    return module(tocsin_probes=tocsin_probes)


def unknown_hook() -> types.ModuleType:
    def tocsin_prob() -> Any:
        return {}

    return module(tocsin_prob=tocsin_prob)


def asynchronous() -> types.ModuleType:
    async def tocsin_probes() -> Any:
        return {}

    return module(tocsin_probes=tocsin_probes)


class NotAttrs(tocsin.Probe):
    """No attrs class of its own."""

    async def check(self, target: tocsin.Target) -> tocsin.Result:
        return tocsin.Result.up()


@frozen(kw_only=True)
class NoCheck(tocsin.Probe):
    """Lacks check."""


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (broken_import, "^raised ImportError while it was imported: No module named 'nowhere'$"),
        (exits, r"called sys.exit\(1\) while it was imported"),
        (hangs, "did not return within 1 s while it was imported"),
        (raising(), "^raised RuntimeError while tocsin_probes was called: not today$"),
        (
            unknown_argument(),
            "^implements tocsin_probes with the argument 'surprise', which the hook does not "
            "give; remove it$",
        ),
        (
            unknown_hook(),
            "^implements the hook tocsin_prob, which does not exist; did you mean "
            r"'tocsin_probes'\?$",
        ),
        (asynchronous(), "async tocsin_probes; write it as a plain def"),
        (module(), "provides nothing"),
        (good("x", 42), "42"),
        (good("x", NoCheck), "NoCheck that lacks check"),
    ],
)
def test_a_bad_plugin_fails_alone_and_says_why(plugin: Any, reason: str) -> None:
    """Whatever a plugin does wrong, it is failed with the reason, and its neighbours are fine."""
    import re

    made = manager(aa=good("aa"), bad=plugin, zz=good("zz"))
    found = record(made, "bad")
    assert found.status == "failed"
    assert re.search(reason, found.reason or ""), found.reason
    assert record(made, "aa").status == record(made, "zz").status == "ok"
    assert set(made.probes) == {"aa", "zz"}


def test_a_name_clash_fails_the_later_one_naming_both() -> None:
    """Two plugins that provide the same probe: the first keeps it, the second is failed."""
    made = manager(one=good("dns"), two=good("dns"))
    assert made.probes["dns"].plugin == "one"
    assert "'one' (strange) provides already" in (record(made, "two").reason or "")


def test_a_stranger_with_one_of_our_plugin_names_is_not_loaded() -> None:
    """An entry point that takes a built-in's name is refused before its code runs."""

    class Dist:
        name, version = "evil", "6.6"

    class Entry(EntryPoint):
        dist = Dist()  # type: ignore[assignment]

        def load(self) -> Any:
            raise AssertionError("it was loaded")

    evil = Entry(name="http", value="evil", group="tocsin")
    made = PluginManager(
        PluginSettings(), discover=lambda: [evil, *entry_points(group="tocsin", name="http")]
    )
    made.load()
    assert record(made, "http").status == "ok"
    assert "is taken by tocsin" in (record(made, "http (evil)").reason or "")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (PluginSettings(disabled=("dns",)), "disabled"),
        (PluginSettings(allowed=("http",)), "allowed"),
        (PluginSettings(external=False), "external"),
    ],
)
def test_a_plugin_that_is_not_let_in_is_never_loaded(settings: PluginSettings, reason: str) -> None:
    """Names are checked before loading, because loading runs code."""
    loaded: list[bool] = []
    made = manager(settings, dns=lambda: loaded.append(True))
    assert record(made, "dns").status == "disabled"
    assert reason in (record(made, "dns").reason or "")
    assert loaded == []


def test_why_a_probe_is_missing_is_known() -> None:
    """A failed or disabled plugin explains the probes that are not there."""
    made = manager(PluginSettings(disabled=("off",)), bad=broken_import, off=good())
    assert "ImportError" in (made.missing("bad") or "")
    assert "disabled" in (made.missing("off") or "")
    assert "'bad'" in (made.missing("whatever") or "")
    assert manager(dns=good()).missing("whatever") is None


def test_while_tocsin_stops_no_plugin_fails_or_recovers() -> None:
    """Calls that it ends are no faults, and checks that it removes no recoveries."""
    failed, works = manager(dns=good()), manager(dns=good())
    failed.fail("dns", "raised OSError")
    failed.is_stopping = works.is_stopping = True
    assert not failed.recover("dns")
    assert not works.fail("dns", "was ended, since tocsin stops")
    assert (record(failed, "dns").status, record(works, "dns").status) == ("failed", "ok")


def test_a_plugin_can_fail_later_and_recover() -> None:
    """News is told once each way."""
    made = manager(dns=good())
    assert made.fail("dns", "raised OSError")
    assert not made.fail("dns", "raised OSError")
    assert record(made, "dns").reason == "raised OSError"
    assert made.recover("dns")
    assert not made.recover("dns")


def test_options_are_shown_with_types_defaults_and_summary() -> None:
    """The attrs fields of a class are its options, in words; required ones first."""
    options = {option.name: option for option in options_of(Dns)}
    assert options["host"].required
    assert next(iter(options)) == "host"
    assert (options["host"].type, options["records"].type) == ("text", "list of text")
    assert (options["secret"].type, options["grace"].type) == ("secret text", "duration")
    assert options["timeout"].default == 10
    assert summary_of(Dns) == "Resolve a name."


def test_by_default_our_own_plugins_run_inline() -> None:
    """Those of the distribution tocsin run in the core's own loop, as their entry points say, and
    third-party ones do not, unless a list in the configuration names them."""
    ours = {p.name for p in entry_points(group="tocsin") if p.dist and p.dist.name == "tocsin"}
    for listed, expected in ((None, ours), (("dns", "http"), {"dns", *ours}), ((), ours)):
        made = PluginManager(PluginSettings(inline=listed))
        made.load()
        made.add("dns", good, "strange", "1.0")
        assert made.inline == expected
    made = PluginManager(PluginSettings())
    made.load()
    assert load_config(None, {}, made).plugins.inline == tuple(sorted(ours))


def _undecorated(base: Any, method: str) -> Any:
    async def run(self: Any, *_: Any) -> None:
        return

    return type("Bare", (base,), {
        "__annotations__": {"host": "str", "kept": "ClassVar[int]"}, method: run,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "base", "method"),
    [
        ("tocsin_probes", tocsin.Probe, "check"),
        ("tocsin_sources", tocsin.Source, "run"),
        ("tocsin_rules", tocsin.Rule, "evaluate"),
        ("tocsin_notifiers", tocsin.Notifier, "send"),
        ("tocsin_services", tocsin.Service, "run"),
        ("tocsin_observers", tocsin.Observer, "changed"),
        ("tocsin_reviewers", tocsin.Reviewer, "review"),
    ],
)
def test_a_class_whose_annotations_are_no_options_is_refused(
    hook: str, base: Any, method: str
) -> None:
    """Whoever forgets the decorator of attrs is told so."""
    cls = _undecorated(base, method)
    shelves: Any = defaultdict(dict)
    with pytest.raises(PluginFault) as caught:
        provided_by(hook, lambda: {"x": cls}, shelves)
    assert str(caught.value) == (
        "has a class Bare whose host is annotated, but no option: "
        "decorate it with @attrs.frozen(kw_only=True)"
    )


def test_a_class_without_options_needs_no_decorator() -> None:
    """A class variable is meant to be no option."""

    class Bare(tocsin.Probe):
        kept: ClassVar[int] = 1

        async def check(self, target: tocsin.Target) -> tocsin.Result:
            return tocsin.Result.up()

    shelves: Any = defaultdict(dict)
    (provided,) = provided_by("tocsin_probes", lambda: {"x": Bare}, shelves)
    assert provided.cls is Bare
