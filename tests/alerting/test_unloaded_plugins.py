"""Alerts of rules that a plugin declares, where the plugin does not load."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import pytest
from attrs import frozen

from tests.alerting.conftest import CONFIG, Desk, MakeDesk, catalog
from tocsin import History, Rule, Status, Verdict, hookimpl
from tocsin.core.alerts.model import Alert
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager


@frozen(kw_only=True)
class SinkingRule(Rule):
    """Fire while anything is down; remember a number."""

    autostart: ClassVar[Any] = {"sinking": {"severity": "critical"}}

    def evaluate(self, history: History, now: datetime) -> Verdict:
        down = [o for o in history.latest.values() if o.result.status is Status.DOWN]
        state = {"seen": 7}
        return Verdict.firing("it sinks", rule_state=state) if down else Verdict.clear("it floats")


class Plugin:
    @staticmethod
    @hookimpl
    def tocsin_rules() -> dict[str, type[Rule]]:
        return {"sinking": SinkingRule}


def fails() -> Any:
    raise ImportError("no module named water")


def plugins(load: Any = lambda: Plugin, **settings: Any) -> PluginManager:
    """Our plugins, and one that declares a default rule. It belongs to the distribution tocsin, so
    that its rule runs in the core's own loop."""
    made = catalog(PluginSettings(**settings))
    made.add("ship", load, "tocsin", "0")
    return made


QUIET = CONFIG.replace("failures = 1", "enabled = false")
"""Only the rule of the plugin judges."""


def alert_of(desk: Desk) -> Alert:
    (alert,) = (alert for alert in desk.alerting.active() if alert.target == "web")
    return alert


def end_of(desk: Desk) -> str:
    """The message of the only notification about the target: its end."""
    assert desk.told_of("web") == [("resolved", "web")]
    (notice,) = (notice for notice in desk.notifier().notices if notice.target == "web")
    return notice.message


async def sinking(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with an alert of the plugin's rule, of which people were notified."""
    monkeypatch.setattr("tests.alerting.conftest.catalog", plugins)
    desk = await make_desk(QUIET)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(10)
    assert desk.told_of("web") == [("fired", "web")]
    return desk


async def restarted(desk: Desk, made: PluginManager) -> None:
    desk.plugins = made
    await desk.restart()
    desk.see("web", "up")
    await desk.wait(1800)


@pytest.mark.parametrize("by", ["its own", "another"])
async def test_an_alert_of_a_plugin_that_failed_stands_still(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """While a plugin failed to load, it may be the one that declares the rule: the alert neither
    ends nor is repeated, also after a reload, and keeps the state of its rule. When the plugin is
    back, the rule judges again; when it is gone and every plugin loads, the alert ends in words."""
    desk = await sinking(make_desk, monkeypatch)
    await restarted(desk, plugins(fails))
    assert desk.told_of("web") == []
    assert (alert := alert_of(desk)).frozen is not None
    assert alert.rule_state == {"seen": 7}
    await desk.alerting.apply(desk.load(QUIET))
    await desk.wait(1800)
    assert (desk.told_of("web"), alert_of(desk).frozen) == ([], alert.frozen)
    await restarted(desk, plugins() if by == "its own" else catalog())
    assert end_of(desk) == {"its own": "it floats", "another": "its rule was removed"}[by]


async def test_an_alert_of_a_disabled_plugin_ends(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its default rules do not exist, and people are notified of the end."""
    desk = await sinking(make_desk, monkeypatch)
    await restarted(desk, plugins(disabled=("ship",)))
    assert end_of(desk) == "its rule was removed"


async def test_a_rule_that_is_switched_off_ends_its_alert_all_the_same(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration decides about it, whatever failed to load."""
    desk = await sinking(make_desk, monkeypatch)
    desk.config = QUIET + "[rules.sinking]\nenabled = false\n"
    await restarted(desk, plugins(fails))
    assert end_of(desk) == "its rule was removed"


async def test_states_without_an_alert_are_kept_too(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rule remembers of a target survives a reload while its plugin is failed."""
    desk = await sinking(make_desk, monkeypatch)
    await restarted(desk, plugins(fails))
    states = desk.alerting.engine.evaluator.rule_states
    states.kept["sinking", "web"] = {"seen": 8}
    await desk.alerting.apply(desk.load(QUIET))
    assert states.kept == {("sinking", "web"): {"seen": 8}}
