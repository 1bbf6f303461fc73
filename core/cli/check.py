"""The command ``tocsin check``: runs checks once; exit codes as in Monitoring Plugins (Nagios)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Collection, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import click
from attrs import define, evolve, field
from rich.table import Table
from rich.text import Text

from tocsin.core.boundary import cleaned_observation
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.reviewers import Reviewers
from tocsin.core.cli.context import Context, Failure, pass_context
from tocsin.core.cli.status import LOOK
from tocsin.core.clock import SystemClock
from tocsin.core.config.core_settings import Level
from tocsin.core.config.settings import CheckSettings, Settings, SourceSettings
from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.model import Event, Observation, Result, Status, Target
from tocsin.core.contracts.probe import Probe
from tocsin.core.contracts.source import Claim, Source
from tocsin.core.hiding import clean
from tocsin.core.logs import configure
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import Isolation, PluginFault, describe
from tocsin.core.shapes import fit_own_name, fit_result, fit_time

EXIT = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2, Status.UNKNOWN: 3}
SOURCE_DEADLINE = 15.0
"""Seconds that a source may take for its first inventory."""


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_context
def check(context: Context, patterns: tuple[str, ...], as_json: bool) -> None:
    """Run checks once, now, without a running tocsin.

    PATTERNS name targets or checks, * allowed: 'postgres', 'postgres/tcp', '*/http'. Without
    PATTERNS, all checks are run. Exit status: 0 all up, 1 degraded, 2 down, 3 unknown.
    """
    settings = context.settings()
    _log_to_stderr(settings)
    seen = asyncio.run(_check_all(settings, context.plugins(), patterns))
    if not seen:
        named = " ".join(patterns)
        raise Failure(f"no check matches {named!r}" if patterns else "there is nothing to check", 3)
    if as_json:
        context.console.print_json(
            data=[
                {
                    "check": o.check_id,
                    "status": o.result.status.value,
                    "message": o.result.message,
                    "latency_seconds": o.result.latency,
                    "metrics": dict(o.result.metrics),
                }
                for o in seen
            ]
        )
    else:
        context.console.print(_table(seen))
    raise SystemExit(worst_exit([o.result.status for o in seen]))


def _log_to_stderr(settings: Settings) -> None:
    """Log at level debug what plugins raise; at any other level nothing, since the results say it.
    Standard output is for the results alone."""
    configure(evolve(settings.log, file=None), sys.stderr)
    if settings.log.level is not Level.DEBUG:
        logging.getLogger().setLevel(logging.CRITICAL)


def worst_exit(statuses: list[Status]) -> int:
    """Return the exit code of the worst result: down, then unknown, then degraded, then up."""
    order = (Status.DOWN, Status.UNKNOWN, Status.DEGRADED, Status.UP)
    return EXIT[next(status for status in order if status in statuses)]


def _table(seen: list[Observation]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "check", "took", "message"):
        table.add_column(column, justify="right" if column == "took" else "left")
    for observation in seen:
        result = observation.result
        icon, style = LOOK[result.status.value]
        took = "" if result.latency is None else f"{result.latency * 1000:.0f} ms"
        table.add_row(Text(icon, style), Text(observation.check_id), took, Text(result.message))
    return table


def _wanted(check_id: str, patterns: tuple[str, ...]) -> bool:
    target = check_id.split("/")[0]
    return not patterns or any(
        fnmatchcase(check_id, pattern) or fnmatchcase(target, pattern) for pattern in patterns
    )


async def _check_all(
    settings: Settings, plugins: PluginManager, patterns: tuple[str, ...]
) -> list[Observation]:
    """Run the matching checks and sources once; the worst results come first."""
    seen: list[Observation] = []
    isolation = isolation_for(settings, plugins)
    clock = SystemClock()
    reviewers = Reviewers(isolation)
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins), reviewers)
    watcher = asyncio.create_task(isolation.watch())
    limit = asyncio.Semaphore(100)

    async def one(target: Target, check: CheckSettings, probe: Probe) -> None:
        async with limit:
            plugin, check_id = check.plugin or "", f"{target.name}/{check.name}"
            polled = PolledCheck(probe, isolation.contexts.of(plugin, check_id))
            found = await runner.run(target, check.name, plugin, polled)
            await isolation.close(plugin, polled)
            seen.append(cleaned_observation(found))

    runs = []
    for said in settings.targets.values():
        target = said.refine(Target(name=said.name))
        for item in said.checks.values():
            if not (said.enabled and _wanted(f"{said.name}/{item.name}", patterns)):
                continue
            if isinstance(item.probe, Probe):
                runs.append(one(target, item, item.probe))
            else:
                reason = item.broken or "only a running tocsin can check a heartbeat"
                seen.append(_unknown(said.name, item.name, reason))
    sources = [_snapshot(s, isolation, patterns, seen) for s in settings.sources.values()]
    try:
        await reviewers.apply(settings.reviewers)
        await asyncio.gather(*runs, *sources)
    finally:
        watcher.cancel()
        await reviewers.stop()
        await isolation.stop()
    return sorted(seen, key=lambda o: (-EXIT[o.result.status], o.check_id))


def isolation_for(settings: Settings, plugins: PluginManager) -> Isolation:
    """Return the isolation of plugins for a command, without a running tocsin."""
    contexts = Contexts(settings.data_dir, SystemClock(), os.environ)
    return Isolation(plugins.inline, lambda *_: None, contexts, plugins.hosts)


def _unknown(target: str, check: str, reason: str) -> Observation:
    return Observation(
        target=target, check=check, at=SystemClock().now(), result=Result.unknown(reason)
    )


@define
class _Snapshot:
    """A sink that keeps the last observation of each target until the inventory is complete."""

    name: str
    done: asyncio.Event
    loop: asyncio.AbstractEventLoop
    seen: dict[str, Observation] = field(factory=dict)
    trouble: str | None = None

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Ignore it."""

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Keep the observation."""
        when = fit_time(at or SystemClock().now(), SystemClock().now())
        name = fit_own_name(target)
        result, _ = fit_result(result)
        self.seen[target] = Observation(target=name, check=self.name, at=when, result=result)

    def happened(self, event: Event) -> None:
        """Ignore it."""

    def retired(self, target: str, message: str) -> None:
        """Drop the target's observation."""
        self.seen.pop(target, None)

    def synced(self, targets: Collection[str], is_whole: bool = True) -> None:
        """End the wait: the inventory is complete."""
        self.loop.call_soon_threadsafe(self.done.set)

    def blame(self, what: str) -> None:
        """Ignore it."""

    def impaired(self, message: str) -> None:
        """End the wait: the source cannot see its targets."""
        self.trouble = message
        self.loop.call_soon_threadsafe(self.done.set)


async def _snapshot(
    settings: SourceSettings,
    isolation: Isolation,
    patterns: tuple[str, ...],
    seen: list[Observation],
) -> str | None:
    """Add the observations of one source; return why it cannot see its targets, or None."""
    source: Source | None = settings.source
    if source is None:
        seen.append(_unknown(f"({settings.name})", settings.name, settings.broken or "broken"))
        return settings.broken
    sink = _Snapshot(settings.name, asyncio.Event(), asyncio.get_running_loop())
    plugin = settings.plugin or ""
    runtime = Runtime(source, isolation.contexts.of(plugin, settings.name))

    async def run() -> None:
        await (await runtime.get()).run(settings.name, settings.interval, sink)

    task = asyncio.create_task(isolation.call(plugin, run, None))
    waiter = asyncio.create_task(sink.done.wait())
    done, _ = await asyncio.wait(
        {task, waiter}, timeout=SOURCE_DEADLINE, return_when=asyncio.FIRST_COMPLETED
    )
    if not done:
        sink.trouble = f"no inventory within {SOURCE_DEADLINE:g} s"
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        sink.trouble = describe(error)
    task.cancel()
    waiter.cancel()
    with contextlib.suppress(asyncio.CancelledError, PluginFault, TimeoutError, ActionError):
        await task
    await isolation.close(plugin, runtime)
    seen += [cleaned_observation(o) for o in sink.seen.values() if _wanted(o.check_id, patterns)]
    if sink.trouble is not None and not (settings.automatic or patterns):
        seen.append(_unknown(f"({settings.name})", settings.name, clean(sink.trouble)))
    return sink.trouble
