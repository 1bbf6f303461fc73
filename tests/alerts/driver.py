"""An engine under a clock of its own, with rules as short as can be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import evolve, frozen

from tocsin import Event, History, Observation, Result, Rule, Severity, Status, Target, Verdict
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Moment, Policy, Transition
from tocsin.core.alerts.outbox import Decision
from tocsin.core.alerts.outcomes import record_delivery
from tocsin.core.alerts.rule_set import BoundRule, RuleSet
from tocsin.core.alerts.silences import Silencer
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.journal.journal import Entry
from tocsin.core.monitor import Monitor, events
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.state import CheckState

SCHEDULES = int(os.environ.get("SCHEDULES", "200"))
"""Random schedules that each property is tried on."""

START = 1_800_000_000.0


@frozen(kw_only=True)
class Down(Rule):
    """Down is down."""

    inhibits = True

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """By the worst check."""
        if history.unseen:
            return Verdict.unknown()
        down = [o for o in history.latest.values() if o.result.status is Status.DOWN]
        return Verdict.firing(down[0].result.message) if down else Verdict.clear("up")


@frozen(kw_only=True)
class Slow(Rule):
    """Degraded is slow."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """By any check."""
        slow = any(o.result.status is Status.DEGRADED for o in history.latest.values())
        return Verdict.firing("slow") if slow else Verdict.clear()


@frozen(kw_only=True)
class Loop(Rule):
    """A target that has restarted in the last minute is in a loop, and that is told in place of its
    being down."""

    stands_for_down = True
    lookback = 60.0

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """By its events."""
        return Verdict.firing("loops", recheck_after=5) if history.events else Verdict.clear("calm")


def looping(wait: float = 60.0, **down: Any) -> RuleSet:
    """``down`` and ``weak`` (a warning at once) of all targets, and ``loop``, a warning."""
    policy = Policy(**{"severity": Severity.CRITICAL, "for_seconds": wait, **down})
    loop, weak = Policy(channels=("c",)), Policy(channels=("c",), for_seconds=30.0)
    return RuleSet(
        rules={
            "down": BoundRule(name="down", rule=Down(), plugin="p", policy=policy),
            "weak": BoundRule(name="weak", rule=Down(), plugin="p", policy=weak),
            "loop": BoundRule(name="loop", rule=Loop(), plugin="p", policy=loop),
        },
        overrides={},
        own={},
    )


def book(**down: Any) -> RuleSet:
    """Rules: ``down`` (critical, inhibits), ``slow`` (a warning), and, on the target ``both``,
    ``weak`` (of the kind of ``down``, a warning)."""
    policy = Policy(**{"severity": Severity.CRITICAL, **down})
    return RuleSet(
        rules={
            "down": BoundRule(name="down", rule=Down(), plugin="p", policy=policy),
            "weak": BoundRule(
                name="weak", rule=Down(), plugin="p", policy=Policy(), targets=("both",)
            ),
            "slow": BoundRule(name="slow", rule=Slow(), plugin="p", policy=Policy()),
        },
        overrides={},
        own={},
    )


CHANNEL = ChannelSettings(
    name="c", notifier_name="recording", plugin=None, notifier=None, broken=None, options={},
    min_severity=Severity.INFO,
)  # fmt: skip


class Driver:
    """Drives a monitor, whose one channel delivers at once; ``told`` has what people heard, in
    order."""

    def __init__(
        self,
        graph: Mapping[str, tuple[str, ...]],
        rules: RuleSet | None = None,
        *checks: str,
        services: Mapping[str, str] | None = None,
    ) -> None:
        self.now = START
        self.changes: list[Transition] = []
        self.entries: list[Entry] = []
        self.graph = dict(graph)
        self.services = services or {}
        self.checks = checks or ("c",)
        self.monitor = Monitor()
        self.begin(rules or book())

    def begin(self, rules: RuleSet, started: events.Started | None = None) -> None:
        """A configuration is in force, an earlier run goes on, and targets are there."""
        self.handle(events.Configured(rules, {"c": CHANNEL}, (), self.engine.inhibition.grace))
        if started is not None:
            self.handle(started)
        for name, above in self.graph.items():
            self.put(name, *above)

    @property
    def engine(self) -> Engine:
        return self.monitor.engine

    @property
    def quiet(self) -> Silencer:
        return self.monitor.quiet

    def handle(self, event: MonitorEvent) -> None:
        """Something enters; what is to be sent arrives."""
        effects = self.monitor.handle(event, self.moment)
        self.changes += effects.transitions
        if effects.entry is not None:
            self.entries.append(effects.entry)
        if effects.queued:
            sent = tuple(evolve(row, decision=Decision.SENT) for row in effects.queued)
            self.handle(events.RowsFinished(sent))

    def put(self, name: str, *above: str) -> None:
        """A target is there, or depends on others now."""
        target = Target(name=name, depends_on=above, service=self.services.get(name))
        self.handle(events.TargetPut(target))
        for check in self.checks:
            state = CheckState(target=name, name=check, probe="tcp", interval=30)
            self.handle(events.CheckPut(state))

    @property
    def moment(self) -> Moment:
        return Moment(self.now, datetime.fromtimestamp(self.now, UTC))

    def see(self, target: str, status: str, check: str = "c") -> None:
        """One result."""
        result = Result(status=Status(status), message=f"{target} is {status}")
        seen = Observation(target=target, check=check, at=self.moment.wall, result=result)
        self.handle(events.Observed(seen))

    def happened(self, target: str, action: str) -> None:
        """One event."""
        event = Event(target=target, source="c", action=action, at=self.moment.wall)
        self.handle(events.Happened(event))

    def wait(self, seconds: float) -> None:
        """Let time pass; what falls due on the way is done at its own time."""
        end = self.now + seconds
        while (due := self.engine.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.handle(events.Ticked())
        self.now = end

    def _note(self, changes: list[Transition]) -> None:
        """Changes that the engine was asked for directly."""
        for change in changes:
            if change.notify:
                over = change.kind.value == "resolved"
                self.engine.table.queued(change.alert.key, ["c"], recovered=over)
                if not over:
                    told = partial(record_delivery, channel="c", flaps=change.alert.flaps)
                    self.engine.table.revise(change.alert.id, told)
        self.changes += changes

    @property
    def told(self) -> list[tuple[str, str]]:
        """Kind and target of what people were told."""
        return [(c.kind.value, c.alert.target) for c in self.changes if c.notify]

    def untold(self, reason: str) -> list[tuple[str, str]]:
        """Kind and target of what they were not told for a reason."""
        found = [c for c in self.changes if c.reason == reason]
        return [(c.kind.value, c.alert.target) for c in found]

    def alert(self, target: str, rule: str = "down") -> Alert:
        """An alert that is there."""
        return self.engine.alerts[rule, target]


TEN = tuple(f"app{n}" for n in range(10))


def star() -> dict[str, tuple[str, ...]]:
    """Return dependencies: ten targets that need one database."""
    return {"db": (), **dict.fromkeys(TEN, ("db",))}
