"""Rules that exist without configuration, because plugins declare them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import frozen

from tests.core.test_plugin_manager import broken_import, manager, module, record
from tocsin import History, Rule, Severity, Verdict
from tocsin.core.config import ConfigError, Settings, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager


@frozen(kw_only=True)
class DepthRule(Rule):
    """Fire when it is too deep."""

    autostart: ClassVar[Any] = {
        "too_deep": {"most": 3.0, "for": "1m", "severity": "critical"},
        "far_too_deep": {"most": 9.0},
    }

    most: float

    def evaluate(self, history: History, now: datetime) -> Verdict:
        return Verdict.clear()


def declaring(name: str, autostart: Any = DepthRule.autostart) -> Any:
    """A plugin with one rule, which declares default rules."""
    cls = frozen(kw_only=True)(type("Declaring", (DepthRule,), {"autostart": autostart}))
    return module(tocsin_rules=lambda: {name: cls})


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Load a text as tocsin.toml, with a plugin manager."""

    def load(plugins: PluginManager, text: str = "") -> Settings:
        path = tmp_path / "tocsin.toml"
        path.write_text(text)
        return load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path)}, plugins)

    return load


Load = Callable[..., Settings]


def test_a_plugin_brings_rules_along(load: Load) -> None:
    """With options and policy as in a file, of which the file changes single keys, for all targets
    or for one, or which it switches off."""
    plugins = manager(depth=declaring("depth"))
    rule = load(plugins).rules["too_deep"]
    assert (rule.rule_name, rule.plugin, rule.policy.for_seconds) == ("depth", "depth", 60)
    assert rule.policy.severity is Severity.CRITICAL
    assert getattr(rule.rule, "most", None) == 3.0
    text = "[rules.too_deep]\nmost = 5.0\n[rules.far_too_deep]\nenabled = false\n"
    settings = load(plugins, text + "[targets.a.rules.too_deep]\nfor = '2m'\n")
    assert getattr(settings.rules["too_deep"].rule, "most", None) == 5.0
    assert settings.rules["too_deep"].policy.for_seconds == 60
    assert not settings.rules["far_too_deep"].enabled
    mine = settings.targets["a"].rules["too_deep"]
    assert (mine.policy.for_seconds, getattr(mine.rule, "most", None)) == (120, 5.0)


def test_our_own_default_rules_are_in_a_fixed_order(load: Load) -> None:
    """That of evaluation: rules about targets that are down come first, those of third-party
    plugins follow, and rules that the file adds are last."""
    ours = PluginManager(PluginSettings(external=False))
    ours.load()
    names = [
        "container_down", "replicas_down", "container_restarting", "health_check_failed",
        "out_of_memory", "high_memory", "high_cpu", "disk_space_low", "above_expected",
    ]  # fmt: skip
    assert list(load(ours).rules) == names
    text = "[rules.mine]\nrule = 'down'\n[rules.high_cpu]\nlevel = 99\n"
    assert list(load(ours, text).rules) == [*names, "mine"]


def test_a_wrong_table_is_a_warning(load: Load) -> None:
    """What a plugin declares cannot keep tocsin from starting: the rule is left out, the plugin is
    named, and its other rules are there. A channel that does not exist is a warning, too."""
    tables = {
        "odd": {"most": "much"}, "soon": {"most": 1.0, "for": "a while"}, "lacking": {},
        "fine": {"most": 1.0, "channels": ["nobody"]},
    }  # fmt: skip
    settings = load(manager(depth=declaring("depth", tables)))
    assert list(settings.rules) == ["fine"]
    assert [text.removeprefix("plugin depth: rules.") for text in settings.warnings] == [
        "odd.most: expected a number, got 'much'; the rule is left out",
        "soon.for: 'a while' is not a duration; write seconds or text such as '30s' or '1h30m'; "
        "the rule is left out",
        "lacking.most: must be given; the rule is left out",
        "rule 'fine' names the channel 'nobody', which is not configured",
    ]
    with pytest.raises(ConfigError, match="no channel is called 'nobody'"):
        load(manager(depth=declaring("depth")), "[alerts]\nescalation_channels = ['nobody']\n")


def test_a_name_that_is_taken_is_refused() -> None:
    """Two plugins that declare the same default rule: the later one is failed, with both named. So
    is one that declares a rule twice, or an alert that tocsin raises about itself."""
    plugins = manager(
        one=declaring("one"), two=declaring("two", {"too_deep": {"most": 1.0}}),
        own=declaring("own", {"plugin_failed": {"most": 1.0}}),
        twice=module(tocsin_rules=lambda: {"a": Other, "b": Other}),
    )  # fmt: skip
    assert {r.name: r.reason for r in plugins.records if r.status == "failed"} == {
        "two": "declares the default rule 'too_deep', which plugin 'one' declares already",
        "own": "declares the default rule 'plugin_failed', an alert of tocsin's own",
        "twice": "declares the default rule 'deep' twice",
    }
    assert set(plugins.rules) == {"one"}


@frozen(kw_only=True)
class Other(DepthRule):
    autostart: ClassVar[Any] = {"deep": {"most": 1.0}}


CHANGED = "[rules.too_deep]\nfor = '2m'\n[targets.a.rules.far_too_deep]\nmost = 1.0\n"


def test_without_its_plugin_a_default_rule_does_not_exist(load: Load) -> None:
    """Failed or disabled; a table that changes the rule stays valid: the rule cannot run, with the
    reason. Once every plugin loads, the name is an error."""
    for plugins, why in (
        (manager(depth=broken_import), "raised ImportError"),
        (manager(PluginSettings(disabled=("depth",)), depth=declaring("depth")), "is disabled"),
    ):
        assert load(plugins).rules == {}
        settings = load(plugins, CHANGED)
        for rule in (settings.rules["too_deep"], settings.targets["a"].rules["far_too_deep"]):
            assert rule.rule is None
            assert f"no plugin declares it, but plugin 'depth' {why}" in str(rule.broken)
        assert any("rule too_deep cannot run" in warning for warning in settings.warnings)
    with pytest.raises(ConfigError) as caught:
        load(manager(), CHANGED)
    assert [problem.path for problem in caught.value.problems] == [
        "rules.too_deep.rule", "targets.a.rules.far_too_deep",
    ]  # fmt: skip


def test_a_changed_rule_without_its_plugin_can_be_changed_again_for_a_target(load: Load) -> None:
    """The table of a target changes one of the file that changes a rule of nobody."""
    text = "[rules.too_deep]\nfor = '2m'\n[targets.a.rules.too_deep]\ncooldown = '1h'\n"
    rule = load(manager(depth=broken_import), text).targets["a"].rules["too_deep"]
    assert (rule.rule, rule.policy.for_seconds, rule.policy.cooldown) == (None, 120, 3600)


def test_a_broken_constructor_of_a_default_rule_is_its_plugins_fault(load: Load) -> None:
    """The rule exists and cannot run; its alerts stand still."""

    class Breaking(DepthRule):
        autostart: ClassVar[Any] = {"deep": {"most": 1.0}}

        def __attrs_post_init__(self) -> None:
            raise RuntimeError("not today")

    cls = frozen(kw_only=True)(Breaking)
    plugins = manager(depth=module(tocsin_rules=lambda: {"depth": cls}))
    settings = load(plugins)
    assert "not today" in str(settings.rules["deep"].broken)
    assert set(settings.unbuilt()) == {"depth"}
    assert record(plugins, "depth").status == "ok"
