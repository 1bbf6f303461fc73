"""The configuration of alerts: the rules as the engine takes them, and maintenance windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import Factory, frozen

from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.rule_set import BoundRule, RuleSet, UnavailableRule
from tocsin.core.alerts.silences import Window, check_schedule
from tocsin.core.config.errors import Problems
from tocsin.core.config.settings import RuleSettings, Settings
from tocsin.core.config.structure import build
from tocsin.core.units import Seconds, time_zone

OWN_ALERTS: Mapping[str, Mapping[str, Any]] = {
    "monitor_impaired": {"for": "15s", "severity": "critical", "channels": ["*"]},
    "plugin_failed": {"severity": "warning"},
}
"""The policies of alerts that tocsin raises about itself."""


@frozen(kw_only=True)
class _WindowTable:
    schedule: str
    duration: Seconds
    timezone: str | None = None
    match: tuple[str, ...] = Factory(tuple)


def bound_of(settings: RuleSettings, inline: bool) -> BoundRule | None:
    """Return a rule as the engine takes it; None if it is disabled.

    A rule that cannot run is replaced by one that reports why. ``inline`` rules run in the core's
    own thread.
    """
    if not settings.enabled:
        return None
    blind = settings.rule is None
    return BoundRule(
        name=settings.name,
        rule=settings.rule or UnavailableRule(reason=settings.broken or "it is not available"),
        plugin=settings.plugin or "",
        policy=settings.policy,
        lookback=settings.lookback,
        looks_at=settings.looks_at,
        targets=settings.targets,
        kinds=settings.kinds,
        inline=inline or blind,
    )


def book_of(
    settings: Settings, *, inline: Collection[str] | None = None, unloaded: str | None = None
) -> RuleSet:
    """Return all rules as the engine takes them.

    Args:
        settings: the configuration.
        inline: names of the plugins whose rules run in the core's own thread; None: all.
        unloaded: which plugin failed to load and why, as a clause; None: none did.
    """

    def bind(rule: RuleSettings) -> BoundRule | None:
        return bound_of(rule, inline is None or rule.plugin in inline)

    bound = {name: bind(rule) for name, rule in settings.rules.items()}
    return RuleSet(
        rules={name: one for name, one in bound.items() if one is not None},
        overrides={
            target.name: {name: bind(rule) for name, rule in target.rules.items()}
            for target in settings.targets.values()
            if target.rules
        },
        own=settings.own_alerts,
        unloaded=unloaded,
        disabled=tuple(name for name, one in bound.items() if one is None),
    )


def make_windows(
    tables: Mapping[str, Any], problems: Problems, timezone: str
) -> tuple[Window, ...]:
    """Build the maintenance windows from ``[maintenance.NAME]``."""
    windows = []
    for name, table in tables.items():
        path = ("maintenance", name)
        said = build(_WindowTable, table, path, problems)
        if said is None:
            continue
        before = len(problems.found)
        for key, check in (
            ("schedule", lambda s=said: check_schedule(s.schedule)),
            ("timezone", lambda s=said: time_zone(s.timezone or timezone)),
            ("match", lambda s=said: parse_all(s.match) if s.match else ()),
        ):
            try:
                check()
            except ValueError as error:
                problems.add((*path, key), str(error))
        if not 60 <= said.duration <= 7 * 86400:
            problems.add((*path, "duration"), "must be from '1m' to '7d'")
        if len(problems.found) == before:
            windows.append(
                Window(
                    name=name,
                    schedule=said.schedule,
                    duration=said.duration,
                    timezone=said.timezone or timezone,
                    matchers=parse_all(said.match) if said.match else (),
                )
            )
    return tuple(windows)
