"""What rules see and what they say: severities, histories, verdicts, and the rule contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from attrs import Factory, frozen

from tocsin.core.contracts.model import Event, Observation, Status, Target


class Severity(StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 info, 1 warning, 2 critical."""
        return ("info", "warning", "critical").index(self.value)

    def raised(self) -> Severity:
        """The next one up; critical stays."""
        return (Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL)[self.rank]


class VerdictState(StrEnum):
    """What a rule finds. ``rising``: it has begun, and is not enough for an alert yet."""

    CLEAR = "clear"
    RISING = "rising"
    FIRING = "firing"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Verdict:
    """A rule's finding.

    ``message`` is one sentence; ``details`` go into messages and the API (JSON-serialisable).
    ``rule_state`` is kept, with an alert or without, over restarts of tocsin, and handed back as
    :attr:`History.rule_state`; an ``unknown`` verdict without one leaves what was kept.
    ``recheck_after``: seconds after which time alone may change the verdict. ``recovered``: a clear
    verdict rests on what was seen; else its alert ends because nothing is to be seen any more.
    """

    state: VerdictState
    message: str = ""
    details: Mapping[str, Any] = Factory(dict)
    rule_state: Mapping[str, Any] = Factory(dict)
    recheck_after: float | None = None
    recovered: bool = True

    @classmethod
    def clear(cls, message: str = "", **fields: Any) -> Verdict:
        """All is well."""
        return cls(state=VerdictState.CLEAR, message=message, **fields)

    @property
    def is_no_news(self) -> bool:
        """Where there is no alert and no state is kept, nothing follows from it."""
        quiet = self.state in (VerdictState.CLEAR, VerdictState.UNKNOWN)
        return quiet and self.recheck_after is None and not self.rule_state

    @classmethod
    def over(cls, message: str, **fields: Any) -> Verdict:
        """What was wrong is not to be seen any more (its target, check or metric is gone), which
        does not mean that all is well: people are told that it ended, and by ``message`` why."""
        return cls(state=VerdictState.CLEAR, message=message, recovered=False, **fields)

    @classmethod
    def rising(cls, message: str, **fields: Any) -> Verdict:
        """Something has begun (the first of three failures) that is no alert yet."""
        return cls(state=VerdictState.RISING, message=message, **fields)

    @classmethod
    def firing(cls, message: str, **fields: Any) -> Verdict:
        """It calls for an alert."""
        return cls(state=VerdictState.FIRING, message=message, **fields)

    @classmethod
    def unknown(cls, message: str = "", **fields: Any) -> Verdict:
        """It cannot be told: an alert that is open freezes as it is."""
        return cls(state=VerdictState.UNKNOWN, message=message, **fields)


@frozen(kw_only=True)
class History:
    """A target's recent past, as far as a rule asked for it (:attr:`Rule.lookback`).

    ``latest`` has the newest observation of each check; ``observations`` and ``events`` those
    within the lookback, oldest first. ``failures`` counts, of each check, results that were
    ``down`` in a row. ``source`` names the check that a source feeds (a container's own state), or
    is None. ``firing``: the rule's alert on this target is firing now (for hysteresis).
    ``rule_state`` is what the last verdict asked to be kept. ``checks`` names all checks of the
    target: one that is not in ``latest`` has not been heard of since the start.
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
        """Nothing that is known of the target says anything: every check is ``unknown``."""
        return all(o.result.status is Status.UNKNOWN for o in self.latest.values())


@frozen(kw_only=True)
class Rule(ABC):
    """Turns a target's recent results into a verdict. Pure: the same history and the same ``now``
    give the same verdict, so that ``tocsin replay`` can run it over the past.

    Attributes:
        inhibits: class variable; whether its alert explains the failures of dependent targets,
            which are then not told (it means: this target is down).
        rule_state_suffices: class variable; whether its ``rule_state`` has all that it needs of the
            time before a start of tocsin. Other rules with a lookback are given the results and
            events of then, as far as history has them; their facts about a container are few.
        explained_by_down: class variable; whether its alert is not told while one of a rule that
            inhibits, on the same target and graver, is; of a rule with ``inhibits`` it never is.
        stands_for_down: class variable; whether its alert is told in place of those of rules that
            inhibit, on the same target; it takes over their severity and channels.
    """

    inhibits: ClassVar[bool] = False
    rule_state_suffices: ClassVar[bool] = False
    explained_by_down: ClassVar[bool] = False
    stands_for_down: ClassVar[bool] = False

    @property
    def lookback(self) -> float:
        """Seconds of observations and events that :meth:`evaluate` needs; 0: only the newest."""
        return 0.0

    @property
    def looks_at(self) -> tuple[str, ...] | None:
        """Names of the metrics by which alone :meth:`evaluate` judges: while no check of a target
        has one of them, no alert of the rule is open there and it keeps no state, it is not asked.
        None: it is asked at every result."""
        return None

    def applies(self, target: Target) -> bool:
        """Whether the rule has anything to say about a target. Pure."""
        return True

    @abstractmethod
    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Judge. Pure and quick; called on every result of the target."""
