"""The ``restart-loop`` rule: a container restarts again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from attrs import field, frozen, validators

from tocsin import (
    Container,
    History,
    Reason,
    Rule,
    Seconds,
    Status,
    Target,
    Verdict,
    format_duration,
    hookimpl,
)


@frozen(kw_only=True)
class RestartLoopRule(Rule):
    """Fire when a container was restarted too often within a sliding window.

    A restart is a ``die`` event followed by a ``start`` event. If the engine's restart count rose
    by more (events were missed), the count is used. If another container takes its place, counting
    starts anew.

    Attributes:
        restarts: number of restarts within the window at which the rule fires.
        window: length of the sliding window.
    """

    rule_state_suffices: ClassVar[bool] = True
    stands_for_down: ClassVar[bool] = True
    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "container_restarting": {"restarts": 3, "window": "5m"},
    }
    templates: ClassVar[Mapping[str, str]] = {
        "container_restarting": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Status: {{ message }}
{% if exit_code is not none %}💥 Last exit code: {{ exit_code }}
{% endif %}
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. See why it ends: docker logs --tail 200 {{ target|sh }}
2. Stop the loop: docker stop {{ target|sh }}
3. Check its configuration and what it depends on
{% endblock %}
""",
    }

    restarts: int = field(default=3, validator=[validators.ge(1), validators.le(200)])
    window: Seconds = 300

    @property
    def lookback(self) -> float:
        """Return the window, in seconds."""
        return self.window

    def applies(self, target: Target) -> bool:
        """Return whether the target is a container; nothing else is restarted."""
        return target.kind == "container"

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Return the verdict on the restarts within the window."""
        last = history.latest.get(history.source or "")
        if last is None or last.result.status is Status.UNKNOWN:
            return Verdict.unknown("" if last is None else last.result.message)
        facts = last.result.container
        oldest = now.timestamp() - self.window
        moments = [m for m in _moments(history) if m > oldest][-4 * self.restarts :]
        if facts is None:
            return Verdict.over("the container no longer exists")
        # A container that does not run no longer restarts, but it has not recovered.
        over = Verdict.clear if facts.state == "running" else Verdict.over
        # The engine may wait longer than the window before it restarts the container again.
        goes_on = history.firing and facts.reason is Reason.RESTARTING
        if not moments and not goes_on:
            return over("it has stopped restarting")
        common: dict[str, Any] = {
            "rule_state": {"moments": moments, "count": facts.restart_count, "id": facts.id},
            "recheck_after": moments[0] - oldest + 0.01 if moments else None,
        }
        times = "1 restart" if len(moments) == 1 else f"{len(moments)} restarts"
        text = f"{times} in {format_duration(self.window)}" if moments else "it does not stay up"
        exit_code = _last_exit_code(history, facts)
        if exit_code:
            text += f", last exit code {exit_code}"
        if len(moments) < self.restarts and not goes_on:
            verdict = over if history.firing else Verdict.rising
            return verdict(text, **common)
        details = {
            "reason": "restarting",
            "restarts": len(moments),
            "exit_code": exit_code,
            "image": facts.image,
        }
        return Verdict.firing(text, details=details, **common)


def _last_exit_code(history: History, facts: Container) -> int | None:
    """Return the exit code of the last end, or None if it is not known.

    The result of a container that runs again may have none; then the last ``die`` event has it.
    """
    if facts.exit_code is not None:
        return facts.exit_code
    codes = [e.attributes.get("exitCode") for e in history.events if e.action == "die"]
    last = str(codes[-1]) if codes else ""
    return int(last) if last.isascii() and last.isdigit() else None


def _moments(history: History) -> list[float]:
    """Return the times of the restarts, in epoch seconds, oldest first."""
    starts = [e.at.timestamp() for e in history.events if e.action == "start"]
    last_start = max(starts, default=0.0)
    ends = [e.at.timestamp() for e in history.events if e.action == "die"]
    witnessed = [end for end in ends if end <= last_start]
    counted = list(_counted(history))
    # Restarts that are counted but have no event get the time at which the count was read.
    missed = len(counted) - len(witnessed)
    found = witnessed + (counted[-missed:] if missed > 0 else [])
    begin = min(
        [o.at.timestamp() for o in history.observations[:1]]
        + [e.at.timestamp() for e in history.events[:1]],
        default=0.0,
    )
    older = [float(m) for m in history.rule_state.get("moments", ()) if m < begin]
    return sorted(older + found)


def _counted(history: History) -> Iterator[float]:
    """Yield a time, in epoch seconds, for each increment of the engine's restart count."""
    seen = [
        (o.at.timestamp(), o.result.container)
        for o in history.observations
        if o.check == history.source and o.result.container is not None
    ]
    before = _before(history, seen[0][1]) if seen else None
    for at, facts in seen:
        if before is not None and before[0] == facts.id:
            for _ in range(min(max(0, facts.restart_count - before[1]), 100)):
                yield at
        before = facts.id, facts.restart_count


def _before(history: History, first: Container) -> tuple[str, int] | None:
    """Return the container id and restart count that the rule kept before the first observation, or
    None if there are none or they are newer."""
    carried = history.rule_state
    if "count" not in carried or carried["count"] > first.restart_count:
        return None
    return str(carried["id"]), int(carried["count"])


@hookimpl
def tocsin_rules() -> dict[str, type[Rule]]:
    """Announce the rule."""
    return {"restart-loop": RestartLoopRule}
