"""Health of the scheduler and of this machine's resources. The scheduler is judged by the runs that
it started and ended, not by whether its task exists. Time counts only while the scheduler measured
it, so that a suspended machine or a stopped process does not look like a starved scheduler."""

from __future__ import annotations

import time
from collections import defaultdict

from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.checks.slots import CONFIGURATION, Pace
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.resolver import lookups
from tocsin.core.runtime import descriptors
from tocsin.core.units import format_duration

STARVED_AFTER = 60.0
"""Seconds for which a check may wait for its turn, or a run continue beyond its maximum time."""

TOLD_FOR = 60.0
"""Seconds for which health reports a standstill or a shortage after it ended."""


def health_of_checks(
    scheduler: Scheduler,
    shortage: tuple[float, str] | None,
    standstill: tuple[float, float] | None,
    now: float,
) -> dict[str, ComponentHealth]:
    """Return the health of the components on which all checks depend, by name.

    Args:
        scheduler: starts the checks.
        shortage: see :func:`shortages`.
        standstill: see :func:`standstills`.
        now: monotonic seconds.
    """
    return {
        "scheduler": punctuality(scheduler),
        "open_files": open_files(),
        "names": host_names(),
        "resources": shortages(shortage, now),
        "event_loop": standstills(standstill),
    }


def punctuality(scheduler: Scheduler) -> ComponentHealth:
    """Return the health of the scheduler.

    Failed: no run begins or ends though some are due, or checks of the configuration that were not
    slow wait for too long. Degraded: other checks wait for too long, or runs do not end.
    """
    if not scheduler.is_keeping_time:
        return ComponentHealth(status=Health.FAILED, message="no check is being run")
    now = scheduler.runs.own_time
    waits: dict[tuple[str, bool], list[float]] = defaultdict(list)
    stuck = []
    for job in scheduler:
        if job.waiting and (seconds := now - job.began) > STARVED_AFTER:
            waits[job.share.owner, job.share.pace is Pace.SLOW].append(seconds)
        elif job.running and now - job.began > job.patience + STARVED_AFTER:
            stuck.append(job.id)
    said = [_waiting(owner, slow, times) for (owner, slow), times in sorted(waits.items())]
    if stuck:
        said.append(f"{len(stuck)} runs of checks exceed their maximum time, such as {stuck[0]}")
    if not said:
        return ComponentHealth(status=Health.OK)
    idle = now - scheduler.runs.progress
    if idle > STARVED_AFTER:
        said.insert(0, f"no check has been run for {format_duration(idle)}")
    failed = idle > STARVED_AFTER or (CONFIGURATION, False) in waits
    status = Health.FAILED if failed else Health.DEGRADED
    return ComponentHealth(status=status, message="; ".join(said))


def open_files() -> ComponentHealth:
    """Return the health of the file descriptors: degraded while checks wait for them."""
    if not descriptors.for_delivery_only():
        return ComponentHealth(status=Health.OK)
    return ComponentHealth(
        status=Health.DEGRADED,
        message=(
            f"{max(0, descriptors.left())} of {descriptors.limit()} are left: checks wait so that "
            "alerts can be delivered; raise the limit of tocsin's process (ulimit -n, LimitNOFILE)"
        ),
    )


def host_names() -> ComponentHealth:
    """Return the health of host name lookups by checks."""
    trouble = lookups.LOOKUPS.trouble()
    status = Health.OK if trouble is None else Health.DEGRADED
    return ComponentHealth(status=status, message=trouble or "")


def shortages(last: tuple[float, str] | None, now: float) -> ComponentHealth:
    """Return the health of this machine's other resources: degraded if a check lacked one recently.

    Args:
        last: when a check last lacked one (monotonic seconds), and the sentence that says so.
        now: monotonic seconds.
    """
    if last is None or now - last[0] > TOLD_FOR:
        return ComponentHealth(status=Health.OK)
    return ComponentHealth(status=Health.DEGRADED, message=f"{last[1]}; checks are unknown")


def standstills(last: tuple[float, float] | None) -> ComponentHealth:
    """Return whether tocsin stood still recently for a long time, and so observed nothing.

    Args:
        last: when that ended (monotonic seconds), and how many seconds it lasted.
    """
    if last is None or time.monotonic() - last[0] > TOLD_FOR:
        return ComponentHealth(status=Health.OK)
    text = f"tocsin stood still for {format_duration(last[1])} and observed nothing meanwhile"
    return ComponentHealth(
        status=Health.DEGRADED, message=f"{text}: its process was stopped, or the machine suspended"
    )


def _waiting(owner: str, slow: bool, times: list[float]) -> str:
    whose = f"requested by labels that {owner} reports" if owner else "of the configuration"
    which = f"{whose}, whose last runs were slow," if slow else whose
    return (
        f"{len(times)} checks {which} wait for their turn, the longest for "
        f"{format_duration(max(times))}: other checks hang and use up the slots"
    )
