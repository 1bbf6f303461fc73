"""Replicas: what an orchestrator keeps running by new containers, and whether it stays up."""

from __future__ import annotations

import time
from collections import deque
from itertools import pairwise

from attrs import define, field

from tocsin import Container, Reason, format_duration
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, LOOP_WINDOW, SETTLED

AT_ONCE = 15.0
"""Seconds after the end of a container within which another one in its place starts to keep it up,
and not by a schedule."""

OUTLASTED = 3.0
"""A run is so many times as long as what was between two ends that made a loop: it is over."""


@define
class Replica:
    """A place that an orchestrator keeps filled: a slot of a Swarm service, a container of a pod.
    Each try to run it is a container of its own, so that none of them restarts."""

    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Monotonic moments at which a container in it failed, and another one followed."""
    last: str = ""
    """How the last of them ended, in a clause."""
    completes: bool = False
    """That end was no failure, though it did not stay up."""
    finished: float | None = None
    """Seconds since 1970 at which the container before the present one ended."""
    newest: str = ""
    """When the newest container in it was created, be it there or not: no older one that has ended
    is the instance again."""

    def loop(self, now: float, running_for: float | None) -> str | None:
        """That it does not stay up, in a clause; None where it does: where it has run, for so many
        seconds, longer than between any two of its ends. They are forgotten where it has outlasted
        them by far; one that fails after times of any length is a loop all the same."""
        recent = sorted(end for end in self.ends if now - end < LOOP_WINDOW)
        if len(recent) < LOOP_RESTARTS:
            return None
        longest = max(later - end for end, later in pairwise(recent))
        if running_for is not None and running_for > max(SETTLED, longest):
            if running_for > OUTLASTED * longest:
                self.ends.clear()
            return None
        within = format_duration(max(1, now - recent[0]))
        return f"restart loop: {len(recent)} ends in {within}, {self.last}"

    def ended(self, end: Container, now: float, *, fails: bool, is_sick: bool) -> None:
        """A container has ended, and another one has, or will have, its place.

        Args:
            end: its facts.
            now: the monotonic moment.
            fails: whether that was a failure; else it was stopped to be replaced.
            is_sick: whether its health check had failed.
        """
        never = end.created_at if end.state == "created" else None  # it could not be started
        began, over, before = end.started_at or never, end.finished_at or never, self.finished
        self.finished = None if over is None else over.timestamp()
        moment = now if over is None else now - max(0.0, time.time() - over.timestamp())
        if began is not None and over is not None:
            self.loop(moment, (over - began).total_seconds())  # forgets what it has outlasted
        pause = None if began is None or before is None else began.timestamp() - before
        completes = end.reason is Reason.COMPLETED
        if not fails or (completes and (pause is None or pause > AT_ONCE)):
            return  # it was replaced, or is made anew by a schedule
        self.ends.append(moment)
        self.completes = completes
        self.last = "stopped as unhealthy" if is_sick else f"last exit code {end.exit_code}"
