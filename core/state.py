"""The current state of targets and checks, in memory; it is rebuilt at each start."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import define, evolve, frozen

from tocsin.core.contracts.container import Container
from tocsin.core.contracts.model import Heartbeat, Observation, Result, Status, Target, worst

REMOVED_KEPT = 10_000
"""Most removed targets that are remembered, for clients that ask for changes since a revision."""


@define(eq=False)
class CheckState:
    """The current state of one check of one target."""

    target: str
    name: str
    probe: str
    interval: float
    """Seconds between two runs, or between two samples of a source."""
    polled: bool = True
    broken: str | None = None
    """Why the check cannot run, or None."""
    remark: bool = False
    """Whether the check only reports ignored labels, and does not observe the target."""
    last: Observation | None = None
    since: datetime | None = None
    """Time since which the status is unchanged."""
    failures: int = 0
    """Number of consecutive results other than up."""
    runs: int = 0
    skipped: int = 0
    """Number of runs that were skipped because the previous one was still running or late."""

    @property
    def id(self) -> str:
        """Return ``target/name``."""
        return f"{self.target}/{self.name}"

    @property
    def status(self) -> Status:
        """Return the status of the last result; unknown before the first one."""
        return Status.UNKNOWN if self.last is None else self.last.result.status


@frozen
class _Summary:
    """The combined results of a target's checks at a revision."""

    revision: int
    status: Status
    last_seen: datetime | None
    container: Container | None


@define(eq=False)
class TargetState:
    """The current state of one target."""

    target: Target
    declared: bool
    """Whether the configuration names the target."""
    source: str | None
    """Name of the source that discovered the target, or None."""
    checks: dict[str, CheckState]
    first_seen: datetime
    revision: int = 0
    """Number of its latest change; see :class:`LiveState`."""
    _summary: _Summary | None = None
    """Cached for each revision, since it is read far more often than it changes."""
    _worst: tuple[int, CheckState | None] = (-1, None)
    """The check that decides the status, cached likewise, with its revision."""

    @property
    def status(self) -> Status:
        """Return the worst status of the checks: down, degraded, unknown, then up.

        An unknown check does not hide that another one is down or degraded. If none is, and one is
        unknown, the target is unknown.
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
        """Return the checks that decide the status; remarks only if there are no others."""
        every = list(self.checks.values())
        return [check for check in every if not check.remark] or every

    @property
    def worst_check(self) -> CheckState | None:
        """Return the check that decides the status; None before the first result.

        Of several, a source's check comes first, since it explains the others (a crashed container
        explains a refused connection), then the one whose status is unchanged for longest.
        """
        if self._worst[0] != self.revision:
            status = self.status
            deciding = [c for c in self._seeing() if c.status is status and c.last is not None]
            first = min(deciding, key=lambda c: (c.polled, c.since is None, c.since), default=None)
            self._worst = (self.revision, first)
        return self._worst[1]

    @property
    def message(self) -> str:
        """Return the message of the check that decides the status."""
        check = self.worst_check
        return "no result yet" if check is None or check.last is None else check.last.result.message

    @property
    def since(self) -> datetime | None:
        """Return the time since which the deciding check has its status."""
        check = self.worst_check
        return None if check is None else check.since

    @property
    def last_seen(self) -> datetime | None:
        """Return the time of the newest result of any check."""
        return self._summed_up().last_seen

    @property
    def container(self) -> Container | None:
        """Return the newest facts from the source if the target is a container, else None."""
        return self._summed_up().container


@frozen
class StatusChange:
    """A change of a check's status, or of the reason for the same status."""

    target: str
    check: str
    at: datetime
    before: Status | None
    after: Status
    message: str


class LiveState:
    """All targets by name. Only the monitor changes it; any part may read it in the event loop.

    Its news are ``target`` (name and kind of change), ``result`` (every observation) and ``status``
    (every change of a check's status).

    Changes are numbered, and each target has the number of its latest change, so that a client can
    ask for the changes after a number. ``epoch`` distinguishes the numbers of different processes.
    """

    def __init__(self) -> None:
        self.targets: dict[str, TargetState] = {}
        self.beats: dict[str, Heartbeat] = {}
        """The last heartbeat of each job, by key."""
        self.news: list[tuple[str, Any]] = []
        """Kind and data of each unpublished change; the monitor publishes and clears them."""
        self.epoch = secrets.token_hex(6)
        self.revision = 0
        """Number of the latest change."""
        self._removed: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0
        """Number of the latest removal that is no longer remembered."""

    def __iter__(self) -> Iterator[TargetState]:
        return iter(self.targets.values())

    def has_first_results(self) -> bool:
        """Return whether each check has a result, or cannot run."""
        checks = (check for target in self for check in target.checks.values())
        return all(check.last is not None or check.broken is not None for check in checks)

    def put(self, target: Target, *, declared: bool, source: str | None, at: datetime) -> bool:
        """Add or update a target, keeping its checks and results; return whether it changed."""
        known = self.targets.get(target.name)
        if known is None:
            self.targets[target.name] = known = TargetState(target, declared, source, {}, at)
            self._touch(known)
            self.news.append(("target", {"target": target.name, "change": "added"}))
            return True
        if (known.target, known.declared, known.source) != (target, declared, source):
            if known.target.kind != target.kind:  # clients that list one kind see a removal
                self._remember_removed(target.name)
            known.target, known.declared, known.source = target, declared, source
            self._touch(known)
            self.news.append(("target", {"target": target.name, "change": "changed"}))
            return True
        return False

    def removed_since(self, number: int) -> list[str] | None:
        """Return the names of targets that were removed or changed their kind after a change.

        Some of them may exist again. None if the removals since ``number`` are no longer
        remembered, or if that number does not exist yet.
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
        """Remove a target and its checks; return whether it was there."""
        if self.targets.pop(name, None) is None:
            return False
        self._remember_removed(name)
        self.news.append(("target", {"target": name, "change": "removed"}))
        return True

    def put_check(self, check: CheckState) -> bool:
        """Add a check, or replace the one of the same name and keep its results.

        Returns:
            Whether the check is new.

        Raises:
            KeyError: there is no such target.
        """
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
        """Remove a check; return whether it was there."""
        known = self.targets.get(target)
        if known is None or known.checks.pop(name, None) is None:
            return False
        self._touch(known)
        return True

    def skip(self, target: str, name: str, missed: int) -> None:
        """Count runs of a check that were skipped."""
        known = self.targets.get(target)
        if known is not None and (check := known.checks.get(name)) is not None:
            check.skipped += missed

    def record(self, observation: Observation) -> bool:
        """Record a result; return False if there is no such target or check (any more)."""
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
    """Return whether the status differs, or a container's reason for the same status."""
    if before.status is not after.status:
        return True
    if before.container is None or after.container is None:
        return False
    return before.container.reason is not after.container.reason
