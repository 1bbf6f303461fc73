"""The section ``[messages]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from tocsin.core.config.core_settings import MessageSettings
from tocsin.core.config.errors import Catalog, CatalogEntry, Problems
from tocsin.core.config.settings import ChannelSettings, RuleSettings
from tocsin.core.config.structure import build
from tocsin.core.templates.declared import PluginTemplate, TemplateProblem, file_name_of


@frozen(kw_only=True)
class _Table:
    templates: Path | None = None


def make_messages(
    table: Any,
    base: Path,
    problems: Problems,
    rules: Mapping[str, RuleSettings],
    channels: Mapping[str, ChannelSettings],
    catalog: Catalog,
) -> MessageSettings:
    """Build the section and check its templates.

    Args:
        table: the section.
        base: directory of the configuration file; a relative path is relative to it.
        problems: collects what is wrong, such as a template that cannot be rendered.
        rules: all rules.
        channels: all channels.
        catalog: the plugins.
    """
    declared = _declared(rules, catalog)
    made = MessageSettings(
        declared=declared,
        channels={
            name: _templates(catalog.notifiers[channel.notifier_name])
            for name, channel in channels.items()
            if channel.notifier_name in catalog.notifiers
        },
    )
    said = build(_Table, table, ("messages",), problems)
    if said is None or said.templates is None:
        return made
    from tocsin.core.templates.checks import check_directory  # here: it imports Jinja

    directory = base / said.templates
    try:
        check_directory(directory, declared)
    except TemplateProblem as problem:
        problems.add(("messages", "templates"), str(problem))
    return evolve(made, templates=directory)


def _templates(entry: CatalogEntry) -> dict[str, PluginTemplate]:
    """Return the templates that a class declares, by file name."""
    return {
        f"{name}.txt": PluginTemplate(plugin=entry.plugin, text=text)
        for name, text in entry.cls.templates.items()
    }


def _declared(rules: Mapping[str, RuleSettings], catalog: Catalog) -> dict[str, PluginTemplate]:
    """Return the templates that rules declare, by file name. One that is about a rule of a plugin
    is there for every alert of that rule, unless one is about that alert."""
    found: dict[str, PluginTemplate] = {}
    for entry in catalog.rules.values():
        found |= _templates(entry)
    for name, rule in rules.items():
        if rule.rule_name in catalog.rules:
            for template in catalog.rules[rule.rule_name].cls.templates:
                about, dot, kind = template.partition(".")
                if about == file_name_of(rule.rule_name):
                    alert = f"{file_name_of(name)}{dot}{kind}.txt"
                    found.setdefault(alert, found[f"{template}.txt"])
    return found
