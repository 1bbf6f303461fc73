"""Message templates that rules declare: which alert they are for, and what is refused."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve, frozen

from tocsin import History, Kind, Message, Notifier, Receipt, Rule, Verdict, hookimpl
from tocsin.core.config import Settings, load_config
from tocsin.core.config.redact import redacted
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.templates.renderer import Renderer
from tocsin.testing import check_notifier_conformance, check_rule_conformance, message_of

Manager = Callable[..., PluginManager]


@frozen(kw_only=True)
class Slow(Rule):
    """Never fires."""

    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {"very_slow": {}}
    templates: ClassVar[Mapping[str, str]] = {
        "slow": "Slow: {{ target }}\n",
        "slow.resolved": "Fast again: {{ target }}\n",
        "very_slow": '{% extends "slow.base.txt" %}{% block how %}Very{% endblock %}',
        "slow.base": "{% block how %}{% endblock %} slow: {{ target }}\n",
    }

    def evaluate(self, history: History, now: datetime) -> Verdict:
        return Verdict.clear()


def module_of(cls: type[Rule]) -> types.ModuleType:
    """A plugin with one rule, ``slow``."""
    module = types.ModuleType("crawl")

    @hookimpl
    def tocsin_rules() -> dict[str, type[Rule]]:
        return {"slow": cls}

    vars(module)["tocsin_rules"] = tocsin_rules
    return module


def with_templates(templates: object) -> type[Rule]:
    """The rule with other templates."""
    return frozen(kw_only=True)(type("Other", (Slow,), {"templates": templates}))


@pytest.fixture
def load(tmp_path: Path, tocsin_manager: Manager) -> Callable[..., Settings]:
    def loaded(text: str = "", cls: type[Rule] = Slow) -> Settings:
        file = tmp_path / "tocsin.toml"
        file.write_text(text)
        return load_config(file, {}, tocsin_manager(crawl=module_of(cls)))

    return loaded


def title(settings: Settings, rule: str, kind: Kind = Kind.FIRED, **fields: Any) -> str:
    """The title of the message about an alert."""
    messages = settings.messages
    renderer = Renderer(messages.templates, trouble=pytest.fail, declared=messages.declared)
    message = message_of(kind)
    notices = (evolve(message.notices[0], rule=rule, **fields),)
    return renderer.words(evolve(message, notices=notices)).title


def test_a_template_is_for_the_alerts_of_its_rule(load: Callable[..., Settings]) -> None:
    """That of a default rule for its alert; that of the rule for the alerts of all its rules,
    whatever a person calls them; for other rules there is none."""
    settings = load('[rules."my own"]\nrule = "slow"\n')
    assert title(settings, "my own") == "Slow: web"
    assert title(settings, "my own", Kind.RESOLVED) == "Fast again: web"
    assert title(settings, "very_slow") == "Very slow: web"
    assert title(settings, "very_slow", Kind.RESOLVED) == "Fast again: web"
    assert title(settings, "very_slow", Kind.RESOLVED, recovered=False) == "ENDED: Very slow: web"
    assert title(settings, "other") == "CRITICAL: Other: web"


def test_a_file_of_the_user_replaces_it(load: Callable[..., Settings], tmp_path: Path) -> None:
    """For one alert alone; it may build on that of the plugin."""
    (tmp_path / "texts").mkdir()
    base = '{% extends "slow.base.txt" %}{% block how %}Really{% endblock %}'
    (tmp_path / "texts/very_slow.txt").write_text(base)
    settings = load('[messages]\ntemplates = "texts"\n')
    assert title(settings, "very_slow") == "Really slow: web"
    assert title(settings, "very_slow", Kind.RESOLVED) == "Fast again: web"


def test_it_is_no_part_of_the_configuration_that_is_shown(load: Callable[..., Settings]) -> None:
    """The API shows what people wrote, not the texts of plugins."""
    assert redacted(load())["messages"] == {"templates": None}


@pytest.mark.parametrize(
    ("templates", "says"),
    [
        ({"slow": "{% if %}"}, r"a template that cannot be used: slow\.txt, line 1: "),
        ({"slow": "a\n{{ nothing }}"}, r"slow\.txt, line 2: 'nothing' is undefined"),
        ({"slow": "{{ details.took }}"}, r"slow\.txt, line 1: .* no attribute 'took'"),
        ({"very_slow.resolved": "{{ nothing }}"}, r"very_slow\.resolved\.txt, line 1: 'nothing'"),
        ({"slow": '{% extends "none.txt" %}'}, r"slow\.txt: there is no template none\.txt"),
        ({"container_down": "x"}, "template 'container_down', but its name has to begin .*slow"),
        ({"alert": "x"}, "template 'alert', but its name has to begin"),
        ({"slow.txt.gz": "x"}, r"templates is .*not a dict of texts by RULE or RULE\.KIND"),
        ({"slow": b"x"}, "not a dict of texts"), ({"slow": "x" * 64_001}, "not a dict of texts"),
        ([("slow", "x")], "not a dict of texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_fault_of_the_plugin(
    templates: object, says: str, tocsin_manager: Manager
) -> None:
    """Named with the template, its line and what is wrong, before anything runs; the rule is not
    used."""
    manager = tocsin_manager(crawl=module_of(with_templates(templates)))
    (record,) = manager.records
    assert record.status == "failed"
    assert record.reason is not None
    assert re.search(says, record.reason), record.reason
    assert manager.rules == {}


def test_the_conformance_suite_finds_it() -> None:
    """An author sees it in the tests of the plugin."""
    check_rule_conformance(Slow())
    with pytest.raises(AssertionError, match=r"slow\.txt, line 1: 'nothing' is undefined"):
        check_rule_conformance(with_templates({"slow": "{{ nothing }}"})())


def test_one_that_fails_later_costs_no_message(load: Callable[..., Settings]) -> None:
    """The plugin and the line are named, once, and tocsin's own text is used."""
    text = "{{ 1 / details.get('ships', 1) }}"
    declared = load(cls=with_templates({"slow": text})).messages.declared
    said: list[str] = []
    renderer = Renderer(trouble=said.append, declared=declared)
    message = message_of()
    notices = (evolve(message.notices[0], rule="slow", details={"ships": 0}),)
    for _ in range(2):
        assert renderer.words(evolve(message, notices=notices)).title == "CRITICAL: Slow: web"
    assert said == ["template of plugin 'crawl': slow.txt, line 1: division by zero"]


@frozen(kw_only=True)
class Pager(Notifier):
    """Delivers nothing."""

    templates: ClassVar[Mapping[str, str]] = {
        "alert": "{{ target }}: {{ message }}\n",
        "digest": "{{ firing }} alerts\n",
    }

    async def send(self, message: Message) -> Receipt:
        return Receipt()


def pager(templates: object) -> types.ModuleType:
    """A plugin with one notifier, ``pager``."""
    module = types.ModuleType("pagers")
    cls = frozen(kw_only=True)(type("Other", (Pager,), {"templates": templates}))

    @hookimpl
    def tocsin_notifiers() -> dict[str, type[Notifier]]:
        return {"pager": cls}

    vars(module)["tocsin_notifiers"] = tocsin_notifiers
    return module


def test_a_notifier_has_its_own_form(tmp_path: Path, tocsin_manager: Manager) -> None:
    """Its templates replace tocsin's own in its channels alone, also where a rule's template builds
    on them; what it does not declare, and what a person replaces, stays."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/by_hand.txt").write_text("By hand: {{ target }}")
    rule = with_templates(
        {"slow": '{% extends "alert.txt" %}{% block facts %}So slow.{% endblock %}'}
    )
    manager = tocsin_manager(crawl=module_of(rule), pagers=pager(dict(Pager.templates)))
    file = tmp_path / "tocsin.toml"
    file.write_text(
        '[messages]\ntemplates = "texts"\n[channels.duty]\nnotifier = "pager"\n'
        '[rules.mine]\nrule = "slow"\n'
    )
    settings = load_config(file, {}, manager)
    messages = settings.messages
    renderer = Renderer(
        messages.templates, trouble=pytest.fail, declared=messages.declared,
        channels=messages.channels,
    )  # fmt: skip

    def text(channel: str, rule: str, *kinds: Kind) -> str:
        message = message_of(*kinds, text="it broke")
        notices = tuple(evolve(notice, rule=rule) for notice in message.notices)
        return renderer.words(evolve(message, channel=channel, notices=notices)).text

    assert text("duty", "other", Kind.FIRED) == "web: it broke"
    assert text("duty", "mine", Kind.FIRED) == "web: it broke"
    assert text("duty", "mine", Kind.FIRED, Kind.FIRED) == "2 alerts"
    assert text("duty", "by_hand", Kind.FIRED) == "By hand: web"
    assert text("duty", "other", Kind.RESOLVED).startswith("✅ RECOVERED: Other: web")
    assert "So slow." in text("ops", "mine", Kind.FIRED)
    assert redacted(settings)["messages"] == {"templates": str(tmp_path / "texts")}


@pytest.mark.parametrize(
    ("templates", "says"),
    [
        ({"alert": "{{ nothing }}"}, r"alert\.txt, line 1: 'nothing' is undefined"),
        ({"digest": "{{ target }}"}, r"digest\.txt, line 1: 'target' is undefined"),
        ({"test": "{% if %}"}, r"test\.txt, line 1"),
        ({"a b": "x"}, "not a dict of texts by names of templates"),
    ],
)  # fmt: skip
async def test_a_template_of_a_notifier_that_cannot_be_used(
    templates: Mapping[str, str], says: str, tocsin_manager: Manager
) -> None:
    """A fault of its plugin, found when it is loaded."""
    module = pager(templates)
    (record,) = tocsin_manager(pagers=module).records
    assert record.status == "failed"
    assert re.search(says, record.reason or ""), record.reason


async def test_the_conformance_suite_finds_that_of_a_notifier() -> None:
    """As that of a rule."""
    await check_notifier_conformance(Pager())
    with pytest.raises(AssertionError, match=r"alert\.txt, line 1: 'nothing' is undefined"):
        await check_notifier_conformance(
            pager({"alert": "{{ nothing }}"}).tocsin_notifiers()["pager"]()
        )
