"""Replicas: what an orchestrator keeps running by new containers, and whether it stays up."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from itertools import pairwise

from attrs import define, field

from tocsin import Container, Reason, format_duration
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, LOOP_WINDOW, SETTLED

AT_ONCE = 15.0
"""Seconds after the end of a container within which another one in its place starts to keep it up,
and not by a schedule."""

OUTLASTED = 3.0
"""A loop is over once a run has lasted this many times the longest time between two of its ends."""


@define
class Replica:
    """A place that an orchestrator keeps filled: a slot of a Swarm service, a container of a pod.
    Each try to run it is a container of its own, so that none of them restarts."""

    generation: str = ""
    """Of which rollout its containers are, where that is known."""
    newest: str = ""
    """When the newest container in it was created, be it there or not: no older one that has ended
    is the instance again."""
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Monotonic moments at which a container in it failed, and another one followed."""
    last: str = ""
    """How the last of them ended, in a clause."""
    finished: float | None = None
    """The monotonic moment at which a container in it ended last."""
    _noted: deque[str] = field(factory=lambda: deque(maxlen=100))
    """Ids of containers whose ends are known."""

    def loop(self, now: float, began: float | None) -> str | None:
        """That a container in it does not stay up, in a clause; None where it does.

        Args:
            now: the monotonic moment.
            began: when the container began to run; None where none does. One that runs on while
                others fail beside it is none of those; one that has run for longer than the time
                between any two ends before it stays up.
        """
        recent = self._ends_before(began, now)
        if len(recent) < LOOP_RESTARTS:
            return None
        if began is not None and now - began > max(SETTLED, _longest(recent)):
            return None
        within = format_duration(max(1, now - recent[0]))
        return f"restart loop: {len(recent)} ends in {within}, {self.last}"

    def _ends_before(self, began: float | None, now: float) -> list[float]:
        before = now if began is None else began + 1
        return sorted(end for end in self.ends if end <= before and now - end < LOOP_WINDOW)

    def ended(
        self, container: str, end: Container, now: float, *, fails: bool, is_sick: bool
    ) -> None:
        """A container has ended, and another one has, or will have, its place.

        Args:
            container: its id.
            end: its facts.
            now: the monotonic moment.
            fails: whether that was a failure; else it was stopped to be replaced.
            is_sick: whether its health check had failed.
        """
        if container in self._noted:
            return
        self._noted.append(container)
        never = end.created_at if end.state == "created" else None  # it could not be started
        began = _monotonic(end.started_at or never, now)
        over = _monotonic(end.finished_at or never, now)
        at, before = now if over is None else over, self.finished
        self.finished = over
        if began is not None:
            self._forget_outlasted(began, at)
        is_at_once = began is not None and before is not None and began - before <= AT_ONCE
        if fails and (is_at_once or end.reason is not Reason.COMPLETED):
            self.ends.append(at)
            words = f"last exit code {end.exit_code}"
            self.last = "stopped as unhealthy" if is_sick else words

    def _forget_outlasted(self, began: float, over: float) -> None:
        """Forget the ends before a run that has lasted longer than these by far."""
        ends = self._ends_before(began, over)
        if len(ends) > 1 and over - began > max(SETTLED, OUTLASTED * _longest(ends)):
            self.ends = deque(set(self.ends) - set(ends), maxlen=self.ends.maxlen)


def _longest(ends: list[float]) -> float:
    return max(later - end for end, later in pairwise(ends))


def _monotonic(moment: datetime | None, now: float) -> float | None:
    """The monotonic moment of a time in our clock's terms; none is still to come."""
    return None if moment is None else now - max(0.0, time.time() - moment.timestamp())
