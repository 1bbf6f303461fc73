"""The configuration of alerts: rules, policies and maintenance windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import Factory, frozen

from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_set import BoundRule, RuleSet, UnavailableRule
from tocsin.core.alerts.silences import Window, check_schedule
from tocsin.core.config.errors import Catalog, Path, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import AlertSettings, RuleSettings, Settings
from tocsin.core.config.structure import DEADLINE, build, construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.rule import Rule, Severity
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, is_ours
from tocsin.core.shapes import is_number
from tocsin.core.shapes import show as show_any
from tocsin.core.shapes.look import LONGEST_WAIT
from tocsin.core.units import Seconds, parse_duration, time_zone

DEFAULT_RULES: Mapping[str, Mapping[str, Any]] = {
    "container_down": {
        "rule": "down", "of": "running", "for": "1m", "severity": "critical",
        "kinds": ["container"],
    },
    "replicas_down": {
        "rule": "replicas", "for": "1m", "kinds": ["container"],
    },
    "container_restarting": {"rule": "restart-loop", "restarts": 3, "window": "5m"},
    "health_check_failed": {"rule": "down", "of": "checks", "failures": 3},
    "out_of_memory": {
        "rule": "thresholds", "metric": "oom_kills", "operator": ">=", "level": 2, "clear": 1,
    },
    "high_memory": {"rule": "thresholds", "metric": "memory_percent", "level": 90, "clear": 85},
    "high_cpu": {
        "rule": "thresholds", "metric": "cpu_percent", "level": 95, "clear": 85, "for": "2m",
    },
    "disk_space_low": {
        "rule": "thresholds", "metric": "disk_free_percent", "operator": "<", "level": 10,
        "clear": 12, "severity": "critical",
    },
    "above_expected": {"rule": "thresholds", "times_expected": 2, "for": "10m"},
}  # fmt: skip
"""The default rules. A ``[rules.NAME]`` table changes single keys of one."""

OWN_ALERTS: Mapping[str, Mapping[str, Any]] = {
    "monitor_impaired": {"for": "15s", "severity": "critical", "channels": ["*"]},
    "plugin_failed": {"severity": "warning"},
}
"""The policies of alerts that tocsin raises about itself."""

MOST_NAMES = 100
"""Most metrics that a rule may name in ``looks_at``."""

MOST_LOOKBACK = LONGEST_WAIT
"""Longest time that a rule may look back, in seconds."""

_POLICY = (
    "for", "severity", "channels", "cooldown", "escalate_after", "escalation_channels",
    "enabled", "targets", "kinds",
)  # fmt: skip


@frozen(kw_only=True)
class _PolicyTable:
    severity: Severity = Severity.WARNING
    channels: tuple[str, ...] | None = None
    cooldown: Seconds | None = None
    escalate_after: int | None = None
    escalation_channels: tuple[str, ...] | None = None
    enabled: bool = True
    targets: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()


@frozen(kw_only=True)
class _WindowTable:
    schedule: str
    duration: Seconds
    timezone: str | None = None
    match: tuple[str, ...] = Factory(tuple)


class RuleMaker:
    """Builds rules from their tables.

    Args:
        catalog: the plugins.
        problems: collects what is wrong.
        alerts: settings for all alerts, used where a table sets nothing else.
    """

    def __init__(self, catalog: Catalog, problems: Problems, alerts: AlertSettings) -> None:
        self._catalog = catalog
        self._problems = problems
        self._alerts = alerts

    def rules(self, tables: Mapping[str, Any]) -> dict[str, RuleSettings]:
        """Return all rules by name: the default ones with their changes, and added ones."""
        made = {}
        for name in {**DEFAULT_RULES, **tables}:
            if name in OWN_ALERTS:
                continue
            given = tables.get(name, {})
            if name not in tables and not self._to_be_had(DEFAULT_RULES[name]["rule"]):
                continue
            table = self._over(DEFAULT_RULES.get(name), given, ("rules", name))
            if table is not None:
                rule = self.rule(name, table, ("rules", name))
                if rule is not None:
                    made[name] = rule
        return made

    def _to_be_had(self, rule: str) -> bool:
        """Return whether the plugin of a default rule is known; core can run without plugins."""
        return rule in self._catalog.rules or self._catalog.missing(rule) is not None

    def own(self, tables: Mapping[str, Any]) -> dict[str, Policy]:
        """Return the policies of alerts that tocsin raises about itself."""
        policies = {}
        for name, default in OWN_ALERTS.items():
            path = ("rules", name)
            table = self._over(default, tables.get(name, {}), path) or {}
            for key in sorted(set(table) - set(_POLICY)):
                self._problems.add(
                    (*path, key), f"there is no such key; {did_you_mean(key, _POLICY)}"
                )
            found = self._policy({k: v for k, v in table.items() if k in _POLICY}, path)
            if found is not None:
                policies[name] = found[0]
        return policies

    def _over(
        self, default: Mapping[str, Any] | None, given: Any, path: Path
    ) -> dict[str, Any] | None:
        """Merge a table into its default; None if it is not a table."""
        if not isinstance(given, Mapping):
            self._problems.add(path, f"expected a table, got {show(given)}")
            return None
        base = dict(default or {})
        if "rule" in given and given["rule"] != base.get("rule"):
            base = {}  # a different rule under the same name gets none of the default's options
        if "level" in given and "clear" not in given:
            base.pop("clear", None)
        if "times_expected" in given:
            base = {k: v for k, v in base.items() if k not in ("level", "clear")}
        return {**base, **given}

    def override(self, base: RuleSettings, given: Any, path: Path) -> RuleSettings | None:
        """Return a rule with the changes for one target; None if the table is wrong.

        Args:
            base: the rule without the changes.
            given: the table with the changes.
            path: where the table is in the file.
        """
        table = self._over({"rule": base.rule_name, **base.table}, given, path)
        return None if table is None else self.rule(base.name, table, path)

    def rule(self, name: str, table: Mapping[str, Any], path: Path) -> RuleSettings | None:
        """Return one rule; None if its table is wrong.

        Args:
            name: the rule's own name.
            table: its options, defaults included.
            path: where the table is in the file.
        """
        options = {k: v for k, v in table.items() if k not in (*_POLICY, "rule")}
        found = self._policy({k: v for k, v in table.items() if k in _POLICY}, path)
        rule_name = table.get("rule")
        if not isinstance(rule_name, str):
            self._problems.missing((*path, "rule"), "must be given: the name of a rule in quotes")
            return None
        entry, broken = find_plugin(
            "rule", str(rule_name), self._catalog, (*path, "rule"), self._problems
        )
        instance, lookback, looks_at = None, 0.0, None
        if entry is not None:
            instance, broken = construct(entry.cls, options, path, self._problems)
        if instance is not None:
            lookback, looks_at, broken = needs_of(instance)
            instance = instance if broken is None else None
        if found is None or (instance is None and broken is None):
            return None
        policy, said = found
        return RuleSettings(
            name=name,
            rule_name=str(rule_name),
            plugin=None if entry is None else entry.plugin,
            rule=instance,
            broken=broken,
            table={k: v for k, v in table.items() if k != "rule"},
            policy=policy,
            lookback=lookback,
            looks_at=looks_at,
            enabled=said.enabled,
            targets=said.targets,
            kinds=said.kinds,
        )

    def _policy(self, table: Mapping[str, Any], path: Path) -> tuple[Policy, _PolicyTable] | None:
        """Build a policy; None if the table is wrong."""
        given = dict(table)
        wait = 0.0
        if "for" in given:
            try:
                wait = parse_duration(given.pop("for"))
            except (ValueError, OverflowError) as error:
                self._problems.add((*path, "for"), str(error))
                return None
        said = build(_PolicyTable, given, path, self._problems)
        if said is None:
            return None
        alerts = self._alerts
        cooldown = alerts.cooldown if said.cooldown is None else said.cooldown
        if cooldown < 1:
            self._problems.add((*path, "cooldown"), "must be at least 1 s")
        after = alerts.escalate_after if said.escalate_after is None else said.escalate_after
        if after < 0:
            self._problems.add((*path, "escalate_after"), "must be 0 (never) or more")
        more = said.escalation_channels
        policy = Policy(
            for_seconds=wait,
            severity=said.severity,
            channels=said.channels,
            cooldown=cooldown,
            escalate_after=after,
            escalation_channels=alerts.escalation_channels if more is None else more,
        )
        return policy, said


def needs_of(rule: Rule) -> tuple[float, tuple[str, ...] | None, str | None]:
    """Read and check a rule's ``lookback`` and ``looks_at``, which third-party code provides.

    Returns:
        How far the rule looks back, in seconds; the metrics it looks at, None for all; and what is
            wrong with either, as a clause, or None.
    """
    if is_ours(type(rule)):
        return rule.lookback, rule.looks_at, None
    try:
        back: object = call_with_deadline(lambda: rule.lookback, DEADLINE, "its lookback was read")
        at: object = call_with_deadline(lambda: rule.looks_at, DEADLINE, "its looks_at was read")
    except PluginFault as fault:
        return 0.0, None, str(fault)
    if not is_number(back) or not 0 <= back <= MOST_LOOKBACK:
        wrong = f"{show_any(back)} as its lookback, not seconds from 0 to {MOST_LOOKBACK:g}"
        return 0.0, None, f"gave {wrong}"
    if at is None:
        return float(back), None, None
    if not isinstance(at, tuple) or len(at) > MOST_NAMES or not all(type(n) is str for n in at):
        wrong = f"not a tuple of at most {MOST_NAMES} names of metrics"
        return 0.0, None, f"gave {show_any(at)} as looks_at, {wrong}"
    return float(back), at, None


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


def book_of(settings: Settings, *, inline: Collection[str] | None = None) -> RuleSet:
    """Return all rules as the engine takes them.

    Args:
        settings: the configuration.
        inline: names of the plugins whose rules run in the core's own thread; None: all.
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
