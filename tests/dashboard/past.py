"""A plausible month of the trade system, written by way of the real store."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert, Phase
from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import Event, Observation, Result, Status
from tocsin.core.contracts.rule import Severity
from tocsin.core.history.records import record_of
from tocsin.plugins.history.store import Store

MB = 1_000_000


@frozen
class Habit:
    """What a container usually uses: percent of a core, bytes, and how much that swings."""

    cpu: float
    memory: int
    swing: float = 0.35


HABITS = {
    "postgres": Habit(4, 340 * MB, 0.3),
    "fastapi-dev": Habit(5, 210 * MB),
    "fastapi-prod": Habit(12, 330 * MB, 0.5),
    "fastapi-stream": Habit(34, 520 * MB, 0.7),
    "streamlit": Habit(3, 410 * MB),
    "tradingview": Habit(1, 250 * MB),
    "vector-db": Habit(4, 520 * MB),
    "economic-calendar": Habit(2, 150 * MB),
    "task-worker": Habit(22, 610 * MB, 0.8),
    "nginx": Habit(1, 34 * MB),
    "pgadmin": Habit(1, 170 * MB),
    "db-backup": Habit(0.5, 60 * MB, 0.2),
}

OUTAGES = (
    # target, hours ago, minutes, what was wrong, severity
    ("task-worker", 2.2, 6, ("health_check_failed", "docker: unhealthy: it hung", "warning")),
    ("vector-db", 5.4, 9, ("container_down", "killed for memory (exit 137)", "critical")),
    ("fastapi-stream", 9.1, 34, ("high_cpu", "High CPU (97 %), above 95 %", "warning")),
    ("economic-calendar", 20.5, 14, ("health_check_failed", "http: no answer in 10 s", "warning")),
    ("fastapi-dev", 31.0, 22, ("container_down", "crashed (exit 1)", "critical")),
    ("postgres", 76.0, 11, ("container_down", "stopped by a person (exit 0)", "critical")),
    ("task-worker", 101.0, 18, ("container_restarting", "3 restarts within 5 minutes", "warning")),
    ("vector-db", 150.0, 27, ("high_memory", "High memory (93 %), above 90 %", "warning")),
    ("fastapi-stream", 250.0, 40, ("high_cpu", "High CPU (96 %), above 95 %", "warning")),
    ("nginx", 333.0, 5, ("health_check_failed", "tcp: the connection was refused", "warning")),
    ("fastapi-prod", 402.0, 16, ("container_down", "crashed (exit 139)", "critical")),
    ("vector-db", 520.0, 31, ("container_down", "killed for memory (exit 137)", "critical")),
    ("db-backup", 610.0, 190, ("health_check_failed", "the newest backup is 31 h old", "warning")),
)  # fmt: skip


def outage(target: str, at: datetime, now: datetime) -> str | None:
    """Which alert a target had at a moment."""
    for name, hours, minutes, (rule, _, _) in OUTAGES:
        begin = now - timedelta(hours=hours)
        if name == target and begin <= at < begin + timedelta(minutes=minutes):
            return rule
    return None


def usage(name: str, at: datetime, rng: random.Random, wrong: str | None) -> tuple[float, int]:
    """CPU and memory of a container at a moment: a day's rhythm, a slow drift, a little noise."""
    habit = HABITS[name]
    hours = at.timestamp() / 3600
    day = 0.5 + 0.5 * math.sin((hours % 24 - 8) / 24 * 2 * math.pi)
    week = 1 + 0.25 * math.sin(hours / 168 * 2 * math.pi + len(name))
    cpu = habit.cpu * (1 - habit.swing + 2 * habit.swing * day) * week * rng.uniform(0.8, 1.25)
    if rng.random() < 0.02:
        cpu *= 1.8
    leak = (hours + 13 * len(name)) % 96 / 96
    memory = habit.memory * (0.86 + 0.2 * habit.swing * day + 0.12 * leak + rng.uniform(0, 0.02))
    if wrong == "high_cpu":
        cpu = 95 + rng.uniform(0, 9)
    return cpu, int(memory)


def observations(
    names: Iterable[str], since: datetime, until: datetime, step: timedelta, check: str = "docker"
) -> Iterator[Observation]:
    """What would have been seen of the containers."""
    rng = random.Random(7)
    counters = dict.fromkeys(names, 0)
    at = since
    while at < until:
        for name in counters:
            wrong = outage(name, at, until)
            cpu, memory = usage(name, at, rng, wrong)
            down = wrong == "container_down"
            counters[name] += int(
                HABITS[name].cpu * 9e3 * step.total_seconds() * rng.uniform(0.3, 2)
            )
            facts = Container(
                id=name, image="busybox:1.36", state="exited" if down else "running",
                reason=Reason.CRASHED if down else Reason.RUNNING, project="tradesystem",
                cpu_percent=None if down else cpu, memory_bytes=None if down else memory,
                memory_limit_bytes=1024 * MB, memory_percent=None if down else memory / 1024e4,
                network_rx_bytes=counters[name], network_tx_bytes=counters[name] // 3,
                restart_count=0,
            )  # fmt: skip
            status = Status.DOWN if down else Status.UP
            if wrong == "health_check_failed":
                status = Status.DEGRADED
            yield Observation(
                target=name, check=check, at=at,
                result=Result(status=status, message=wrong or "running", container=facts),
            )  # fmt: skip
            if name not in ("task-worker", "db-backup"):
                fails = wrong in ("container_down", "health_check_failed")
                yield Observation(
                    target=name, check=_check_of(name), at=at,
                    result=Result.down("no answer within 10 s", latency=10.0)
                    if fails else Result.up("200", latency=rng.uniform(0.004, 0.03)),
                )  # fmt: skip
        at += step


def _check_of(name: str) -> str:
    return "tcp" if name in ("postgres", "nginx") else "http"


def alerts(now: datetime) -> Iterator[Alert]:
    """The alerts of the outages, over by now."""
    for target, hours, minutes, (rule, message, severity) in OUTAGES:
        begin = now - timedelta(hours=hours)
        end = begin + timedelta(minutes=minutes)
        yield Alert(
            id=_id(begin), rule=rule, target=target, phase=Phase.RESOLVED,
            severity=Severity(severity), message=message, since=0.0, since_at=begin,
            fired_at=begin, resolved_at=end, downtime=minutes * 60.0, ever_notified=True,
            notified_channels=frozenset(["telegram"]), revision=3,
        )  # fmt: skip


def events(now: datetime) -> Iterator[Event]:
    """The engine's events around the outages."""
    for target, hours, minutes, (rule, _, _) in OUTAGES:
        if rule in ("container_down", "container_restarting"):
            begin = now - timedelta(hours=hours)
            for at, action, attributes in (
                (begin, "die", {"exitCode": "137"}),
                (begin + timedelta(minutes=minutes), "start", {}),
            ):
                yield Event(
                    id=_id(at), target=target, source="docker", action=action, at=at,
                    attributes=attributes,
                )  # fmt: skip


def _id(at: datetime) -> UUID:
    """An id as it would have been made then: lists are sorted by it."""
    stamp = int(at.timestamp() * 1000) << 80
    return UUID(int=stamp | 0x7 << 76 | 0x8 << 60 | random.Random(stamp).getrandbits(60))


async def fill(store: Store, now: datetime, days: float, names: Iterable[str] = HABITS) -> None:
    """Write so many days up to now: coarse at first, fine for the last hours."""
    chosen = list(names)
    fine = now - timedelta(hours=min(days * 24, 3))
    middle = now - timedelta(hours=min(days * 24, 26))
    stretches = (
        (now - timedelta(days=days), middle, timedelta(minutes=20)),
        (middle, fine, timedelta(minutes=4)),
        (fine, now, timedelta(seconds=60)),
    )
    for since, until, step in stretches:
        if since < until:
            for number, observation in enumerate(observations(chosen, since, until, step)):
                store.add(observation)
                if number % 5000 == 4999:
                    await store.flush()
    items: list[Alert | Event] = [*alerts(now), *events(now)]
    for item in items:
        if item.target in chosen:
            store.add(record_of(item))
    await store.flush()
    await store.tidy()
