"""Replay: the alerts that a configuration would have raised over stored history.

Since rules are pure and the monitor has no side effects, replay runs the code of live operation,
with the times of the stored results as its clock. Rules of plugins in hosts are asked there; their
verdicts count at the time of the result that they were asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import UTC, datetime

from attrs import define, field, frozen

from tocsin.core.alerts.model import Change, Moment, Transition
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import DEADLINE, Judge
from tocsin.core.config.alerting import OWN_ALERTS, book_of
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.container import REPLICATED
from tocsin.core.contracts.model import Event, Observation, Target
from tocsin.core.contracts.rule import Severity, Verdict
from tocsin.core.history.records import cleaned
from tocsin.core.hosts.proxies import HostedRule
from tocsin.core.monitor import Monitor, events
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.guard import guarded
from tocsin.core.state import CheckState

ACTIONS = ("die", "start")
"""The actions of the events that rules see in a replay."""

_SEEN = ("container", REPLICATED)
"""Kinds of targets that a source reports."""

PART = 1000
"""Results between two reports of progress."""

LEAST = 0.001
"""Minimum step, in seconds, between two due times, so that replay always advances."""


@frozen(kw_only=True)
class Episode:
    """One alert from firing to resolution; ``resolved_at`` None: it still fires at the end."""

    rule: str
    target: str
    severity: Severity
    message: str
    fired_at: datetime
    resolved_at: datetime | None
    flaps: int = 0


@define
class Replay:
    """Runs a monitor over stored history.

    Attributes:
        failures: by plugin: the first error of one of its rules, as a clause that names the rule.
    """

    settings: Settings
    episodes: list[Episode] = field(factory=list)
    results: int = 0
    failures: dict[str, str] = field(factory=dict)
    _open: dict[tuple[str, str], Transition] = field(factory=dict)
    _faults: RuleFaults = field(init=False)
    _monitor: Monitor = field(init=False)
    _sources: dict[str, str] = field(factory=dict)
    _lost: dict[str, str] = field(factory=dict)
    """Plugins that are not asked any more, since a rule did not answer, and the reason."""
    _reached: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._faults = RuleFaults(self.failures.setdefault)
        self._monitor = Monitor(self._faults)
        grace = self._monitor.engine.inhibition.grace
        book = book_of(self.settings, inline=_inline(self.settings))
        self._monitor.handle(events.Configured(book, {}, (), grace), _moment(0.0))

    async def run(
        self, past: AsyncIterable[Sequence[Observation | Event]]
    ) -> AsyncIterator[datetime]:
        """Process the history; yield the time reached now and then.

        Args:
            past: stored results and events of targets, in order of time.
        """
        async for part in past:
            for number, item in enumerate(part, 1):
                await self._take(cleaned(item))
                if number % PART == 0:
                    yield item.at
            if part:
                yield part[-1].at

    def finish(self) -> list[Episode]:
        """Return all episodes by the time they fired, including those still open at the end."""
        left = [_episode(first, None) for first in self._open.values()]
        return sorted([*self.episodes, *left], key=lambda e: (e.fired_at, e.rule, e.target))

    async def _take(self, item: Observation | Event) -> None:
        at = item.at
        now = Moment(at.timestamp(), at)
        # Timers that expire between two results are handled at their own time. Suppressions change
        # only with a result, so they are checked with each result alone.
        engine = self._monitor.engine
        while (due := engine.next_due(looking=False)) is not None and due <= now.steady:
            self._reached = max(due, self._reached + LEAST)
            await self._handle(events.Ticked(), _moment(self._reached))
        self._reached = max(now.steady, self._reached)
        await self._handle(events.Ticked(), now)
        if isinstance(item, Observation):
            self.results += 1
            await self._know(item, now)
            await self._handle(events.Observed(item), now)
        else:
            await self._handle(events.Happened(item), now)

    async def _know(self, item: Observation, now: Moment) -> None:
        is_service = {"replicas", "replicas_down"} <= item.result.metrics.keys()
        if item.result.container is not None or is_service:
            self._sources[item.target] = item.check
        known = self._monitor.state.targets.get(item.target)
        source = self._sources.get(item.target)
        if known is None or (known.target.kind in _SEEN) != (source is not None):
            said = self.settings.targets.get(item.target)
            kind = (said.kind if said else None) or "service"
            if source is not None:
                kind = REPLICATED if is_service else "container"
            target = Target(
                name=item.target,
                kind=kind,
                critical=bool(said and said.critical),
                depends_on=(said.depends_on if said else None) or (),
                expected=said.expected if said else {},
                labels=said.labels if said else {},
            )
            await self._handle(events.TargetPut(target, source), now)
        if known is None or item.check not in known.checks:
            check = CheckState(target=item.target, name=item.check, probe="", interval=0.0)
            await self._handle(events.CheckPut(check), now)

    async def _handle(self, event: MonitorEvent, now: Moment) -> None:
        effects = self._monitor.handle(event, now)
        self._note(effects.transitions)
        if not effects.judge:
            return
        answers = await asyncio.gather(*(self._ask(asked, now) for asked in effects.judge))
        for asked, (verdict, wrong) in zip(effects.judge, answers, strict=True):
            if wrong is None:
                self._faults.clear(asked.key)
            else:
                rule = asked.rule
                self._faults.add(rule.plugin, asked.key, f"rule {rule.name} {wrong}")
            await self._handle(events.Judged(asked.key, verdict), now)

    async def _ask(self, asked: Judge, now: Moment) -> tuple[Verdict, str | None]:
        """Return a verdict of a rule in a host, and what went wrong or None."""
        rule, plugin = asked.rule.rule, asked.rule.plugin
        engine = self._monitor.engine
        alert = engine.alerts.get(asked.key)
        history = engine.evaluator.history(asked.rule, asked.key, alert, now.wall)
        assert isinstance(rule, HostedRule)  # noqa: S101 - all others are inline
        if (why := self._lost.get(plugin)) is None:
            try:
                return await guarded(lambda: rule.tocsin_ask(history, now.wall), DEADLINE, ())
            except TimeoutError:
                why = self._lost[plugin] = f"did not end within {DEADLINE:g} s"
            except PluginFault as fault:
                why = str(fault)
                if fault.severe:
                    self._lost[plugin] = why
        return Verdict.unknown("the rule failed"), why

    def _note(self, changes: tuple[Transition, ...]) -> None:
        for change in changes:
            key = change.alert.key
            if key[0] in OWN_ALERTS:
                continue
            if change.kind in (Change.FIRED, Change.REOPENED):
                self._open[key] = change
            elif change.kind is Change.RESOLVED and key in self._open:
                self.episodes.append(_episode(self._open.pop(key), change))


def _inline(settings: Settings) -> frozenset[str]:
    """Return the plugins whose rules run in this process."""
    rules = list(settings.rules.values())
    for target in settings.targets.values():
        rules += target.rules.values()
    hosted = {rule.plugin for rule in rules if isinstance(rule.rule, HostedRule)}
    return frozenset(rule.plugin for rule in rules if rule.plugin is not None) - hosted


def _moment(steady: float) -> Moment:
    return Moment(steady, datetime.fromtimestamp(steady, UTC))


def _episode(first: Transition, last: Transition | None) -> Episode:
    return Episode(
        rule=first.alert.rule,
        target=first.alert.target,
        severity=first.alert.severity,
        message=first.alert.message,
        fired_at=first.at,
        resolved_at=None if last is None else last.at,
        flaps=first.alert.flaps,
    )
