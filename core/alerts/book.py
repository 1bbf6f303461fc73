"""Which rules watch a target, and with which policy: the configuration's word, worked out once for
each target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from attrs import frozen

from tocsin.core.alerts.model import Policy
from tocsin.core.model import Target
from tocsin.core.verdicts import History, Rule, Verdict


@frozen(kw_only=True)
class Bound:
    """A rule under its configured name. ``inline``: it runs in the core's own thread."""

    name: str
    rule: Rule
    plugin: str
    policy: Policy
    targets: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()
    inline: bool = True

    def watches(self, target: Target) -> bool:
        """Whether the configuration means a target, and the rule has something to say about it."""
        if self.kinds and target.kind not in self.kinds:
            return False
        if not any(fnmatchcase(target.name, pattern) for pattern in self.targets):
            return False
        return self.rule.applies(target)


@frozen(kw_only=True)
class Blind(Rule):
    """Stands in for a rule whose plugin does not load: nothing is known of what it would find, so
    that its alerts freeze, and none is new.

    Attributes:
        reason: why it does not load.
    """

    reason: str

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Nothing can be said."""
        return Verdict.unknown(f"its rule cannot run: {self.reason}")


@frozen(kw_only=True)
class Book:
    """All rules. ``overrides[target][rule]`` replaces a rule for one target, None switches it off.

    ``own`` are the policies of the alerts that tocsin raises about itself.
    """

    rules: Mapping[str, Bound]
    overrides: Mapping[str, Mapping[str, Bound | None]]
    own: Mapping[str, Policy]

    def of(self, target: Target) -> tuple[Bound, ...]:
        """The rules that watch a target."""
        special = self.overrides.get(target.name, {})
        chosen = []
        for name in {**self.rules, **special}:
            bound = special[name] if name in special else self.rules[name]
            if bound is not None and bound.watches(target):
                chosen.append(bound)
        return tuple(chosen)

    def inhibits(self, rule: str, target: str) -> bool:
        """Whether an alert explains the failures of those that depend on its target."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.inhibits

    def leads(self, rule: str, target: str) -> bool:
        """Whether an alert stands for those of its target that say that it is down."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.stands_for_down

    def policy(self, rule: str, target: str) -> Policy:
        """How an alert is treated; the default where its rule is gone."""
        if rule in self.own:
            return self.own[rule]
        bound = self.overrides.get(target, {}).get(rule) or self.rules.get(rule)
        return Policy() if bound is None else bound.policy


EMPTY = Book(rules={}, overrides={}, own={})
