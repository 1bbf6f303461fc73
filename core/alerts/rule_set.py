"""Which rules watch a target, and with which policy: the configuration's word, worked out once for
each target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from attrs import evolve, field, frozen

from tocsin.core.alerts.model import Key, Policy
from tocsin.core.contracts.model import REPLICATED, Observation, Target
from tocsin.core.contracts.rule import History, Rule, Verdict
from tocsin.core.plugin.faults import PluginFault, describe, is_ours
from tocsin.core.shapes import fit_verdict


@frozen(kw_only=True)
class BoundRule:
    """A rule under its configured name. ``inline``: it runs in the core's own thread. ``lookback``
    is the rule's, asked once."""

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
    """The rule is tocsin's own: its verdicts are what they say they are."""

    @lookback.default
    def _own(self) -> float:
        return self.rule.lookback

    @_is_typed.default
    def _ours(self) -> bool:
        return is_ours(type(self.rule))

    def has_nothing_in(self, latest: Mapping[str, Observation]) -> bool:
        """Whether no check has seen what the rule looks at."""
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
        """Whether the rule is to be given what history has of the time before a start."""
        return self.lookback > 0 and not self.rule.rule_state_suffices

    def judge(self, history: History, now: datetime) -> tuple[Verdict, str | None]:
        """The rule's verdict, where it runs in the core's own thread, and what was wrong with it
        and is left out. Raises what the rule raises, and PluginFault for what is no verdict."""
        verdict = self.rule.evaluate(history, now)
        if self._is_typed:
            return verdict, None
        return fit_verdict(verdict)

    def watches(self, target: Target) -> bool:
        """Whether the configuration means a target, and the rule has something to say about it. A
        rule that does not run in the core's own thread is asked that elsewhere."""
        kinds = {target.kind, "container"} if target.kind == REPLICATED else {target.kind}
        if self.kinds and kinds.isdisjoint(self.kinds):
            return False
        if not any(fnmatchcase(target.name, pattern) for pattern in self.targets):
            return False
        return not self.inline or self.rule.applies(target)


@frozen
class Judge:
    """Have a rule judge elsewhere; its verdict comes back as the event ``Judged``."""

    rule: BoundRule
    key: Key
    history: History


@frozen(kw_only=True)
class UnavailableRule(Rule):
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
class Faulty(Rule):
    """Stands in for a rule that broke before it could judge.

    Attributes:
        reason: what it did, as a clause.
    """

    reason: str

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Say so again. Raises PluginFault."""
        raise PluginFault(self.reason)


@frozen(kw_only=True)
class RuleSet:
    """All rules. ``overrides[target][rule]`` replaces a rule for one target, None switches it off.

    ``own`` are the policies of the alerts that tocsin raises about itself.
    """

    rules: Mapping[str, BoundRule]
    overrides: Mapping[str, Mapping[str, BoundRule | None]]
    own: Mapping[str, Policy]

    def of(self, target: Target) -> tuple[BoundRule, ...]:
        """The rules that watch a target."""
        special = self.overrides.get(target.name, {})
        chosen = []
        for name in {**self.rules, **special}:
            bound = special[name] if name in special else self.rules[name]
            try:
                if bound is not None and bound.watches(target):
                    chosen.append(bound)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the rule's fault
                assert bound is not None  # noqa: S101
                why = f"{describe(error)} when it was asked whether it applies to {target.name}"
                chosen.append(evolve(bound, rule=Faulty(reason=why), lookback=0.0))
        return tuple(chosen)

    def inhibits(self, rule: str, target: str) -> bool:
        """Whether an alert explains the failures of those that depend on its target."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.inhibits

    def yields(self, rule: str, target: str) -> bool:
        """Whether an alert is explained by a graver one which says that its target is down."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and (bound.rule.inhibits or bound.rule.explained_by_down)

    def leads(self, rule: str, target: str) -> bool:
        """Whether an alert stands for those of its target that say that it is down."""
        bound = self.overrides.get(target, {}).get(rule, self.rules.get(rule))
        return bound is not None and bound.rule.stands_for_down

    def explains(self, rule: str, target: str) -> bool:
        """Whether an alert tells of those that depend on its target, by itself or for others."""
        return self.inhibits(rule, target) or self.leads(rule, target)

    def policy(self, rule: str, target: str) -> Policy:
        """How an alert is treated; the default where its rule is gone."""
        if rule in self.own:
            return self.own[rule]
        bound = self.overrides.get(target, {}).get(rule) or self.rules.get(rule)
        return Policy() if bound is None else bound.policy


EMPTY = RuleSet(rules={}, overrides={}, own={})
