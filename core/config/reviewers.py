"""Reviewers: each that a plugin provides runs, with its defaults or with the options of its table,
``[reviewers.NAME]`` or the top-level table that its class names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.observers import make_part
from tocsin.core.config.settings import ReviewerSettings
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.reviewer import Reviewer


def sections_of(catalog: Catalog) -> dict[str, str]:
    """Return the names of reviewers by their top-level table, for those that have one."""
    every = {entry.cls.section: name for name, entry in catalog.reviewers.items()}
    return {section: name for section, name in every.items() if section is not None}


def make_reviewers(
    tree: Mapping[str, Any],
    tables: Mapping[str, Any],
    catalog: Catalog,
    problems: Problems,
    idle: dict[str, str],
) -> dict[str, ReviewerSettings]:
    """Build every reviewer that a plugin provides.

    Args:
        tree: the whole configuration.
        tables: its ``[reviewers]``.
        catalog: the plugins.
        problems: collects the errors.
        idle: collects what lacks an option.
    """
    made: dict[str, ReviewerSettings] = {}
    sections = {name: section for section, name in sections_of(catalog).items()}
    for name in tables:
        if name in sections:
            problems.add(("reviewers", name), f"its options belong into [{sections[name]}]")
        elif name not in catalog.reviewers:
            if reason := catalog.missing(name):
                made[name] = ReviewerSettings(
                    name=name, plugin=None, reviewer=None, broken=reason, options={}
                )
            else:
                hint = did_you_mean(name, catalog.reviewers)
                text = f"no plugin provides a reviewer called {name!r}; {hint}"
                problems.add(("reviewers", name), text)
    for name, entry in catalog.reviewers.items():
        section = sections.get(name)
        path = ("reviewers", name) if section is None else (section,)
        table = tables.get(name) if section is None else tree.get(section)
        part = make_part(entry, table, path, problems, f"reviewer.{name}", idle)
        if part is not None and (part.broken is not None or isinstance(part.instance, Reviewer)):
            made[name] = ReviewerSettings(
                name=name, plugin=entry.plugin, reviewer=part.instance, broken=part.broken,
                options=part.options, section=section,
            )  # fmt: skip
    return made
