"""Rules from their tables: the default ones, which plugins declare, and those of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tocsin.core.alerts.model import Policy
from tocsin.core.config.alerting import OWN_ALERTS
from tocsin.core.config.core_settings import AlertSettings
from tocsin.core.config.errors import Catalog, Path, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import RuleSettings
from tocsin.core.config.structure import DEADLINE, build, construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts.rule import Rule, Severity
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, is_ours
from tocsin.core.shapes import is_number
from tocsin.core.shapes import show as show_any
from tocsin.core.shapes.look import LONGEST_WAIT
from tocsin.core.units import Seconds, parse_duration

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


def default_rules(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return the tables of the default rules by name, as the classes of the rules declare them.

    The order is that in which a target's rules are evaluated: first those that relate to targets
    that are down, so that an alert that stands for others begins before them; of each class the
    first rule, then the second.
    """
    found = [
        (not _concerns_down(entry.cls), number, name, {"rule": rule, **table})
        for rule, entry in catalog.rules.items()
        for number, (name, table) in enumerate(entry.cls.autostart.items())
    ]
    return {name: table for *_, name, table in sorted(found, key=lambda each: each[:2])}


def _concerns_down(cls: type[Rule]) -> bool:
    return cls.inhibits or cls.explained_by_down or cls.stands_for_down


class RuleMaker:
    """Builds rules from their tables.

    Args:
        catalog: the plugins.
        problems: collects what is wrong.
        alerts: settings for all alerts, used where a table sets nothing else.
        warnings: collects what is wrong with default rules.
    """

    def __init__(
        self, catalog: Catalog, problems: Problems, alerts: AlertSettings, warnings: list[str]
    ) -> None:
        self._catalog = catalog
        self._problems = problems
        self._alerts = alerts
        self._warnings = warnings

    def rules(self, tables: Mapping[str, Any]) -> dict[str, RuleSettings]:
        """Return all rules by name: the default ones with their changes, and added ones."""
        made = {}
        defaults = default_rules(self._catalog)
        for name in {**defaults, **tables}:
            if name in OWN_ALERTS:
                continue
            path = ("rules", name)
            if name not in tables:
                rule = self._default(name, defaults[name])
            elif (table := self._over(defaults.get(name), tables[name], path)) is not None:
                rule = self.rule(name, table, path)
            else:
                rule = None
            if rule is not None:
                made[name] = rule
        return made

    def _default(self, name: str, table: Mapping[str, Any]) -> RuleSettings | None:
        """Return a default rule as its plugin declares it. If the table is wrong, that is the
        plugin's fault, not the user's: it becomes a warning, and the rule is left out."""
        problems = Problems(f"plugin {self._catalog.rules[table['rule']].plugin}")
        maker = RuleMaker(self._catalog, problems, self._alerts, self._warnings)
        rule = maker.rule(name, table, ("rules", name))
        self._warnings += [f"{problem}; the rule is left out" for problem in problems.found]
        return None if problems.found else rule

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
        rule_name, entry = table.get("rule") or "", None
        if not rule_name and (lost := self._catalog.unloaded(disabled=True)) is not None:
            broken: str | None = f"no plugin declares it, but {lost}"
        elif not rule_name or not isinstance(rule_name, str):
            self._problems.missing((*path, "rule"), "must be given: the name of a rule in quotes")
            return None
        else:
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
