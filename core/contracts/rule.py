"""The contract of rules: what a rule is given (a history) and what it returns (a verdict)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from attrs import Factory, frozen

from tocsin.core.contracts.model import Event, Observation, Status, Target


class Severity(StrEnum):
    """How urgent an alert is.

    Attributes:
        INFO: somebody should know.
        WARNING: somebody should look at it soon.
        CRITICAL: somebody has to act now.
    """

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return 0 for info, 1 for warning, 2 for critical."""
        return ("info", "warning", "critical").index(self.value)

    def raised(self) -> Severity:
        """Return the next higher severity; critical stays critical."""
        return (Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL)[self.rank]


class VerdictState(StrEnum):
    """The state that a rule finds.

    Attributes:
        CLEAR: nothing is wrong.
        RISING: something is wrong, but it is no alert yet.
        FIRING: it calls for an alert.
        UNKNOWN: the rule cannot tell; an open alert is frozen.
    """

    CLEAR = "clear"
    RISING = "rising"
    FIRING = "firing"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Verdict:
    """A rule's finding on one target.

    Attributes:
        state: the finding.
        message: one sentence for people.
        details: values for messages and the API; JSON-serialisable.
        rule_state: what the rule wants to remember; JSON-serialisable. It is kept with or without
            an alert, also over restarts of tocsin, and passed back as :attr:`History.rule_state`.
            If an ``unknown`` verdict has none, the state of the verdict before is kept.
        recheck_after: seconds after which time alone may change the verdict, so that the rule has
            to be asked again; None: only a new result can change it.
        recovered: for a clear verdict: whether the target was observed to be well. False: the alert
            ends because its subject can no longer be observed.
    """

    state: VerdictState
    message: str = ""
    details: Mapping[str, Any] = Factory(dict)
    rule_state: Mapping[str, Any] = Factory(dict)
    recheck_after: float | None = None
    recovered: bool = True

    @classmethod
    def clear(cls, message: str = "", **fields: Any) -> Verdict:
        """Return a verdict that nothing is wrong."""
        return cls(state=VerdictState.CLEAR, message=message, **fields)

    @property
    def is_no_news(self) -> bool:
        """Return whether the verdict changes nothing where there is no alert and no kept state."""
        quiet = self.state in (VerdictState.CLEAR, VerdictState.UNKNOWN)
        return quiet and self.recheck_after is None and not self.rule_state

    @classmethod
    def over(cls, message: str, **fields: Any) -> Verdict:
        """Return a verdict that the alert's subject (target, check or metric) no longer exists.

        People are notified that the alert ended, but not that the target is well.

        Args:
            message: the reason, as a clause.
            fields: further fields of the verdict.
        """
        return cls(state=VerdictState.CLEAR, message=message, recovered=False, **fields)

    @classmethod
    def rising(cls, message: str, **fields: Any) -> Verdict:
        """Return a verdict that something is wrong, but not yet enough for an alert (such as the
        first of three failures)."""
        return cls(state=VerdictState.RISING, message=message, **fields)

    @classmethod
    def firing(cls, message: str, **fields: Any) -> Verdict:
        """Return a verdict that calls for an alert."""
        return cls(state=VerdictState.FIRING, message=message, **fields)

    @classmethod
    def unknown(cls, message: str = "", **fields: Any) -> Verdict:
        """Return a verdict that the state is not known; an open alert is then frozen."""
        return cls(state=VerdictState.UNKNOWN, message=message, **fields)


@frozen(kw_only=True)
class History:
    """A target's recent past, as far back as the rule asks for (:attr:`Rule.lookback`).

    Attributes:
        target: the target.
        latest: the newest observation of each check, by the check's name.
        observations: the observations within the lookback, oldest first.
        events: the events within the lookback, oldest first.
        failures: consecutive ``down`` results of each check, by the check's name.
        source: name of the check whose results come from a source (a container's own state); None:
            there is none.
        firing: whether the rule's alert on this target fires now (for hysteresis).
        rule_state: the state that the rule's last verdict carried.
        checks: names of all checks of the target; one that is not in ``latest`` has had no result
            since tocsin started.
    """

    target: Target
    latest: Mapping[str, Observation]
    observations: tuple[Observation, ...] = ()
    events: tuple[Event, ...] = ()
    failures: Mapping[str, int] = Factory(dict)
    source: str | None = None
    firing: bool = False
    rule_state: Mapping[str, Any] = Factory(dict)
    checks: frozenset[str] = frozenset()

    @property
    def unseen(self) -> bool:
        """Return whether every check of the target is ``unknown``."""
        return all(o.result.status is Status.UNKNOWN for o in self.latest.values())


@frozen(kw_only=True)
class Rule(ABC):
    """Turns a target's recent results into a verdict. Pure: the same history and the same ``now``
    give the same verdict, so that ``tocsin replay`` can evaluate the rule on stored history.

    Attributes:
        inhibits: class variable; whether its alert means that the target is down. Failures of
            dependent targets are then explained by it, and their notifications are suppressed.
        rule_state_suffices: class variable; whether its ``rule_state`` holds all that it needs of
            the time before tocsin started. Other rules with a lookback are given the results and
            events of that time from history, with few facts about containers.
        explained_by_down: class variable; whether notifications of its alert are suppressed while a
            more severe alert of a rule with ``inhibits`` fires on the same target. Does not apply
            to rules with ``inhibits`` themselves.
        autostart: class variable; rules that exist even if the configuration does not mention
            them: by name, each with its options and policy as in ``[rules.NAME]``.
        templates: class variable; texts of messages about its alerts, by name: that of a default
            rule, or of the rule itself for all its alerts, and ``.resolved``, ``.ended``,
            ``.flapping``, ``.fired``, ``.repeated`` or ``.escalated`` for one kind of message. A
            file of the user, ``NAME.txt``, replaces one.
        stands_for_down: class variable; whether people are notified of its alert in place of those
            of rules with ``inhibits`` on the same target; it takes over their severity and
            channels.
    """

    inhibits: ClassVar[bool] = False
    rule_state_suffices: ClassVar[bool] = False
    explained_by_down: ClassVar[bool] = False
    stands_for_down: ClassVar[bool] = False
    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    templates: ClassVar[Mapping[str, str]] = {}

    @property
    def lookback(self) -> float:
        """Return the seconds of past that :meth:`evaluate` needs; 0: only the newest results."""
        return 0.0

    @property
    def looks_at(self) -> tuple[str, ...] | None:
        """Return the names of the only metrics that :meth:`evaluate` uses; None: it uses more.

        The core does not call a rule for a target of which no check has one of these metrics,
        unless the rule has an open alert or a kept state there.
        """
        return None

    def applies(self, target: Target) -> bool:
        """Return whether the rule should watch a target. Pure."""
        return True

    @abstractmethod
    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Return the verdict. Pure and quick; called on every result of the target.

        Args:
            history: the target's recent past.
            now: the time of the judgement, aware UTC; use no other clock.
        """
