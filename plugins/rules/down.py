"""The rules ``down`` (a target does not run, or its checks fail) and ``replicas`` (some instances
of a service are down)."""

from __future__ import annotations

from collections.abc import Mapping
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
from tocsin.plugins.rules._down_texts import DOWN, REPLICAS


class Of(StrEnum):
    """What the rule judges: the state that a source reports, or the results of checks."""

    RUNNING = "running"
    CHECKS = "checks"


_PASSING = Verdict.clear("its checks pass")


@frozen(kw_only=True)
class DownRule(Rule):
    """Fire when a target is down.

    Attributes:
        of: "running": the state that its source reports (a container that is not running);
            "checks": its own checks (http, tcp, a query, the health check of the image).
        failures: number of consecutive down results after which a check counts as failed.
        paused: whether a paused container counts as down.
    """

    inhibits: ClassVar[bool] = True
    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "container_down": {
            "of": "running", "for": "1m", "severity": "critical", "kinds": ["container"],
        },
        "health_check_failed": {"of": "checks", "failures": 3},
    }  # fmt: skip
    templates: ClassVar[Mapping[str, str]] = DOWN

    of: Of = Of.RUNNING
    failures: int = field(default=1, validator=[validators.ge(1), validators.le(100)])
    paused: bool = True

    def applies(self, target: Target) -> bool:
        """Return False for the instances of a service in mode "running": the service is judged."""
        return self.of is not Of.RUNNING or target.service is None

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Return the verdict on the newest results."""
        return self._running(history) if self.of is Of.RUNNING else self._checks(history)

    def _running(self, history: History) -> Verdict:
        last = history.latest.get(history.source or "")
        if last is None:
            # Without a source only the checks of the target count, which mode "checks" judges.
            gone = history.source is None
            return Verdict.over("no source reports it any more") if gone else Verdict.unknown()
        result, facts = last.result, last.result.container
        if result.status is Status.UNKNOWN:
            return Verdict.unknown(result.message)
        reason = str(facts.reason if facts is not None else result.attributes.get("reason", ""))
        looping = reason == Reason.RESTARTING
        # A container in a restart loop has not recovered, even if it runs for a moment between two
        # crashes. Neither has a container that is being replaced.
        if not looping and result.status is not Status.DOWN:
            if result.attributes.get("one_off"):
                return Verdict.over(result.message)
            between = result.status is Status.DEGRADED
            if between and result.attributes.get("replacing"):  # "clear" would end a pending alert
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
        # The checks that fail now, and those without a result now that failed in their last one.
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
            return Verdict.unknown("its checks have no result now", rule_state=rule_state)
        lost = [
            n
            for n in history.rule_state
            if n not in history.latest or (n == history.source and not own)
        ]
        return Verdict.over(f"no longer checked: {', '.join(lost)}") if lost else _PASSING

    def _kept(self, history: History, check: str) -> list[float] | None:
        """Return the kept state of a check that had already failed often enough, else None. The
        state stays unchanged, so that the journal is not written on each result of a lasting alert.
        """
        carried: list[float] | None = history.rule_state.get(check)
        return carried if carried is not None and carried[0] >= self.failures else None


def _runs(facts: Container | None) -> bool:
    return facts is None or facts.state in ("running", "paused")


def _says_nothing(result: Result) -> bool:
    """Return whether a container's health check has no result now: there was none since the start,
    or the container does not run (but has not completed its work)."""
    facts = result.container
    if facts is None:
        return False
    return facts.health == "starting" or not (_runs(facts) or facts.reason is Reason.COMPLETED)


def _unseen(history: History) -> dict[str, list[float]]:
    """Return the kept state of checks that are ``unknown`` or had no result yet since the start."""
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
    """Return the consecutive failures of a check, including those before a restart of tocsin.

    ``rule_state`` holds the count and the time of the last result in it, in epoch seconds.
    """
    count = history.failures.get(check, 0)
    if check in history.rule_state:
        before, at = history.rule_state[check]
        count = max(count, int(before) + (last.at.timestamp() > at))
    return count


def _health_of_image(history: History) -> Observation | None:
    """Return the source's result if the container runs and has a health check, else None.

    The engine has already counted the failures (``retries`` of HEALTHCHECK). Containers that do not
    run are left out, because the engine reports all of them as unhealthy.
    """
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
    """Fire when some instances of a service are down."""

    explained_by_down: ClassVar[bool] = True
    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "replicas_down": {"for": "1m", "kinds": ["container"]},
    }
    templates: ClassVar[Mapping[str, str]] = REPLICAS

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Return the verdict on the newest count of the service's source."""
        last = history.latest.get(history.source or "")
        metrics = {} if last is None else last.result.metrics
        down = metrics.get("replicas_down")
        # If the state of some instances is unknown, those that are known to be down still count.
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
