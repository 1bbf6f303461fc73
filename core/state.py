"""What is known now: targets, their checks and last results. In memory, rebuilt on start."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import define, evolve, frozen

from tocsin.core.contracts.model import (
    Container,
    Heartbeat,
    Observation,
    Result,
    Status,
    Target,
    worst,
)

REMOVED_KEPT = 10_000
"""Targets gone that are remembered, for those who ask what has changed since they last looked."""


@define(eq=False)
class CheckState:
    """One check of one target as it stands."""

    target: str
    name: str
    probe: str
    interval: float
    """Seconds between two runs (of a source: between two samples)."""
    polled: bool = True
    broken: str | None = None
    """Why the check cannot run at all, or None."""
    remark: bool = False
    """It only reports labels that were ignored, and sees nothing of the target."""
    last: Observation | None = None
    since: datetime | None = None
    """Since when the status is what it is."""
    failures: int = 0
    """Results other than up, in a row."""
    runs: int = 0
    skipped: int = 0
    """Runs left out because the one before was still going, or came too late."""

    @property
    def id(self) -> str:
        """``target/name``."""
        return f"{self.target}/{self.name}"

    @property
    def status(self) -> Status:
        """The status last seen; unknown before the first result."""
        return Status.UNKNOWN if self.last is None else self.last.result.status


@frozen
class _Summary:
    """What the checks of a target come to, at a revision."""

    revision: int
    status: Status
    last_seen: datetime | None
    container: Container | None


@define(eq=False)
class TargetState:
    """One target as it stands."""

    target: Target
    declared: bool
    """Named in the configuration."""
    source: str | None
    """The source that sees it, or None."""
    checks: dict[str, CheckState]
    first_seen: datetime
    revision: int = 0
    """The number of its latest change; see :class:`LiveState`."""
    _summary: _Summary | None = None
    """Made once for each revision: it is asked for far more often than it changes."""

    @property
    def status(self) -> Status:
        """The worst status of the checks that have seen something; else unknown.

        An unknown check beside one that sees does not make the target unknown: but where none
        is down or degraded and one is unknown, the target is not known to be up.
        """
        return self._summed_up().status

    def _summed_up(self) -> _Summary:
        if self._summary is None or self._summary.revision != self.revision:
            last = [check.last for check in self.checks.values() if check.last is not None]
            self._summary = _Summary(
                self.revision,
                worst([check.status for check in self._seeing()]),
                max((seen.at for seen in last), default=None),
                next((facts for seen in last if (facts := seen.result.container)), None),
            )
        return self._summary

    def _seeing(self) -> list[CheckState]:
        """The checks by which the target is judged; a remark only where there is nothing else."""
        every = list(self.checks.values())
        return [check for check in every if not check.remark] or every

    @property
    def worst_check(self) -> CheckState | None:
        """The check that decides the status. Of several, what a source saw says most (a container
        that has crashed explains the refused connection); then the longest-standing one."""
        status = self.status
        deciding = [c for c in self._seeing() if c.status is status and c.last is not None]
        return min(deciding, key=lambda c: (c.polled, c.since is None, c.since), default=None)

    @property
    def message(self) -> str:
        """The sentence of the check that decides the status."""
        check = self.worst_check
        return "no result yet" if check is None or check.last is None else check.last.result.message

    @property
    def since(self) -> datetime | None:
        """Since when the deciding check is in its status."""
        check = self.worst_check
        return None if check is None else check.since

    @property
    def last_seen(self) -> datetime | None:
        """When the newest result of any check came."""
        return self._summed_up().last_seen

    @property
    def container(self) -> Container | None:
        """The facts its source gave last, where it is a container."""
        return self._summed_up().container


@frozen
class StatusChange:
    """A check went from one status to another."""

    target: str
    check: str
    at: datetime
    before: Status | None
    after: Status
    message: str


class LiveState:
    """All targets by name. The monitor alone changes it; everybody may read it, from the core's
    event loop.

    Its news are ``target`` (name, what happened), ``result`` (every observation) and ``status``
    (every change of a check's status).

    Every change has a running number, which the changed target keeps: a reader that knows the
    number of the last change it has seen can ask for later ones. ``epoch`` distinguishes the
    numbers of this process from those of another.
    """

    def __init__(self) -> None:
        self.targets: dict[str, TargetState] = {}
        self.beats: dict[str, Heartbeat] = {}
        """The last beat of each job, by key."""
        self.news: list[tuple[str, Any]] = []
        """Kind and data of what has changed; the monitor publishes and clears it."""
        self.epoch = secrets.token_hex(6)
        self.revision = 0
        """The number of the latest change."""
        self._removed: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0
        """The number of the latest removal that is remembered no more."""

    def __iter__(self) -> Iterator[TargetState]:
        return iter(self.targets.values())

    def put(self, target: Target, *, declared: bool, source: str | None, at: datetime) -> bool:
        """Add a target, or replace what is known of it; its checks and results stay. False where
        nothing changed."""
        known = self.targets.get(target.name)
        if known is None:
            self.targets[target.name] = known = TargetState(target, declared, source, {}, at)
            self._touch(known)
            self.news.append(("target", {"target": target.name, "change": "added"}))
            return True
        if (known.target, known.declared, known.source) != (target, declared, source):
            if known.target.kind != target.kind:  # to those who watch one kind, it is gone
                self._remember_removed(target.name)
            known.target, known.declared, known.source = target, declared, source
            self._touch(known)
            self.news.append(("target", {"target": target.name, "change": "changed"}))
            return True
        return False

    def removed_since(self, number: int) -> list[str] | None:
        """Names of targets that went, or changed their kind, after the change ``number``; None
        where that is not remembered (any more), or has not been yet.

        Some of them may be back by now.
        """
        if not self._forgotten <= number <= self.revision:
            return None
        return [name for name, gone in self._removed.items() if gone > number]

    def _touch(self, state: TargetState) -> None:
        self.revision += 1
        state.revision = self.revision

    def _remember_removed(self, name: str) -> None:
        self.revision += 1
        self._removed.pop(name, None)
        self._removed[name] = self.revision
        if len(self._removed) > REMOVED_KEPT:
            self._forgotten = self._removed.popitem(last=False)[1]

    def drop(self, name: str) -> bool:
        """Forget a target and its checks. False where it is not known."""
        if self.targets.pop(name, None) is None:
            return False
        self._remember_removed(name)
        self.news.append(("target", {"target": name, "change": "removed"}))
        return True

    def put_check(self, check: CheckState) -> bool:
        """Add a check to a target that is there, keeping the results of one of the same name; of
        such a one False."""
        target = self.targets[check.target]
        checks = target.checks
        known = checks.get(check.name)
        kept = check if known is None else known
        checks[check.name] = evolve(
            check, last=kept.last, since=kept.since, failures=kept.failures, runs=kept.runs,
            skipped=kept.skipped,
        )  # fmt: skip
        self._touch(target)
        return known is None

    def drop_check(self, target: str, name: str) -> bool:
        """Forget one check. False where it is not known."""
        known = self.targets.get(target)
        if known is None or known.checks.pop(name, None) is None:
            return False
        self._touch(known)
        return True

    def skip(self, target: str, name: str, missed: int) -> None:
        """Runs of a check were left out."""
        known = self.targets.get(target)
        if known is not None and (check := known.checks.get(name)) is not None:
            check.skipped += missed

    def record(self, observation: Observation) -> bool:
        """Take in a result. False where the target or check is not (or no longer) known."""
        target = self.targets.get(observation.target)
        check = None if target is None else target.checks.get(observation.check)
        if target is None or check is None:
            return False
        before, result = check.last, observation.result
        check.last = observation
        check.runs += 1
        check.failures = 0 if result.status is Status.UP else check.failures + 1
        if before is None or before.result.status is not result.status:
            check.since = observation.at
        self._touch(target)
        self.news.append(("result", observation))
        if before is None or _differs(before.result, result):
            change = StatusChange(
                target=observation.target,
                check=observation.check,
                at=observation.at,
                before=None if before is None else before.result.status,
                after=result.status,
                message=result.message,
            )
            self.news.append(("status", change))
        return True


def _differs(before: Result, after: Result) -> bool:
    """News for a reader: another status, or another reason for the same one."""
    if before.status is not after.status:
        return True
    if before.container is None or after.container is None:
        return False
    return before.container.reason is not after.container.reason
