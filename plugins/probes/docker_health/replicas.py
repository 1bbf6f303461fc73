"""Replicas, which an orchestrator keeps running by new containers: whether they stay up."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from itertools import pairwise

from attrs import define, field

from tocsin import Container, Reason, format_duration
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, LOOP_WINDOW, SETTLED

AT_ONCE = 15.0
"""Seconds after the end of a container within which the start of the next one in its place counts
as a restart, and not as a scheduled run."""

OUTLASTED = 3.0
"""A loop ends with a run this many times as long as the longest time between two of its ends."""


@define
class Replica:
    """A place that an orchestrator keeps filled: a slot of a Swarm service, a container of a pod.

    Each attempt to run it is a new container, so no single container restarts.
    """

    generation: str = ""
    """The rollout that its containers belong to; empty if it is not known."""
    newest: str = ""
    """Creation time of its newest container, which may be gone: an older one that has ended never
    becomes the instance again."""
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Monotonic times at which a container in it failed, and another one followed."""
    last: str = ""
    """How the last of these containers ended, as a clause."""
    finished: float | None = None
    """Monotonic time of the last end of a container in it."""
    _noted: deque[str] = field(factory=lambda: deque(maxlen=100))
    """Ids of containers whose ends were counted."""

    def loop(self, now: float, began: float | None) -> str | None:
        """Return a clause that says that its containers do not stay up; None if they do.

        Args:
            now: monotonic time.
            began: monotonic time at which the current container started; None if none runs. Ends
                of other containers after this start do not count. A container stays up once it
                has run for longer than the time between any two earlier ends.
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
        """Count the end of a container that another one replaces, or will replace.

        Args:
            container: its id.
            end: its facts.
            now: monotonic time.
            fails: whether the end was a failure; otherwise it was stopped to be replaced.
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
        """Discard the ends before a run that lasted far longer than the times between them."""
        ends = self._ends_before(began, over)
        if len(ends) > 1 and over - began > max(SETTLED, OUTLASTED * _longest(ends)):
            self.ends = deque(set(self.ends) - set(ends), maxlen=self.ends.maxlen)


def _longest(ends: list[float]) -> float:
    return max(later - end for end, later in pairwise(ends))


def _monotonic(moment: datetime | None, now: float) -> float | None:
    """Convert a time of our clock to monotonic time, at most ``now``."""
    return None if moment is None else now - max(0.0, time.time() - moment.timestamp())
