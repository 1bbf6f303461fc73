"""Observations and histories of one container, for tests of rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve

from tocsin import Container, History, Observation, Reason, Result, Target, Verdict

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
WEB = Target(name="web", kind="container", expected={"cpu_percent": 10.0, "memory_bytes": 1e6})
RUNNING = Container(id="1", image="nginx", state="running", reason=Reason.RUNNING)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def seen(result: Result, check: str = "docker", at: float = 0.0) -> Observation:
    return Observation(target="web", check=check, at=ago(at), result=result)


def container(state: str, reason: Reason, **facts: Any) -> Container:
    return evolve(RUNNING, state=state, reason=reason, **facts)


def past(*observations: Observation, **fields: Any) -> History:
    latest = {o.check: o for o in observations}
    return History(target=WEB, latest=latest, observations=observations, source="docker", **fields)


def state(verdict: Verdict) -> str:
    return verdict.state.value
