"""The state of a service, aggregated from the states of its instances."""

from __future__ import annotations

from attrs import evolve

from tocsin import Reason, Result, Status

MOST_NAMED = 3
"""Most instances whose messages are quoted in the message of the service."""


def combined(told: dict[str, Result], *, loops_count: bool = True) -> Result:
    """Return the state of a service from the states of its instances.

    Args:
        told: the states by name of instance; not empty.
        loops_count: whether an instance in a restart loop counts in the metric ``replicas_down``;
            False if another alert covers it.
    """
    serving = {n: r for n, r in told.items() if _serves(r)}
    failing = {n: r for n, r in told.items() if _fails(r)}
    others = {n: r for n, r in told.items() if n not in serving and n not in failing}
    count = len(told)
    loops = 0 if loops_count else sum(_is_loop(r) for r in failing.values())
    metrics = {"replicas": float(count), "replicas_down": float(len(failing) - loops)}
    if serving and not failing:
        limping = {n: r for n, r in serving.items() if r.status is Status.DEGRADED}
        text = "1 replica runs" if count == 1 else f"all {count} replicas run"
        if others:
            text = f"{len(serving)} of {count} replicas run{_named(others)}"
        if limping:
            return Result.degraded(text + _named(limping), metrics=metrics)
        return Result.up(text, metrics=metrics)
    serve = "serves" if len(serving) == 1 else "serve"
    text = f"{len(serving)} of {count} replicas {serve}{_named({**failing, **others})}"
    if serving:
        return Result.degraded(text, metrics=metrics)
    # None is known to serve; but an unseen one may, and a replaced one soon will.
    if any(r.status is not Status.UNKNOWN for r in others.values()):
        return Result.degraded(text, metrics=metrics, attributes={"replacing": True})
    if others:
        words = next(iter(others.values())).message if not failing else text
        return Result.unknown(words, metrics=metrics)
    first = next(iter(failing.values()))
    reason = reason_in(first)
    attributes = {} if reason is None else {"reason": str(reason)}
    if count > 1:
        text = f"none of its {count} replicas serves{_named(failing)}"
    return Result.down(text if count > 1 else first.message, metrics=metrics, attributes=attributes)


def _serves(result: Result) -> bool:
    facts = result.container
    runs = facts is None or facts.state in ("running", "paused")
    return not _fails(result) and runs and result.status in (Status.UP, Status.DEGRADED)


def _fails(result: Result) -> bool:
    return result.status is Status.DOWN or _is_loop(result)


def _is_loop(result: Result) -> bool:
    return reason_in(result) is Reason.RESTARTING


def looping(result: Result, text: str) -> Result:
    """Return the state of an instance whose containers do not stay up; ``text`` is the message."""
    facts = result.container
    loop = None if facts is None else evolve(facts, reason=Reason.RESTARTING)
    return evolve(result, status=Status.DOWN, message=text, container=loop)


def _named(told: dict[str, Result]) -> str:
    said = [f"{name}: {result.message}" for name, result in sorted(told.items())]
    more = f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return f": {'; '.join(said[:MOST_NAMED])}{more}" if said else ""


def reason_in(result: Result) -> Reason | None:
    """Return why the container of a state is in it; None if this is not known."""
    return None if result.container is None else result.container.reason
