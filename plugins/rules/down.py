"""The rules ``down``, a target does not run or fails its checks, and ``replicas``, some instances
of a service do not run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from attrs import field, frozen, validators

from tocsin import (
    Container,
    History,
    Observation,
    Reason,
    Result,
    Rule,
    Status,
    Target,
    Verdict,
    hookimpl,
)


class Of(StrEnum):
    """What is looked at."""

    RUNNING = "running"
    CHECKS = "checks"


_PASSING = Verdict.clear("its checks pass")


@frozen(kw_only=True)
class DownRule(Rule):
    """Fire when a target is down.

    Attributes:
        of: "running": what its source says of it (a container that is not running); "checks": its
            own checks (http, tcp, a query, the health check of the image).
        failures: how many results in a row must be down before a check counts as failed.
        paused: whether a paused container counts as down.
    """

    inhibits: ClassVar[bool] = True

    of: Of = Of.RUNNING
    failures: int = field(default=1, validator=[validators.ge(1), validators.le(100)])
    paused: bool = True

    def applies(self, target: Target) -> bool:
        """Whether an instance of a service runs is a matter of the service."""
        return self.of is not Of.RUNNING or target.service is None

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Judge by the newest results."""
        return self._running(history) if self.of is Of.RUNNING else self._checks(history)

    def _running(self, history: History) -> Verdict:
        last = history.latest.get(history.source or "")
        if last is None:
            # Not seen by a source: its own checks decide, in the other mode.
            gone = history.source is None
            return Verdict.over("no source sees it any more") if gone else Verdict.unknown()
        result, facts = last.result, last.result.container
        if result.status is Status.UNKNOWN:
            return Verdict.unknown(result.message)
        reason = str(facts.reason if facts is not None else result.attributes.get("reason", ""))
        looping = reason == Reason.RESTARTING
        # A container between two crashes is not back, though it runs for a moment; nor is one that
        # is about to be made anew.
        if not looping and result.status is not Status.DOWN:
            if result.attributes.get("one_off"):
                return Verdict.over(result.message)
            between = result.status is Status.DEGRADED
            if between and result.attributes.get("replacing"):  # a waiting alert does not end
                return Verdict.unknown(result.message)
            if between and history.firing and not _runs(facts):
                return Verdict.unknown(result.message)
            return Verdict.clear(result.message)
        if reason == Reason.PAUSED and not self.paused:
            return Verdict.clear(result.message)
        return Verdict.firing(result.message, details=_details(last, reason))

    def _checks(self, history: History) -> Verdict:
        needed = 1 if history.firing else self.failures
        failed: list[Observation] = []
        rising: list[tuple[int, Observation]] = []
        seen = unknown = 0
        # What the verdict rests on: the checks that fail, and those that did when last seen.
        rule_state = _unseen(history)
        for name, last in history.latest.items():
            if name == history.source:
                if name in history.rule_state and _says_nothing(last.result):
                    rule_state[name] = history.rule_state[name]
                continue
            seen += 1
            if last.result.status is Status.DOWN:
                count = _count(history, name, last)
                rule_state[name] = self._kept(history, name) or [count, last.at.timestamp()]
                if count >= needed:
                    failed.append(last)
                else:
                    rising.append((count, last))
            elif last.result.status is Status.UNKNOWN:
                unknown += 1
        if (own := _health_of_image(history)) is not None:
            seen += 1
            if own.result.container is not None and own.result.container.health == "unhealthy":
                failed.append(own)
                rule_state[own.check] = [self.failures, 0.0]
        if failed:
            message = "; ".join(f"{_name(o)}: {o.result.message}" for o in failed[:5])
            details = _details(failed[0], "") | {"checks": [o.check for o in failed]}
            return Verdict.firing(message, details=details, rule_state=rule_state)
        if rising:
            count, last = rising[0]
            text = f"{last.check} failed {count} of {self.failures} times: {last.result.message}"
            return Verdict.rising(text, rule_state=rule_state)
        if rule_state or (unknown and unknown == seen):
            return Verdict.unknown("what would tell cannot be seen now", rule_state=rule_state)
        lost = [
            n
            for n in history.rule_state
            if n not in history.latest or (n == history.source and not own)
        ]
        return (
            Verdict.over(f"what failed is checked no more: {', '.join(lost)}") if lost else _PASSING
        )

    def _kept(self, history: History, check: str) -> list[float] | None:
        """Return the kept state of a check that had failed often enough already; unchanged, so that
        a lasting alert is not written to the journal for each result."""
        carried: list[float] | None = history.rule_state.get(check)
        return carried if carried is not None and carried[0] >= self.failures else None


def _runs(facts: Container | None) -> bool:
    return facts is None or facts.state in ("running", "paused")


def _says_nothing(result: Result) -> bool:
    """Whether a container's health check cannot say anything now: it has not yet since the start,
    or what it looks at does not run, though it is not done."""
    facts = result.container
    if facts is None:
        return False
    return facts.health == "starting" or not (_runs(facts) or facts.reason is Reason.COMPLETED)


def _unseen(history: History) -> dict[str, list[float]]:
    """What was carried of checks that cannot be seen now, or were not yet since a start."""
    return {
        name: carried
        for name, carried in history.rule_state.items()
        if (
            last.result.status is Status.UNKNOWN
            if (last := history.latest.get(name)) is not None
            else name in history.checks
        )
    }


def _count(history: History, check: str, last: Observation) -> int:
    """Failures in a row, those before a restart of tocsin included: ``rule_state`` has the count,
    and the moment of the last result that went into it."""
    count = history.failures.get(check, 0)
    if check in history.rule_state:
        before, at = history.rule_state[check]
        count = max(count, int(before) + (last.at.timestamp() > at))
    return count


def _health_of_image(history: History) -> Observation | None:
    """The source's result, where the container has a health check: the engine has counted its
    failures already (``retries`` of HEALTHCHECK). It calls each one unhealthy that has ended."""
    last = history.latest.get(history.source or "")
    if last is None or last.result.status is Status.UNKNOWN:
        return None
    facts = last.result.container
    if facts is None or not _runs(facts):
        return None
    return last if facts.health in ("healthy", "unhealthy") else None


def _name(observation: Observation) -> str:
    return "health check" if observation.result.container is not None else observation.check


def _details(observation: Observation, reason: str) -> dict[str, Any]:
    details: dict[str, Any] = {"check": observation.check}
    if reason:
        details["reason"] = reason
    facts = observation.result.container
    if facts is not None:
        details |= {
            "state": facts.state,
            "exit_code": facts.exit_code,
            "oom_killed": facts.oom_killed,
            "restart_count": facts.restart_count,
            "image": facts.image,
            "health": facts.health,
        }
        if facts.started_at is not None:
            details["last_start"] = facts.started_at.isoformat()
    return details


@frozen(kw_only=True)
class ReplicasRule(Rule):
    """Fire when some instances of a service do not serve."""

    explained_by_down: ClassVar[bool] = True

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Judge by what the service's source counted last."""
        last = history.latest.get(history.source or "")
        metrics = {} if last is None else last.result.metrics
        down = metrics.get("replicas_down")
        # Where some are down and the others cannot be seen, so much is known.
        if last is None or (last.result.status is Status.UNKNOWN and not down):
            return Verdict.unknown("" if last is None else last.result.message)
        if down is None:
            if last.result.attributes.get("replacing"):
                return Verdict.unknown(last.result.message)
            if history.firing and last.result.status is Status.UP:
                return Verdict.over("it has no replicas any more")
            return Verdict.unknown() if history.firing else _PASSING
        if not down:
            return Verdict.clear(last.result.message)
        details = {"check": last.check, "replicas": metrics.get("replicas"), "down": down}
        return Verdict.firing(last.result.message, details=details)


@hookimpl
def tocsin_rules() -> dict[str, type[Rule]]:
    """Announce the rules."""
    return {"down": DownRule, "replicas": ReplicasRule}
