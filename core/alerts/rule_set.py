"""The rules of the configuration, with their policies: which of them watch a target."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from attrs import evolve, field, frozen

from tocsin.core.alerts.model import Key, Policy
from tocsin.core.contracts.container import REPLICATED
from tocsin.core.contracts.model import Observation, Target
from tocsin.core.contracts.rule import History, Rule, Verdict
from tocsin.core.plugin.faults import PluginFault, describe, is_ours
from tocsin.core.shapes import fit_verdict

DEADLINE = 5.0
"""Timeout, in seconds, of a rule that is evaluated elsewhere."""


@frozen(kw_only=True)
class BoundRule:
    """A rule under its configured name.

    ``inline``: it runs in the core's own thread. ``lookback``: the rule's lookback in seconds, read
    once.
    """

    name: str
    rule: Rule
    plugin: str
    policy: Policy
    targets: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()
    inline: bool = True
    looks_at: tuple[str, ...] | None = None
    lookback: float = field()
    _is_typed: bool = field(init=False, eq=False, repr=False)
    """Whether the rule is built in, so that its verdicts need no validation."""

    @lookback.default
    def _own(self) -> float:
        return self.rule.lookback

    @_is_typed.default
    def _ours(self) -> bool:
        return is_ours(type(self.rule))

    def has_nothing_in(self, latest: Mapping[str, Observation]) -> bool:
        """Return whether no result has a metric that the rule looks at."""
        names = self.looks_at
        if names is None:
            return False
        for seen in latest.values():
            metrics = seen.result.metrics
            for name in names:
                if name in metrics:
                    return False
        return True

    @property
    def reads_back(self) -> bool:
        """Whether the rule needs the stored history from before the start."""
        return self.lookback > 0 and not self.rule.rule_state_suffices

    def judge(self, history: History, now: datetime) -> tuple[Verdict, str | None]:
        """Evaluate the rule in the core's own thread.

        Returns:
            The verdict, and what of it was invalid and left out, or None.

        Raises:
            PluginFault: the result is not a verdict.
            Exception: whatever the rule raises.
        """
        verdict = self.rule.evaluate(history, now)
        if self._is_typed:
            return verdict, None
        return fit_verdict(verdict)

    def watches(self, target: Target) -> bool:
        """Return whether the rule is configured for a target and applies to it.

        For a rule that does not run in the core's own thread, ``applies`` is called elsewhere.
        """
        kinds = {target.kind, "container"} if target.kind == REPLICATED else {target.kind}
        if self.kinds and kinds.isdisjoint(self.kinds):
            return False
        if not any(fnmatchcase(target.name, pattern) for pattern in self.targets):
            return False
        return not self.inline or self.rule.applies(target)


@frozen
class Judge:
    """A request to evaluate a rule elsewhere, on the history that there is when its turn comes; the
    verdict returns as the event ``Judged``."""

    rule: BoundRule
    key: Key


@frozen(kw_only=True)
class UnavailableRule(Rule):
    """Replaces a rule whose plugin cannot be loaded. Its verdict is unknown, so that existing
    alerts freeze and no new ones arise.

    Attributes:
        reason: why the plugin cannot be loaded.
    """

    reason: str

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Return an unknown verdict."""
        return self.verdict(self.reason)

    @staticmethod
    def verdict(reason: str) -> Verdict:
        """Return the verdict of a rule that cannot run for a reason, which is a clause."""
        return Verdict.unknown(f"its rule cannot run: {reason}")


@frozen(kw_only=True)
class Faulty(Rule):
    """Replaces a rule that failed before it could be evaluated.

    Attributes:
        reason: what it did, as a clause.
    """

    reason: str

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Raise PluginFault with the reason."""
        raise PluginFault(self.reason)


@frozen(kw_only=True)
class RuleSet:
    """All rules.

    Attributes:
        rules: the rules by name.
        overrides: by target and name, the rules that replace others for one target; None: the rule
            is disabled there.
        own: the policies of the alerts that tocsin raises about itself.
        unloaded: which plugin failed to load and why, as a clause. It may have declared any rule
            that is not here. None: all plugins loaded.
        disabled: names of the rules that the configuration disables.
    """

    rules: Mapping[str, BoundRule]
    overrides: Mapping[str, Mapping[str, BoundRule | None]]
    own: Mapping[str, Policy]
    unloaded: str | None = None
    disabled: Collection[str] = ()

    def of(self, target: Target) -> tuple[BoundRule, ...]:
        """Return the rules that watch a target."""
        special = self.overrides.get(target.name, {})
        chosen = []
        for name in {**self.rules, **special}:
            bound = special[name] if name in special else self.rules[name]
            try:
                if bound is not None and bound.watches(target):
                    chosen.append(bound)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the rule's fault
                assert bound is not None  # noqa: S101
                why = describe(error, f"when it was asked whether it applies to {target.name}")
                chosen.append(evolve(bound, rule=Faulty(reason=why), lookback=0.0))
        return tuple(chosen)

    def may_lack(self, key: Key) -> bool:
        """Return whether a plugin that failed to load may have declared the rule of an alert."""
        rule, target = key
        known = {*self.rules, *self.overrides.get(target, {}), *self.disabled}
        return self.unloaded is not None and rule not in known

    def unwatched(self, key: Key) -> Verdict:
        """Return the verdict on an alert that no rule watches any more."""
        if self.may_lack(key):
            return UnavailableRule.verdict(f"no plugin provides it, but {self.unloaded}")
        return Verdict.over("its rule was removed")

    def inhibits(self, rule: str, target: str) -> bool:
        """Return whether an alert explains the failures of targets that depend on its target."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.inhibits

    def yields(self, rule: str, target: str) -> bool:
        """Return whether a more severe alert that says that the target is down may explain this
        one."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and (bound.rule.inhibits or bound.rule.explained_by_down)

    def leads(self, rule: str, target: str) -> bool:
        """Return whether an alert stands for those of its target that say that it is down."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.stands_for_down

    def explains(self, rule: str, target: str) -> bool:
        """Return whether an alert lists the targets that depend on its target."""
        return self.inhibits(rule, target) or self.leads(rule, target)

    def policy(self, rule: str, target: str) -> Policy:
        """Return an alert's policy; the default if its rule no longer exists."""
        if rule in self.own:
            return self.own[rule]
        bound = self.overrides.get(target, {}).get(rule) or self.rules.get(rule)
        return Policy() if bound is None else bound.policy


EMPTY = RuleSet(rules={}, overrides={}, own={})
