"""The reason of a container's state: pure functions of its facts and of earlier events."""

from __future__ import annotations

from attrs import frozen

from tocsin import Container, Reason, Result, format_duration

ENDING_SIGNALS = frozenset({"2", "3", "9", "15"})
"""Signals that end a container: INT, QUIT, KILL, TERM. HUP or USR1 only notify its process."""

BY_HAND = "stop"
"""In place of a number: a person ended it, by a signal that the engine does not name."""

SIGNAL_NAMES = {"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "15": "SIGTERM"}

KILLED = 128 + 9
"""Exit code of a process that SIGKILL ended, such as the kernel sends when memory runs out."""

LOOP_RESTARTS = 3
LOOP_WINDOW = 300.0
"""A container that ends LOOP_RESTARTS times within this many seconds is in a restart loop."""

SETTLED = 10.0
"""Seconds a container must run after a restart before it counts as running again."""


@frozen(kw_only=True)
class Heard:
    """What events reported about a container's last end.

    Attributes:
        signal: number of the signal by which a person ended it, or :data:`BY_HAND`; else the
            signal of a ``kill`` event shortly before, or None.
        oom: an ``oom`` event accompanied the end.
        oom_before: there were only ``oom`` events that it survived, which explain the engine's
            flag.
        ooms: number of ``oom`` events within the last :data:`LOOP_WINDOW`; None if there was none
            since it started.
        restarts: number of ends within the last :data:`LOOP_WINDOW`.
        exit_code: exit code of the last of these ends; None if there is none.
        window: seconds since the first of these ends.
        running_for: seconds since it started; None if it does not run.
        blind: its end was not observed.
    """

    signal: str | None = None
    oom: bool = False
    oom_before: bool = False
    ooms: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    window: float = 0.0
    running_for: float | None = None
    blind: bool = False


def reason_of(
    state: str, health: str, exit_code: int | None, oom_killed: bool, policy: str, heard: Heard
) -> Reason:
    """Return the reason of a container's state.

    Args:
        state: the state as the engine names it.
        health: the engine's health status; "none" without a health check.
        exit_code: exit code of the last end; None if it does not matter.
        oom_killed: the engine's flag, or an ``oom`` event, of the last run.
        policy: the restart policy.
        heard: what events reported.
    """
    looping = heard.restarts >= LOOP_RESTARTS
    if state == "running":
        if looping and heard.running_for is not None and heard.running_for < SETTLED:
            return Reason.RESTARTING
        return {"unhealthy": Reason.UNHEALTHY, "starting": Reason.STARTING}.get(
            health, Reason.RUNNING
        )
    if state == "paused":
        return Reason.PAUSED
    if state == "restarting":
        return Reason.RESTARTING
    if state == "created":
        return Reason.CREATED
    if state == "removing":
        return Reason.REMOVED
    if state not in ("exited", "dead", "stopped"):
        return Reason.UNSEEN
    if heard.signal in ENDING_SIGNALS or heard.signal == BY_HAND:
        return Reason.STOPPED
    # The engine's flag and event may be of any process; the exit code tells if it was the main one.
    if exit_code == KILLED and (heard.oom or (oom_killed and not heard.oom_before)):
        return Reason.OOM_KILLED
    if exit_code == 0 and policy in ("", "no", "on-failure"):
        return Reason.COMPLETED
    # An end that was not observed: an engine obeys the restart policy unless a person stopped the
    # container; and few programs exit by themselves with the code of a signal.
    if heard.blind and (policy in ("always", "unless-stopped") or exit_code in (137, 143)):
        return Reason.STOPPED
    return Reason.CRASHED


def result_of(facts: Container, heard: Heard, detail: str = "", not_started: str = "") -> Result:
    """Return the result: a status and one sentence.

    Args:
        facts: the container.
        heard: what events reported about it.
        detail: output of a failing health check.
        not_started: why the last start failed; empty if it did not.
    """
    reason, code = facts.reason, facts.exit_code
    if not_started:
        return Result.down(f"could not start: {not_started}", container=facts)
    if heard.ooms and facts.state == "running" and reason in (Reason.RUNNING, Reason.STARTING):
        times = "a process in it was" if heard.ooms == 1 else f"{heard.ooms} processes in it were"
        text = f"running, but {times} killed: out of memory, within {format_duration(LOOP_WINDOW)}"
        return Result.degraded(text + _limit_of(facts), container=facts)
    if reason is Reason.RUNNING:
        text = "running" if facts.health == "none" else "running, healthy"
        return Result.up(text, container=facts)
    if reason is Reason.STARTING:
        return Result.up("running, its health check has not passed yet", container=facts)
    if reason is Reason.UNHEALTHY:
        return Result.degraded(f"unhealthy: {detail}" if detail else "unhealthy", container=facts)
    if reason is Reason.COMPLETED:
        return Result.up("completed, exit code 0", container=facts)
    if reason is Reason.CREATED:
        return Result.unknown("created, never started", container=facts)
    if reason is Reason.REMOVED:
        return Result.unknown("removed", container=facts)
    if reason is Reason.UNSEEN:
        return Result.unknown(f"in a state unknown to tocsin: {facts.state[:50]}", container=facts)
    if reason is Reason.PAUSED:
        return Result.down("paused", container=facts)
    if reason is Reason.RESTARTING:
        times = f"{heard.restarts} ends in {format_duration(max(1, heard.window))}"
        text = f"restart loop: {times}" if heard.restarts > 1 else "restarting"
        text += f", last exit code {code}" if code is not None else ""
        if facts.state == "running":
            return Result.degraded(f"{text}; running again for a moment", container=facts)
        return Result.down(text, container=facts)
    if reason is Reason.OOM_KILLED:
        text = "killed: out of memory" + _limit_of(facts)
        return Result.down(f"{text}, exit code {code}", container=facts)
    if reason is Reason.STOPPED:
        signal = SIGNAL_NAMES.get(heard.signal or "")
        text = "killed by a person" if heard.signal == "9" else "stopped by a person"
        text += f" ({signal})" if signal else ""
        return Result.down(f"{text}, exit code {code}", container=facts)
    text = f"crashed with exit code {code}"
    if facts.oom_killed:
        text += "; a process in it had been killed: out of memory" + _limit_of(facts)
    return Result.down(text, container=facts)


def _limit_of(facts: Container) -> str:
    limit = facts.memory_limit_bytes
    return f" (limit {limit // 1_000_000} MB)" if limit else ""
