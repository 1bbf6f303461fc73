"""The command ``tocsin doctor``: runs the checks of the installation that plugins provide."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from typing import Any, cast

import click
from rich.text import Text

from tocsin.core.cli.check import isolation_for
from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure, pass_context
from tocsin.core.config import redacted
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.doctor import DoctorCheck, Finding, FindingStatus, Installation
from tocsin.core.hiding import clean
from tocsin.core.plugin.manager import PluginManager, tocsin_version
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.shapes import fit_findings

LOOK = {
    FindingStatus.OK: ("●", "green"),
    FindingStatus.WARNING: ("▲", "yellow"),
    FindingStatus.PROBLEM: ("✖", "bold red"),
}

DEADLINE = 15.0
"""Seconds that a check may take."""


@click.command()
@pass_context
def doctor(context: Context) -> None:
    """Check this installation and report what is missing. Exit status 1 if it is broken."""
    broken = False
    for what, finding in _findings(context):
        broken = broken or finding.status is FindingStatus.PROBLEM
        icon, style = LOOK[finding.status]
        message = ": ".join(filter(None, (finding.message, finding.remedy)))
        shown = (
            (f"{icon} ", style),
            (f"{clean(finding.subject or what):<10}", "bold"),
            clean(message, lines=True),
        )
        context.console.print(Text.assemble(*shown))
    raise SystemExit(1 if broken else 0)


Findings = Iterable[tuple[str, Finding]]
"""Findings, each after the name of its check."""


def _findings(context: Context) -> Iterator[tuple[str, Finding]]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield "tocsin", Finding.ok(f"{tocsin_version()} on Python {version}")
    for record in context.plugins(anew=True).records:
        if record.status == "failed":
            yield "plugin", Finding.problem(f"{record.name}: {record.reason}")
    try:
        settings = context.settings()
    except Failure as failure:
        yield "config", Finding.problem(failure.format_message())
        return
    yield "config", Finding.ok(str(context.path or "no file: defaults and environment"))
    for warning in settings.warnings:
        yield "config", Finding.warning(warning)
    yield from asyncio.run(_examine(settings, context.plugins()))
    if not settings.channels:
        yield "channels", Finding.warning("none", "no notifications are sent")
    yield "running", _running(context)


def _running(context: Context) -> Finding:
    """Return what the running tocsin says of itself."""
    try:
        client = ApiClient(context)
        health = client.get("/health")
    except Failure as failure:
        return Finding.warning(failure.format_message())
    parts = [
        f"{name}: {part['message']}"
        for name, part in health["components"].items()
        if part["status"] not in ("ok", "disabled")
    ]
    text = f"{client.url} reports {health['status']} " + "; ".join(parts)
    return Finding.ok(text) if health["status"] == "ok" else Finding.warning(text)


async def _examine(settings: Settings, plugins: PluginManager) -> Findings:
    """Run the checks of all plugins at the same time; return their findings in order."""
    isolation = isolation_for(settings, plugins)
    watcher = asyncio.create_task(isolation.watch())
    shown = redacted(settings)
    parts = list(_parts(settings))

    async def run(plugin: str, check: DoctorCheck) -> list[tuple[str, Finding]]:
        installation = Installation(
            data_dir=settings.data_dir,
            configuration=shown,
            parts=tuple((name, part) for name, owner, part in parts if owner == plugin),
        )
        findings = await _run(isolation, plugin, check, installation)
        return [(check.name, finding) for finding in findings]

    try:
        found = await asyncio.gather(*(run(*each) for each in plugins.doctor_checks))
    finally:
        watcher.cancel()
        await isolation.stop()
    return [finding for findings in found for finding in findings]


async def _run(
    isolation: Isolation, plugin: str, check: DoctorCheck, installation: Installation
) -> list[Finding]:
    context = isolation.contexts.of(plugin, check.name)

    async def run() -> list[Finding]:
        return fit_findings(await check.handler(context, installation))

    try:
        return await isolation.call(plugin, run, DEADLINE)
    except TimeoutError:
        return [Finding.warning(f"the check of plugin {plugin} did not end in {DEADLINE:g} s")]
    except PluginFault as fault:
        return [Finding.problem(f"the check of plugin {plugin} {fault}")]


def _parts(settings: Settings) -> Iterator[tuple[str, str, object]]:
    """Yield everything that is configured of plugins: its name, the plugin and the options."""
    history = settings.database
    if history.store is not None:
        yield history.name, history.plugin or "", history.store
    for kind in ("sources", "channels", "observers", "reviewers", "services", "rules"):
        for name, each in cast("dict[str, Any]", getattr(settings, kind)).items():
            part = getattr(each, {"channels": "notifier"}.get(kind, kind[:-1]))
            if part is not None:
                yield name, each.plugin or "", part
    for target in settings.targets.values():
        for check in target.checks.values():
            if check.probe is not None:
                yield f"{target.name}/{check.name}", check.plugin or "", check.probe
